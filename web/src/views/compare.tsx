// Two sources side by side, their heads matched by the similarity of what they write.
import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../api';
import type { Labels, Match, Overview, Source } from '../api_types';
import { Bar } from '../components/bars';
import { ByChoice, Legend } from '../components/colouring_choice';
import { Exports } from '../components/exports';
import { HeadGrid } from '../components/head_grid';
import { PictureChoice } from '../components/picture_choice';
import { describe, Provenance } from '../components/provenance';
import { Answered, Status } from '../components/status';
import { TextList } from '../components/texts_field';
import { colouring, isBy, type By } from '../lib/colouring';
import { gridFigure } from '../lib/figures';
import { count, decimals, percent, score } from '../lib/format';
import { all, link, one } from '../lib/route';
import { canvasBlob, fileName } from '../lib/save';
import { pictureOf, pictureParams, useAnswer, type Page } from '../state';

export function CompareView({ page }: { page: Page }) {
  const { source, sources, route, set } = page;
  const others = sources.filter((s) => s.kind === 'store' && s.id !== source.id);
  const other = others.find((s) => s.id === one(route, 'with')) ?? others[0] ?? null;
  const [pointed, setPointed] = useState<string | null>(null);
  const a = useAnswer(source.kind === 'store' ? `overview ${source.id}` : null, (signal) => api.overview(source.id, signal));
  const b = useAnswer(other ? `overview ${other.id}` : null, (signal) => api.overview(other!.id, signal));
  const match = useAnswer(other && source.kind === 'store' ? `match ${source.id} ${other.id}` : null, (signal) => api.match(source.id, other!.id, signal));
  const wanted = one(route, 'by');
  const by: By = isBy(wanted) ? wanted : 'share';
  const common = Math.max(...[a.data, b.data].map((overview) => (overview && colouring(overview, by).by === by ? (colouring(overview, by).largest ?? 0) : 0)));
  const [from, name] = (pointed ?? '').split(' ');
  const mate = (side: 'a' | 'b'): string | null => {
    if (!name || !match.data) return null;
    if (from === side) return name;
    const found = match.data.matches.find((m) => (from === 'a' ? m.a : m.b) === name);
    return found ? (side === 'a' ? found.a : found.b) : null;
  };
  return (
    <>
      <header class="top small">
        <p class="eyebrow">Compare</p>
        <h1 tabIndex={-1}>{other ? `${source.name} and ${other.name}` : 'Compare'}</h1>
      </header>
      {!other || source.kind !== 'store' ? (
        <p class="muted lead">There is one store here. Start <code>cliplens serve FIRST SECOND</code> with two stores to compare them.</p>
      ) : (
        <>
          <div class="tools">
            <label>With{' '}
              <select value={other.id} onChange={(event) => set({ with: event.currentTarget.value }, true)}>
                {others.map((s) => <option key={s.id} value={s.id}>{s.name}</option>)}
              </select></label>
            {a.data && <ByChoice overview={a.data} by={by} onChange={(next) => set({ by: next === 'share' ? null : next })} />}
          </div>
          <div class="columns pair">
            {([['a', source, a], ['b', other, b]] as const).map(([side, which, asked]) => (
              <section key={side} aria-label={which.name}>
                <Status asked={asked} what={which.name} />
                {asked.data && <Side source={which} overview={asked.data} beside={(side === 'a' ? b : a).data?.labels ?? null} json={asked.answer!.text} by={by} largest={common} marked={mate(side)} onPoint={(c) => setPointed(c && `${side} ${c}`)} />}
              </section>
            ))}
          </div>
          <Status asked={match} what="the match" />
          {match.data && <Answered asked={match}><Matched page={page} other={other} match={match.data} json={match.answer!.text} mate={mate} /></Answered>}
          <BothScores page={page} other={other} />
        </>
      )}
    </>
  );
}

function Side({ source, overview, beside, json, by, largest, marked, onPoint }: { source: Source; overview: Overview; beside: Labels | null; json: string; by: By; largest: number; marked: string | null; onPoint: (component: string | null) => void }) {
  const colours = colouring(overview, by, colouring(overview, by).by === by ? largest : 0, beside);
  return (
    <>
      <div class="title"><h2>{source.name}</h2>
        <Exports name={fileName(source.name, 'grid')} what={`the grid of ${source.name}`} json={json}
          svg={() => gridFigure({ title: source.name, note: describe(overview, source), layers: source.layers, heads: source.heads, mlps: by === 'share', cell: (layer, head) => colours.cell(head === null ? `L${layer}.MLP` : `L${layer}.H${head}`, layer, head) })} />
      </div>
      {colours.by !== by && <p class="muted note">This store has no labels; its grid is coloured by share.</p>}
      <HeadGrid label={`Heads of ${source.name}`} layers={source.layers} heads={source.heads} mlps={colours.by === 'share'} cell={colours.cell} marked={marked} onPoint={onPoint} words={colours.by === 'label'}
        href={(c) => (c.includes('.H') ? link(source.id, 'head', c) : null)} />
      <Legend colouring={colours} overview={overview} />
      <Provenance computed={overview} source={source} />
    </>
  );
}

