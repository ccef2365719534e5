// The line that says what was computed on what.
import type { Data, Model, Source } from '../api_types';
import { count, leaf, plural } from '../lib/format';

// What any answer says of itself.
export interface Computed {
  model?: Model | string;
  fingerprint?: string;
  data?: Data;
  images?: number;
  precision?: string;
  pool?: { name: string; texts: number };
  properties_name?: string;
}

export function describe(computed: Computed, source: Source, more: string[] = []): string {
  const model = typeof computed.model === 'string' ? computed.model : (computed.model?.name ?? source.model.name);
  const print = computed.fingerprint ?? (typeof computed.model === 'object' ? computed.model.fingerprint : source.model.fingerprint);
  const parts = [`${leaf(model)} ${print.slice(0, 12)}`];
  const sets = computed.data ?? [];
  if (computed.images !== undefined) {
    const names = sets.map((set) => `${leaf(set.root)} (${set.kind})`).join(', ');
    parts.push(`${plural(computed.images, 'picture')}${names ? ' of ' + names : ''}`);
  }
  if (computed.pool) parts.push(`${count(computed.pool.texts)} texts of ${leaf(computed.pool.name)}`);
  if (computed.properties_name) parts.push(`properties of ${leaf(computed.properties_name)}`);
  const precision = computed.precision ?? source.precision;
  if (precision) parts.push(precision);
  return [...parts, ...more].join(' · ');
}

export function Provenance({ computed, source, more }: { computed: Computed | null; source: Source; more?: string[] }) {
  if (!computed) return null;
  const roots = (computed.data ?? []).map((set) => set.root).join(', ');
  return <p class="provenance" title={roots || undefined}>Computed on {describe(computed, source, more)}</p>;
}
