// How a grid of heads is coloured: by share, label, confidence, entanglement, or the share of a property.
import type { Component, HeadSummary, Labels, Overview } from '../api_types';
import type { Cell } from '../components/head_grid';
import { categoryClass, categoryColour, hues, step, stepClass, stepColour } from './colour';
import { bare, percent } from './format';

export type By = 'share' | 'label' | 'confidence' | 'entanglement' | `property:${string}`;

export const isBy = (text: string | null): text is By =>
  text === 'share' || text === 'label' || text === 'confidence' || text === 'entanglement' || (text ?? '').startsWith('property:');

export const bySays = (by: By): string =>
  by === 'share' ? 'Share of the embedding’s variance, per cent. Negative: the component moves against the sum of the others.'
    : by === 'label' ? 'The property that each head tells of; stronger colour, surer label.'
      : by === 'confidence' ? 'Probability that the best guess is right, per cent; below 50 it is no label.'
        : by === 'entanglement' ? 'Properties that explain more of the head than chance does.'
          : `Share of each head’s variance that “${by.slice(9)}” explains, per cent.`;

export interface Painted extends Cell { fill: string; dark: boolean }
export interface Colouring {
  by: By;
  cell: (component: string, layer: number, head: number | null) => Painted | null;
  // Value of the full colour; null where colours are names.
  largest: number | null;
  // Colours follow the square root of the value.
  root: boolean;
  // Where colours are names: that of each property.
  hues: number[];
  // The least value, where that is below zero.
  lowest: number;
  unit: string;
  value: (component: string) => number | string | null;
}

export const shortLabel = (label: string) => (label.length > 12 ? label.slice(0, 11) + '…' : label);

// `least`: the full colour stands for this value or a larger one; `beside`: labels that are shown beside these. Two
// grids so have one scale and one colour for each property.
export function colouring(overview: Overview, wanted: By, least = 0, beside: Labels | null = null): Colouring {
  const labels: Labels | null = overview.labels;
  const by: By = wanted !== 'share' && (!labels || (wanted.startsWith('property:') && !labels.properties.includes(wanted.slice(9)))) ? 'share' : wanted;
  const components = new Map<string, Component>(overview.components.map((c) => [c.component, c]));
  const heads = new Map<string, HeadSummary>((labels?.heads ?? []).map((h) => [h.head, h]));
  const property = by.startsWith('property:') ? labels!.properties.indexOf(by.slice(9)) : -1;
  const explained = (h: HeadSummary | undefined) => h?.explained ?? 0;

  const number = (component: string): number | null => {
    const head = heads.get(component);
    if (by === 'share') return components.get(component)?.share ?? null;
    if (!head) return null;
    if (by === 'confidence') return head.guess === null ? null : head.confidence;
    if (by === 'entanglement') return explained(head);
    if (property >= 0) return head.shares[property] ?? null;
    return null;
  };
  const all = [...components.keys()].map(number).filter((x): x is number => x !== null);
  const root = by === 'share' || property >= 0;
  const hue = hues(labels?.properties ?? [], [...(labels?.heads ?? []), ...(beside?.heads ?? [])].map((h) => h.label));
  const largest = by === 'label' ? null : by === 'confidence' ? 1 : Math.max(1e-9, least, ...all.map(Math.abs));

  const cell = (component: string, layer: number, head: number | null): Painted | null => {
    const c = components.get(component), h = heads.get(component);
    if (!c || (head === null && by !== 'share')) return null;
    const parts = [`${percent(c.share)} of the variance`];
    if (h) parts.push(h.guess === null ? 'no label' : `${h.label ?? `no label, best guess ${h.guess}`}, confidence ${percent(h.confidence, 0)}`);
    if (by === 'entanglement') parts.push(`${explained(h)} properties above chance`);
    if (property >= 0 && h) parts.push(`${labels!.properties[property]} explains ${percent(h.shares[property] ?? 0)}`);
    const title = parts.join('; ');
    void layer;
    if (by === 'label') {
      if (!h || h.label === null) return { colour: 'none', text: '–', title, fill: '#f4f2ec', dark: false };
      const own = hue[labels!.properties.indexOf(h.label)]!;
      return { colour: categoryClass(own, h.confidence), text: shortLabel(h.label), title, fill: categoryColour(own, h.confidence), dark: false };
    }
    const value = number(component);
    if (value === null) return { colour: 'none', text: '–', title, fill: '#f4f2ec', dark: false };
    const n = step(value, largest!, root);
    const text = by === 'entanglement' ? String(value) : bare(value, by === 'confidence' ? 0 : 1);
    return { colour: stepClass(n), text, title, fill: stepColour(n), dark: Math.abs(n) > 8 };
  };
  return {
    by, cell, largest, root, hues: hue, lowest: Math.min(0, ...all), unit: by === 'entanglement' ? 'properties' : '%',
    value: (component) => (by === 'label' ? (heads.get(component)?.label ?? null) : number(component)),
  };
}
