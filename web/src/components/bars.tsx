// Bars beside numbers; the number says it, the bar shows it.
import type { Estimate } from '../api_types';

const width = (part: number) => `${(100 * Math.max(0, Math.min(1, part))).toFixed(2)}%`;

// A bar from 0 to 1; `before` is what earlier rows have, drawn pale.
export function Bar({ part, before = 0, kind = '' }: { part: number; before?: number; kind?: string }) {
  return (
    <span class={`bar ${kind}`} aria-hidden="true">
      {before > 0 && <i class="before" style={{ width: width(before) }} />}
      <i class="part" style={{ width: width(part) }} />
    </span>
  );
}

// A bar from the middle: right for, left against.
export function SignedBar({ part }: { part: number }) {
  const half = Math.max(0, Math.min(1, Math.abs(part))) / 2;
  return (
    <span class="bar signed" aria-hidden="true">
      <i class={part < 0 ? 'against' : 'for'} style={{ left: width(part < 0 ? 0.5 - half : 0.5), width: width(half) }} />
    </span>
  );
}

// An estimate on an axis from `low` to `high`, and a tick for what chance gives.
export function Interval({ estimate, chance, low, high }: { estimate: Estimate; chance?: number; low: number; high: number }) {
  const at = (x: number) => width((x - low) / (high - low));
  return (
    <span class="interval" aria-hidden="true">
      {low < 0 && <i class="zero" style={{ left: at(0) }} />}
      {chance !== undefined && <i class="chance" style={{ left: at(chance) }} />}
      <i class="whisker" style={{ left: at(estimate.low), width: width((estimate.high - estimate.low) / (high - low)) }} />
      <i class="dot" style={{ left: at(estimate.value) }} />
    </span>
  );
}
