// One picture: scores of texts or classes, and where they come from: components, patches and words.
import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../api';
import type { ExplainRequest, Explanation, HeatmapRequest, Picture, Scores } from '../api_types';
import { Bar, SignedBar } from '../components/bars';
import { Exports } from '../components/exports';
import { HeatPicture, HeatScale, type Patch } from '../components/heat_picture';
import { PictureChoice } from '../components/picture_choice';
import { PlaceChoice } from '../components/place_choice';
import { describe, Provenance } from '../components/provenance';
import { Answered, Status } from '../components/status';
import { TextField, TextList } from '../components/texts_field';
import { largest, roundUp } from '../lib/colour';
import { barFigure } from '../lib/figures';
import { percent, plus, score } from '../lib/format';
import { all, link, one } from '../lib/route';
import { canvasBlob, fileName } from '../lib/save';
import { pictureOf, pictureParams, placeOf, saysPicture, useAnswer, type Page } from '../state';

const kMaps = 6;

export function PictureView({ page }: { page: Page }) {
  const { route, set } = page;
  const picture = pictureOf(route);
  const texts = all(route, 'text');
  return (
    <>
      <header class="top small">
        <p class="eyebrow">Picture</p>
        <h1 tabIndex={-1}>{picture === null ? 'Choose a picture' : saysPicture(picture)}</h1>
      </header>
      <div class="asks">
        <PictureChoice page={page} picture={picture} label="Picture" clear={false} onPick={(p) => set(pictureParams(p), true)} />
        <TextList texts={texts} most={page.limits.texts} longest={page.limits.text_bytes} onChange={(next) => set({ text: next, show: next.at(-1) ?? null, word: null })} />
      </div>
      {picture ? <Analysis page={page} picture={picture} texts={texts} key={JSON.stringify(picture)} />
        : <p class="muted lead">Drop or paste a picture anywhere on this page, choose a file, or take one of the store. The page then shows what it scores with any text, and which heads, patches and words the score comes from.</p>}
    </>
  );
}