function Matched({ page, other, match, json, mate }: { page: Page; other: Source; match: Match; json: string; mate: (side: 'a' | 'b') => string | null }) {
  const { source } = page;
  const canvas = useRef<HTMLCanvasElement>(null);
  const [at, setAt] = useState<{ a: number; b: number } | null>(null);
  const [whole, setWhole] = useState(false);
  const rows = match.heads_a.length, columns = match.heads_b.length;
  const size = Math.max(2, Math.floor(720 / Math.max(rows, columns)));
  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    element.width = columns * size;
    element.height = rows * size;
    const context = element.getContext('2d')!;
    for (let a = 0; a < rows; ++a) for (let b = 0; b < columns; ++b) {
      const part = Math.max(0, Math.min(1, match.similarity[a]?.[b] ?? 0));
      // White to the accent, the same in both themes, so that a saved figure looks as here.
      context.fillStyle = `rgb(${Math.round(251 - 230 * part)} ${Math.round(250 - 156 * part)} ${Math.round(247 - 119 * part)})`;
      context.fillRect(b * size, a * size, size, size);
    }
  }, [match]);
  const point = (event: PointerEvent) => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const b = Math.floor(((event.clientX - box.left) / box.width) * columns), a = Math.floor(((event.clientY - box.top) / box.height) * rows);
    setAt(a >= 0 && a < rows && b >= 0 && b < columns ? { a, b } : null);
  };
  const move = (event: KeyboardEvent) => {
    const steps: Record<string, [number, number]> = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const by = steps[event.key];
    if (!by) return;
    event.preventDefault();
    setAt(at ? { a: Math.max(0, Math.min(rows - 1, at.a + by[0])), b: Math.max(0, Math.min(columns - 1, at.b + by[1])) } : { a: 0, b: 0 });
  };
  const says = at ? `${match.heads_a[at.a]} and ${match.heads_b[at.b]}: ${decimals(match.similarity[at.a]?.[at.b] ?? NaN, 3)}` : '';
  const shown = whole ? match.matches : match.matches.slice(0, 20);
  return (
    <section aria-labelledby="match-title">
      <div class="title"><h2 id="match-title">Heads that write the same</h2>
        <Exports name={fileName(source.name, other.name, 'match')} what="the match" json={json} png={() => canvasBlob(canvas.current!)}
          table={() => ({ header: ['a', 'b', 'similarity', 'similarity_low', 'similarity_high', 'share_a', 'share_b', 'label_a', 'label_b'], rows: match.matches.map((m) => [m.a, m.b, m.similarity?.value ?? '', m.similarity?.low ?? '', m.similarity?.high ?? '', m.share_a, m.share_b, m.label_a, m.label_b]) })} />
      </div>
      <p class="note muted">Similarity of two heads’ contributions on {count(match.images)} pictures that both stores hold: debiased linear CKA, 1 if one is the other turned, shifted and scaled. Matches are one to one, the most similar first. Heads that have nothing in common reach {decimals(match.chance, 3)} on these pictures; {match.above_chance} of {match.matches.length} matches are above.</p>
      <div class="columns">
        <div>
          <div class="matrix" role="application" aria-roledescription="matrix" tabIndex={0} aria-label={`Similarity of ${rows} heads with ${columns}; arrow keys choose a pair. ${says}`} onPointerMove={point} onPointerLeave={() => setAt(null)} onKeyDown={move}>
            <canvas ref={canvas} role="img" aria-label="Matrix of similarities; the table beside it has the best pairs" />
            {at && <i class="cursor" style={{ left: `${(100 * at.b) / columns}%`, top: `${(100 * at.a) / rows}%`, width: `${100 / columns}%`, height: `${100 / rows}%` }} />}
          </div>
          <p class="caption" aria-live="polite">{says || <>Rows: {source.name}, L0 on top. Columns: {other.name}, L0 left. White 0, blue 1.</>}</p>
        </div>
        <div>
          <table class="texts">
            <caption class="hide">Matched heads</caption>
            <thead><tr><th scope="col">{source.name}</th><th scope="col">{other.name}</th><th scope="col" class="number">similarity</th><th scope="col" class="meter"><span class="hide">bar</span></th></tr></thead>
            <tbody>
              {shown.map((m) => (
                <tr key={m.a} class={mate('a') === m.a && mate('b') === m.b ? 'chosen' : undefined}>
                  <td><a href={link(source.id, 'head', m.a)}>{m.a}</a> <span class="kind">{m.label_a ?? ''} {percent(m.share_a)}</span></td>
                  <td><a href={link(other.id, 'head', m.b)}>{m.b}</a> <span class="kind">{m.label_b ?? ''} {percent(m.share_b)}</span></td>
                  <td class="number" title={m.similarity ? `95 % bounds: ${decimals(m.similarity.low, 3)} to ${decimals(m.similarity.high, 3)}` : undefined}>{m.similarity ? decimals(m.similarity.value, 3) : 'unknown'}</td>
                  <td class="meter"><Bar part={Math.max(0, m.similarity?.value ?? 0)} /></td>
                </tr>
              ))}
            </tbody>
          </table>
          {match.matches.length > 20 && <button type="button" class="quiet" onClick={() => setWhole(!whole)}>{whole ? 'Fewer' : `All ${match.matches.length} matches`}</button>}
        </div>
      </div>
      <p class="provenance">Computed on {match.a.model.name} {match.a.model.fingerprint.slice(0, 12)} and {match.b.model.name} {match.b.model.fingerprint.slice(0, 12)} · {count(match.images)} of {count(match.common)} common pictures</p>
    </section>
  );
}

