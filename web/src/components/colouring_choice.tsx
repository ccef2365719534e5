// The select of what a grid is coloured by, and the legend of it.
import type { Overview } from '../api_types';
import { bySays, type By, type Colouring } from '../lib/colouring';
import { categoryClass, edge, step } from '../lib/colour';
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
  const { by, largest, root, hues, lowest } = colouring;
  if (largest === null) {
    const used = new Set((overview.labels?.heads ?? []).map((h) => h.label));
    const properties = overview.labels?.properties ?? [];
    return (
      <div class="legend">
        <span>{bySays(by)}</span>
        {properties.map((p, i) => used.has(p) && <span key={p}><i class={categoryClass(hues[i]!, 1)} /> {p}</span>)}
        {used.has(null) && <span><i class="none" /> none</span>}
      </div>
    );
  }
  const says = (value: number) => (by === 'entanglement' ? count(value) : percent(value, by === 'confidence' ? 0 : 1));
  const steps = (most: number) => Array.from({ length: most }, (_, i) => i + 1);
  // On the side below zero no further than the values go.
  const below = -step(lowest, largest, root);
  return (
    <div class="legend">
      <span>{bySays(by)}</span>
      <span class="steps">
        {below > 0 && <>−{says(edge(below, largest, root))} {steps(below).reverse().map((n) => <i key={n} class={`n${n}`} title={`down to −${says(edge(n, largest, root))}`} />)}</>}
        {' '}0 {steps(10).map((n) => <i key={n} class={`p${n}`} title={`up to ${says(edge(n, largest, root))}`} />)} {says(largest)}
      </span>
      {root && <span>The middle of the scale is {says(edge(5, largest, root))}: colours follow the square root of the share.</span>}
    </div>
  );
}