function Analysis({ page, picture, texts }: { page: Page; picture: Picture; texts: string[] }) {
  const { source, route, set } = page;
  const byClasses = texts.length === 0;
  const scores = useAnswer(byClasses && source.classes.length === 0 ? null : `scores ${source.id} ${JSON.stringify([picture, texts])}`,
    (signal) => api.scores(source.id, { picture, texts, edit: null }, signal));
  const rows = scores.data?.scores ?? [];
  const wanted = one(route, 'show');
  const shown = (wanted !== null && rows.some((r) => r.text === wanted) ? wanted : rows[0]?.text) ?? null;
  const contrast = one(route, 'against') ?? (byClasses ? 'mean' : '');
  const place = placeOf(route);
  // The layer whose neurons the score is split over, as L9.
  const through = throughOf(page);

  // Classes are drawn against their mean, what speaks for one rather than the others; texts as they are.
  const named = byClasses ? rows.slice(0, kMaps).map((r) => r.text) : texts.slice(0, kMaps);
  const drawn = shown !== null && !named.includes(shown) ? [...named.slice(0, kMaps - 1), shown] : named;
  const ready = shown !== null && !scores.waiting;
  const heatAsk: HeatmapRequest | null = !ready ? null : {
    picture, texts: drawn, in: place,
    against: byClasses || contrast === 'classes' ? { classes: true } : contrast ? { text: contrast } : null,
  };
  const heat = useAnswer(heatAsk && `heatmap ${source.id} ${JSON.stringify(heatAsk)}`, (signal) => api.heatmap(source.id, heatAsk!, signal));
  const explainAsk: ExplainRequest | null = !ready ? null : byClasses
    ? { picture, class: shown, against: contrast, through, top: 8 }
    : { picture, text: shown, against: contrast && contrast !== 'classes' ? contrast : null, through, top: 8 };
  const explain = useAnswer(explainAsk && `explain ${source.id} ${JSON.stringify(explainAsk)}`, (signal) => api.explain(source.id, explainAsk!, signal));

  const [patch, setPatch] = useState<Patch | null>(null);
  const pinned = one(route, 'word');
  const [pointed, setPointed] = useState<number | null>(null);
  const word = pointed ?? (pinned !== null && explain.data && Number(pinned) < explain.data.words.length ? Number(pinned) : null);
  const [neuron, setNeuron] = useState<string | null>(null);
  const canvas = useRef<HTMLCanvasElement | null>(null);

  const maps = heat.data?.maps ?? [];
  const current = maps.find((m) => m.text === shown) ?? null;
  // Of a class, contrasts other than with the mean come from its explanation, by all heads.
  const fromExplain = byClasses && contrast !== 'mean';
  const geometry = heat.data ?? explain.data;
  const g = current?.map.length ?? explain.data?.map.length ?? source.grid;
  const fold = (row: number[] | undefined) => row && row.length === g * g ? Array.from({ length: g }, (_, y) => row.slice(y * g, y * g + g)) : null;
  const speaking = neuron === null ? null : (explain.data?.through?.strongest.find((n) => n.neuron === neuron) ?? null);
  const map = speaking ? fold(speaking.patches) : word !== null && explain.data ? fold(explain.data.patch_word[word]) : fromExplain ? (explain.data?.map ?? null) : (current?.map ?? null);
  // One scale for all texts, so that maps can be compared; words have a scale of their own.
  const scale = roundUp(speaking ? Math.max(...explain.data!.through!.strongest.map((n) => largest([n.patches]))) : word !== null && explain.data ? largest(explain.data.patch_word) : fromExplain ? largest(explain.data?.map ?? []) : Math.max(0, ...maps.map((m) => largest(m.map))));
  useEffect(() => setPatch(null), [g]);
  // What the patch brings to each text that has a map.
  const here = (text: string): number | null => {
    const values = fromExplain ? (explain.data?.text === text ? explain.data.map : null) : maps.find((m) => m.text === text)?.map;
    return (patch && values?.[patch.row]?.[patch.column]) ?? null;
  };

  const name = fileName(source.name, 'item' in picture ? `picture-${picture.item}` : 'neuron_picture' in picture ? `neurons-${picture.neuron_picture}` : 'picture', shown ?? '');
  const what = speaking ? `what ${speaking.neuron} brings to “${shown}”` : word !== null && explain.data ? `the word “${explain.data.words[word]!.text}”` : shown !== null ? `“${shown}”${contrast ? ` against ${contrast === 'classes' || contrast === 'mean' ? 'the mean of the classes' : contrast === 'runner-up' ? 'the runner-up' : `“${contrast}”`}` : ''}` : 'the picture';

  return (
    <div class="picture-view">
      <section class="look" aria-labelledby="map-title">
        <h2 id="map-title" class="hide">Heat map</h2>
        <HeatPicture source={source} picture={picture} size={geometry} region={geometry?.region ?? null} map={map} scale={scale}
          patch={patch} onPatch={setPatch} label={`Heat map of ${what} over the picture`} canvasRef={canvas} />
        <p class="caption" aria-live="polite"><b>{what}</b>{current && word === null && !speaking && !fromExplain ? <> · score {score(current.score)}, patches {score(current.map_sum)}</> : null}</p>
        {map && <HeatScale scale={scale} />}
        <div class="tools">
          <Contrast page={page} byClasses={byClasses} shown={shown} value={contrast} />
          <PlaceChoice source={source} route={route} set={(changes) => set(changes)} disabled={fromExplain} />
        </div>
        <Status asked={heat} what="the heat map" />
        <div class="foot">
          <Provenance computed={heat.data ? { ...heat.data } : null} source={source} more={current ? [current.heads.length === source.layers * source.heads ? 'all heads' : current.heads.join(' ')] : []} />
          <Exports name={fileName(name, 'heatmap')} what="the heat map" json={heat.answer?.text}
            png={heatAsk ? (word !== null || speaking || fromExplain ? () => canvasBlob(canvas.current!) : () => api.heatmapPng(source.id, heatAsk)) : undefined}
            table={heat.data ? () => ({ header: ['text', 'against', 'row', 'column', 'score'], rows: heat.data!.maps.flatMap((m) => m.map.flatMap((r, y) => r.map((v, x) => [m.text, m.against ?? '', y, x, v]))) }) : undefined} />
        </div>
      </section>
      <div class="tell">
        <section aria-labelledby="scores-title">
          <div class="title"><h2 id="scores-title">{byClasses ? 'Classes' : 'Scores'}</h2>
            <Exports name={fileName(name, 'scores')} what="scores" json={scores.answer?.text}
              svg={scores.data ? () => barFigure({ title: 'Scores', note: describe(scores.data!, source), signed: true, format: score, rows: rows.slice(0, 20).map((r) => ({ name: r.text, value: r.score })) }) : undefined}
              table={scores.data ? () => ({ header: ['text', 'score', 'probability'], rows: rows.map((r) => [r.text, r.score, r.probability]) }) : undefined} />
          </div>
          <Status asked={scores} what="scores" />
          {byClasses && source.classes.length === 0 && <p class="muted">Type a text above to score it.</p>}
          {scores.data && <Answered asked={scores}><ScoreTable scores={scores.data} shown={shown} most={byClasses ? 8 : 50} patch={patch} here={here} onShow={(text) => set({ show: text, word: null })} /></Answered>}
          {byClasses && rows.length > 0 && <p class="note muted">Of {source.classes.length} classes; probability over all of them. Add texts above to score these instead.</p>}
        </section>
        <Status asked={explain} what="the explanation" />
        {explain.data && (
          <Answered asked={explain}>
            <Components page={page} explain={explain.data} json={explain.answer!.text} name={name} only={current && !('heads' in place && place.heads === 'all') ? new Set(current.heads) : null} ask={explainAsk!} />
            <Through page={page} through={through} explain={explain.data} json={explain.answer!.text} name={name} pointed={neuron} onPoint={setNeuron} />
            <Words explain={explain.data} word={word} pinned={pinned} onPoint={setPointed} onPin={(w) => set({ word: w })} patch={patch} g={g} />
            <Provenance computed={explain.data} source={source} more={[`score ${score(explain.data.score)}`]} />
          </Answered>
        )}
      </div>
    </div>
  );
}

