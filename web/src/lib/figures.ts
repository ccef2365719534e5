// The figures that "figure" saves, drawn from the same numbers as the page.
import { scaleLinear } from 'd3-scale';
import { kAgainst, kFor, hex } from './colour';
import { el, figure, label, shorten } from './svg';

export interface GridFigure {
  title: string; note: string; layers: number; heads: number; mlps: boolean;
  cell: (layer: number, head: number | null) => { fill: string; dark: boolean; text: string } | null;
}

export function gridFigure({ title, note, layers, heads, mlps, cell }: GridFigure): string {
  const width = heads > 12 ? 44 : 74, height = 26, left = 46, top = 58;
  const columns = heads + (mlps ? 1 : 0);
  const body: string[] = [label(12, 24, title, { 'font-size': 16, 'font-weight': 600, 'font-family': 'Charter, Palatino, Georgia, serif' })];
  for (let c = 0; c < columns; ++c) {
    body.push(label(left + (c + 0.5) * width, top - 8, c < heads ? `H${c}` : 'MLP', { 'text-anchor': 'middle', fill: '#5b5f69', 'font-size': 11 }));
  }
  for (let row = 0; row < layers; ++row) {
    const layer = layers - 1 - row, y = top + row * height;
    body.push(label(12, y + height / 2 + 4, `L${layer}`, { fill: '#5b5f69', 'font-size': 11 }));
    for (let c = 0; c < columns; ++c) {
      const drawn = cell(layer, c < heads ? c : null);
      if (!drawn) continue;
      body.push(el('rect', { x: left + c * width + 1, y: y + 1, width: width - 2, height: height - 2, rx: 2, fill: drawn.fill }));
      body.push(label(left + (c + 0.5) * width, y + height / 2 + 4, shorten(drawn.text, Math.floor(width / 6)), {
        'text-anchor': 'middle', 'font-size': 10, fill: drawn.dark ? '#ffffff' : '#1b1d22',
      }));
    }
  }
  return figure(left + columns * width + 12, top + layers * height + 10, title, note, ...body);
}

export interface BarRow { name: string; value: number; note?: string; low?: number; high?: number }

// Bars from zero, for and against; with bounds where rows have them.
export function barFigure({ title, note, rows, format, signed }: {
  title: string; note: string; rows: BarRow[]; format: (value: number) => string; signed: boolean;
}): string {
  const names = 270, width = 360, height = 22, top = 48;
  const low = Math.min(0, ...rows.map((r) => r.low ?? r.value)), high = Math.max(0, ...rows.map((r) => r.high ?? r.value));
  const x = scaleLinear([low, high === low ? low + 1 : high], [names, names + width]).nice();
  const body = [label(12, 24, title, { 'font-size': 16, 'font-weight': 600, 'font-family': 'Charter, Palatino, Georgia, serif' })];
  const bottom = top + rows.length * height;
  for (const tick of x.ticks(5)) {
    body.push(el('line', { x1: x(tick), x2: x(tick), y1: top, y2: bottom, stroke: tick === 0 ? '#1b1d22' : '#e5e1d8' }));
    body.push(label(x(tick), bottom + 16, format(tick), { 'text-anchor': 'middle', 'font-size': 10, fill: '#5b5f69' }));
  }
  rows.forEach((row, i) => {
    const y = top + i * height;
    body.push(label(names - 8, y + 15, shorten(row.name + (row.note ? `  ${row.note}` : ''), 44), { 'text-anchor': 'end' }));
    body.push(el('rect', {
      x: Math.min(x(0), x(row.value)), y: y + 4, width: Math.abs(x(row.value) - x(0)), height: height - 8,
      fill: signed ? hex(row.value < 0 ? kAgainst : kFor) : '#155e80',
    }));
    if (row.low !== undefined && row.high !== undefined) {
      body.push(el('line', { x1: x(row.low), x2: x(row.high), y1: y + height / 2, y2: y + height / 2, stroke: '#1b1d22', 'stroke-width': 1.5 }));
    }
    body.push(label(names + width + 10, y + 15, format(row.value), { 'font-size': 11 }));
  });
  return figure(names + width + 90, bottom + 24, title, note, ...body);
}

// Shares of each layer's heads and MLP, one pair of bars a layer.
export function layerFigure(title: string, note: string, layers: { heads: number; mlp: number }[], input: number): string {
  const rows: BarRow[] = [];
  layers.forEach((layer, l) => rows.unshift({ name: `layer ${l}, heads`, value: layer.heads }, { name: `layer ${l}, MLP`, value: layer.mlp }));
  rows.push({ name: 'INPUT', value: input });
  return barFigure({ title, note, rows, format: (v) => `${(100 * v).toFixed(1)} %`, signed: false });
}
