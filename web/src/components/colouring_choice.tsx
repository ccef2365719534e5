// The select of what a grid is coloured by, and the legend of it.
import type { Overview } from '../api_types';
import { bySays, type By, type Colouring } from '../lib/colouring';
import { categoryClass } from '../lib/colour';
import { count, percent } from '../lib/format';

export function ByChoice({ overview, by, onChange }: { overview: Overview; by: By; onChange: (by: By) => void }) {
  const labels = overview.labels;
  return (
    <label>Coloured by{' '}
      <select value={by} onChange={(event) => onChange(event.currentTarget.value as By)}>
        <option value="share">share of variance</option>
        {labels && <option value="label">label</option>}
        {labels && <option value="confidence">confidence of the label</option>}
        {labels && <option value="entanglement">entanglement</option>}
        {labels && <optgroup label="Share of a property">{labels.properties.map((p) => <option key={p} value={`property:${p}`}>{p}</option>)}</optgroup>}
      </select>
    </label>
  );
}

export function Legend({ colouring, overview }: { colouring: Colouring; overview: Overview }) {
  const { by, largest, negative } = colouring;
  if (largest === null) {
    const used = new Set((overview.labels?.heads ?? []).map((h) => h.label));
    const properties = overview.labels?.properties ?? [];
    return (
      <div class="legend">
        <span>{bySays(by)}</span>
        {properties.map((p, i) => used.has(p) && <span key={p}><i class={categoryClass(i, 1)} /> {p}</span>)}
        {used.has(null) && <span><i class="none" /> none</span>}
      </div>
    );
  }
  const end = by === 'entanglement' ? count(largest) : percent(largest, by === 'confidence' ? 0 : 1);
  return (
    <div class="legend">
      <span>{bySays(by)}</span>
      <span class="steps">
        {negative && <>−{end} {[10, 8, 6, 4, 2].map((n) => <i key={n} class={`n${n}`} />)}</>}
        <i class="z" />{[2, 4, 6, 8, 10].map((n) => <i key={n} class={`p${n}`} />)} {end}
      </span>
    </div>
  );
}