function Contrast({ page, byClasses, shown, value }: { page: Page; byClasses: boolean; shown: string | null; value: string }) {
  const { source, route, set } = page;
  const texts = all(route, 'text').filter((t) => t !== shown);
  const [typing, setTyping] = useState(false);
  const fixed = byClasses ? ['mean', 'runner-up'] : ['', 'classes', ...texts];
  const own = value !== '' && !fixed.includes(value);
  return (
    <>
      <label>Against{' '}
        <select aria-label="Against" value={typing ? '+' : value} onChange={(event) => {
          const next = event.currentTarget.value;
          setTyping(next === '+');
          if (next !== '+') set({ against: byClasses && next === 'mean' ? null : next });
        }}>
          {byClasses ? (
            <>
              <option value="mean">mean of the classes</option>
              <option value="runner-up">runner-up</option>
              <optgroup label="A class">{source.classes.filter((c) => c !== shown).map((c) => <option key={c} value={c}>{c}</option>)}</optgroup>
            </>
          ) : (
            <>
              <option value="">nothing</option>
              {source.classes.length > 0 && <option value="classes">mean of the classes</option>}
              {texts.map((t) => <option key={t} value={t}>{t}</option>)}
              {own && <option value={value}>{value}</option>}
              <option value="+">another text …</option>
            </>
          )}
        </select>
      </label>
      {typing && !byClasses && <TextField label="Against the text" value={own ? value : ''} button="Use" most={page.limits.text_bytes} onSubmit={(t) => { setTyping(false); set({ against: t || null }); }} />}
    </>
  );
}

function ScoreTable({ scores, shown, onShow, most, patch, here }: {
  scores: Scores; shown: string | null; onShow: (text: string) => void; most: number; patch: Patch | null; here: (text: string) => number | null;
}) {
  const at = scores.scores.findIndex((s) => s.text === shown);
  const rows = scores.scores.slice(0, most);
  if (at >= most) rows.push(scores.scores[at]!);
  const end = Math.max(...scores.scores.map((s) => Math.abs(s.score)), 1e-9);
  const where = patch ? `row ${patch.row + 1}, column ${patch.column + 1}` : 'a patch';
  const value = (text: string) => { const number = here(text); return number === null ? '' : plus(number); };
  return (
    <>
      <table class="texts scores">
        <thead><tr><th scope="col">text</th><th scope="col" class="number">score</th><th scope="col" class="number">probability</th><th scope="col" class="meter"><span class="hide">bar</span></th><th scope="col" class="number patch" title="What the patch under the pointer brings to the score">{where}</th></tr></thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.text} class={row.text === shown ? 'chosen' : undefined}>
              <td class="text"><button type="button" class="link" aria-pressed={row.text === shown} onClick={() => onShow(row.text)}><bdi>{row.text}</bdi></button></td>
              <td class="number">{score(row.score)}</td>
              <td class="number">{percent(row.probability)}</td>
              <td class="meter"><Bar part={Math.max(0, row.score) / end} /></td>
              <td class="number patch">{value(row.text)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="hide" aria-live="polite">{patch ? `Patch in ${where}: ${rows.map((r) => [r.text, value(r.text)]).filter(([, v]) => v).map(([t, v]) => `${t} ${v}`).join('; ')}` : ''}</p>
      <p class="note muted">Point at the picture, or focus it and use the arrow keys: the last column then says what that patch brings to each text.</p>
    </>
  );
}

