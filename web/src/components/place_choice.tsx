// Which heads count: all, a set that is typed, or those of a property.
import { useEffect, useState } from 'preact/hooks';
import type { Source } from '../api_types';
import { one, type Route } from '../lib/route';

export function PlaceChoice({ source, route, set, disabled }: {
  source: Source; route: Route; set: (changes: Record<string, string | null>) => void; disabled?: boolean;
}) {
  const heads = one(route, 'heads') ?? '', property = one(route, 'by-property') ?? '';
  const kind = property ? 'property' : heads ? 'heads' : 'all';
  const [typing, setTyping] = useState(kind === 'heads');
  const [text, setText] = useState(heads);
  useEffect(() => setText(heads), [heads]);
  const labelled = source.labels === 'done' && source.properties.length > 0;
  return (
    <fieldset class="place" disabled={disabled}>
      <legend>Heads</legend>
      <select aria-label="Which heads count" value={typing && kind === 'all' ? 'heads' : kind === 'property' ? 'p:' + property : kind}
        onChange={(event) => {
          const value = event.currentTarget.value;
          setTyping(value === 'heads');
          if (value === 'all') set({ heads: null, 'by-property': null });
          else if (value.startsWith('p:')) set({ heads: null, 'by-property': value.slice(2) });
          else set({ 'by-property': null });
        }}>
        <option value="all">all heads</option>
        <option value="heads">these heads …</option>
        {labelled && <optgroup label="Heads of a property">{source.properties.map((name) => <option key={name} value={'p:' + name}>{name}</option>)}</optgroup>}
      </select>
      {(typing || kind === 'heads') && (
        <form class="field inline" onSubmit={(event) => { event.preventDefault(); set({ heads: text.trim() || null, 'by-property': null }); }}>
          <input type="text" aria-label="Heads, for example L5.H3, L4, last-2" placeholder="L5.H3, L4, last-2" value={text} onInput={(event) => setText(event.currentTarget.value)} />
          <button type="submit">Use</button>
        </form>
      )}
    </fieldset>
  );
}