function BothScores({ page, other }: { page: Page; other: Source }) {
  const { source, route, set, limits } = page;
  const picture = pictureOf(route), texts = all(route, 'text');
  // An item's number means the same picture only where both stores hold the same sets; a picture that was sent always does.
  const ready = picture !== null && (texts.length > 0 || source.classes.length > 0);
  const body = { picture: picture!, texts, edit: null };
  const a = useAnswer(ready ? `scores ${source.id} ${JSON.stringify(body)}` : null, (signal) => api.scores(source.id, body, signal));
  const b = useAnswer(ready ? `scores ${other.id} ${JSON.stringify(body)}` : null, (signal) => api.scores(other.id, body, signal));
  const second = new Map((b.data?.scores ?? []).map((s) => [s.text, s]));
  const rows = (a.data?.scores ?? []).slice(0, 12);
  const best = b.data?.scores[0];
  const same = !picture || 'picture' in picture || (JSON.stringify(source.data) === JSON.stringify(other.data));
  return (
    <section aria-labelledby="both-title">
      <div class="title"><h2 id="both-title">A picture by both</h2>
        <Exports name={fileName(source.name, other.name, 'scores')} what="scores of both" json={a.answer && b.answer ? `[${a.answer.text.trim()},\n${b.answer.text.trim()}]\n` : undefined}
          table={a.data && b.data ? () => ({ header: ['text', 'score_a', 'probability_a', 'score_b', 'probability_b'], rows: a.data!.scores.map((r) => [r.text, r.score, r.probability, second.get(r.text)?.score, second.get(r.text)?.probability]) }) : undefined} />
      </div>
      <div class="asks">
        <PictureChoice page={page} picture={picture} label="Picture" onPick={(p) => set(pictureParams(p), true)} />
        <TextList texts={texts} most={limits.texts} longest={limits.text_bytes} onChange={(next) => set({ text: next })} />
      </div>
      {!same && <p class="notice">The stores hold different sets, so picture {picture && 'item' in picture ? picture.item : ''} may be another one in {other.name}. Drop the picture to be sure.</p>}
      <Status asked={a} what={`scores by ${source.name}`} />
      <Status asked={b} what={`scores by ${other.name}`} />
      {rows.length > 0 && (
        <Answered asked={b}>
          <table class="texts narrow">
            <caption class="hide">Scores of the picture by both</caption>
            <thead><tr><th scope="col">text</th><th scope="col" class="number">{source.name}</th><th scope="col" class="number">probability</th><th scope="col" class="number">{other.name}</th><th scope="col" class="number">probability</th></tr></thead>
            <tbody>
              {rows.map((r) => {
                const s = second.get(r.text);
                return (
                  <tr key={r.text}><td class="text"><bdi>{r.text}</bdi></td><td class="number">{score(r.score)}</td><td class="number">{percent(r.probability)}</td><td class="number">{s ? score(s.score) : '–'}</td><td class="number">{s ? percent(s.probability) : '–'}</td></tr>
                );
              })}
            </tbody>
          </table>
          {best && <p class="note muted">Best by {other.name}: <bdi>{best.text}</bdi>, {score(best.score)}.</p>}
          <Provenance computed={a.data} source={source} more={b.data ? [describe(b.data, other)] : []} />
        </Answered>
      )}
    </section>
  );
}