function Components({ page, explain, json, name, only, ask }: { page: Page; explain: Explanation; json: string; name: string; only: Set<string> | null; ask: ExplainRequest }) {
  const { source } = page;
  const list = only ? explain.components.filter((c) => only.has(c.component)) : explain.components;
  const pro = list.filter((c) => c.score > 0).slice(0, 8), con = list.filter((c) => c.score < 0).slice(-8).reverse();
  const end = Math.max(1e-9, ...list.map((c) => Math.abs(c.score)));
  const side = (title: string, rows: typeof list, kind: 'for' | 'against') => (
    <div>
      <h3>{title}</h3>
      <table class="texts components">
        <caption class="hide">{title}</caption>
        <tbody>
          {rows.map((row) => (
            <tr key={row.component}>
              <th scope="row">{row.component.includes('.H') && source.kind === 'store' ? <a href={link(source.id, 'head', row.component)}>{row.component}</a> : row.component}</th>
              <td class="text">{row.label ? <span class="kind">{row.label}</span> : ''}</td>
              <td class="number">{plus(row.score)}</td>
              <td class="meter"><Bar part={Math.abs(row.score) / end} kind={kind} /></td>
            </tr>
          ))}
          {rows.length === 0 && <tr><td class="muted">none</td></tr>}
        </tbody>
      </table>
    </div>
  );
  return (
    <section aria-labelledby="components-title">
      <div class="title"><h2 id="components-title">What speaks for it, and against</h2>
        <Exports name={fileName(name, 'explain')} what="the explanation" json={json}
          png={() => api.explainPng(source.id, ask)}
          svg={() => barFigure({ title: `${explain.text}: score ${score(explain.score)}`, note: describe(explain, source), signed: true, format: (v) => plus(v), rows: [...pro, ...[...con].reverse()].map((c) => ({ name: c.component, note: c.label ?? '', value: c.score })) })}
          table={() => ({ header: ['component', 'score', 'label'], rows: explain.components.map((c) => [c.component, c.score, c.label ?? '']) })} />
      </div>
      <p class="muted note">“{explain.text}”{explain.against ? <> against {explain.against_kind === 'mean' ? 'the mean of the classes' : <>“{explain.against}”</>}</> : ''}: {score(explain.score)}. All components add up to it{only ? '; shown are the chosen heads' : ''}.</p>
      <div class="columns">{side('For', pro, 'for')}{side('Against', con, 'against')}</div>
    </section>
  );
}

// The layer that the address names, as long as attention comes after it; the last of the store of neurons otherwise.
function throughOf(page: Page): string | null {
  const { source, route } = page;
  const wanted = one(route, 'through');
  if (wanted === 'none') return null;
  if (wanted !== null && /^L\d+$/.test(wanted) && Number(wanted.slice(1)) < source.layers - 1) return wanted;
  return source.neurons ? `L${source.neurons.layers[1]}` : null;
}

function Through({ page, through, explain, json, name, pointed, onPoint }: {
  page: Page; through: string | null; explain: Explanation; json: string; name: string; pointed: string | null; onPoint: (neuron: string | null) => void;
}) {
  const { source, set } = page;
  const split = explain.through;
  const neurons = split?.strongest ?? [];
  const end = Math.max(1e-9, ...neurons.map((n) => Math.abs(n.score)));
  const strongest = (heads: { head: string; score: number }[]) => heads.reduce((a, b) => (Math.abs(b.score) > Math.abs(a.score) ? b : a));
  const stored = source.neurons && split && split.layer >= source.neurons.layers[0]! && split.layer <= source.neurons.layers[1]!;
  return (
    <section aria-labelledby="through-title">
      <div class="title"><h2 id="through-title">Neurons that speak for it, and against</h2>
        {split && <Exports name={fileName(name, 'neurons')} what="the neurons" json={json}
          svg={() => barFigure({ title: `${explain.text}: neurons of layer ${split.layer}`, note: describe(explain, source), signed: true, format: (v) => plus(v), rows: neurons.map((n) => ({ name: n.neuron, note: n.words ?? '', value: n.score })) })}
          table={() => ({ header: ['neuron', 'score', 'head', 'score_through_head', 'words'], rows: neurons.flatMap((n) => n.heads.map((h) => [n.neuron, n.score, h.head, h.score, n.words ?? ''])) })} />}
      </div>
      <div class="tools"><label>Neurons of{' '}
        <select aria-label="Neurons of a layer" value={through ?? 'none'} onChange={(event) => set({ through: event.currentTarget.value })}>
          <option value="none">no layer</option>
          {Array.from({ length: source.layers - 1 }, (_, l) => <option key={l} value={`L${l}`}>layer {l}</option>).reverse()}
        </select>
      </label></div>
      {split && (
        <>
          <p class="muted note">What the neurons of layer {split.layer} bring through the attention of later layers: {plus(split.neurons)} of {score(explain.score)}. The same heads bring {plus(split.later_heads)} from elsewhere, heads up to layer {split.layer} {plus(split.other_heads)}, MLPs {plus(split.mlps)}{split.pool_mlp !== undefined && `, POOL.MLP ${plus(split.pool_mlp)}`}, INPUT {plus(split.input)}, constants {plus(split.constants)}. Point at a neuron to see its patches.</p>
          <table class="texts neurons">
            <caption class="hide">Neurons of largest score</caption>
            <thead><tr><th scope="col">neuron</th><th scope="col">its texts</th><th scope="col" class="number">score</th><th scope="col" class="number">mostly through</th><th scope="col" class="meter"><span class="hide">bar</span></th></tr></thead>
            <tbody>
              {neurons.map((n) => {
                const by = strongest(n.heads);
                return (
                  <tr key={n.neuron} class={pointed === n.neuron ? 'chosen' : undefined} tabIndex={0} aria-label={`${n.neuron}, ${plus(n.score)}`}
                    onPointerEnter={() => onPoint(n.neuron)} onPointerLeave={() => onPoint(null)} onFocus={() => onPoint(n.neuron)} onBlur={() => onPoint(null)}>
                    <th scope="row">{stored ? <a href={link(source.id, 'neurons', n.neuron)}>{n.neuron}</a> : n.neuron}</th>
                    <td class="text"><bdi>{n.words ?? ''}</bdi></td>
                    <td class="number">{plus(n.score)}</td>
                    <td class="number">{source.kind === 'store' ? <a href={link(source.id, 'head', by.head)}>{by.head}</a> : by.head} <small>{plus(by.score)}</small></td>
                    <td class="meter"><SignedBar part={n.score / end} /></td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </>
      )}
    </section>
  );
}

function Words({ explain, word, pinned, onPoint, onPin, patch, g }: {
  explain: Explanation; word: number | null; pinned: string | null; onPoint: (word: number | null) => void; onPin: (word: string | null) => void; patch: Patch | null; g: number;
}) {
  const end = Math.max(1e-9, ...explain.words.map((w) => Math.abs(w.score)));
  return (
    <section aria-labelledby="words-title">
      <h2 id="words-title">Words</h2>
      <p class="muted note">What each word brings over the whole picture. Point at one or focus it: its patches are shown over the picture; press it to keep them there.</p>
      <ul class="word-list">
        {explain.words.map((w, i) => {
          const here = patch ? explain.patch_word[i]?.[patch.row * g + patch.column] : undefined;
          return (
            <li key={i}>
              <button type="button" class={word === i ? 'on' : undefined} aria-pressed={pinned === String(i)}
                onPointerEnter={() => onPoint(i)} onPointerLeave={() => onPoint(null)} onFocus={() => onPoint(i)} onBlur={() => onPoint(null)}
                onClick={() => onPin(pinned === String(i) ? null : String(i))}>
                <span class={`word ${w.kind}`}><bdi>{w.text}</bdi>{w.against ? <small> taken off</small> : null}</span>
                <span class="number">{plus(w.score)}</span>
                <SignedBar part={w.score / end} />
                {here !== undefined && <small class="muted">here {plus(here)}</small>}
              </button>
            </li>
          );
        })}
      </ul>
    </section>
  );
}
