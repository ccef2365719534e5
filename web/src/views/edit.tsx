// Switch components off and see at once what the model loses.
import { useRef, useState } from 'preact/hooks';
import { api, ApiError } from '../api';
import type { Edit, Edited, Estimate, Overview, Query, Ranked } from '../api_types';
import { ByChoice, Legend } from '../components/colouring_choice';
import { Exports } from '../components/exports';
import { HeadGrid, headName } from '../components/head_grid';
import { PictureChoice } from '../components/picture_choice';
import { describe, Provenance } from '../components/provenance';
import { Answered, ErrorLine, Status } from '../components/status';
import { TextField, TextList } from '../components/texts_field';
import { Thumb } from '../components/thumb';
import { colouring, isBy } from '../lib/colouring';
import { barFigure, gridFigure } from '../lib/figures';
import { bare, count, decimals, leaf, percent, plus, points, range, score } from '../lib/format';
import { all, link, one, type Route } from '../lib/route';
import { fileName, saveBlob } from '../lib/save';
import { pictureOf, pictureParams, useAnswer, type Page } from '../state';
import { poolMlpOf } from './overview';

// L3 stands for all heads of layer 3; everything else for itself.
export function expand(components: string[], heads: number): string[] {
  const names = new Set<string>();
  for (const component of components) {
    if (/^L\d+$/.test(component)) for (let h = 0; h < heads; ++h) names.add(headName(Number(component.slice(1)), h));
    else names.add(component);
  }
  return [...names];
}

export function editOf(route: Route, heads: number): Edit {
  const components = (one(route, 'off') ?? '').split(',').map((s) => s.trim()).filter((s) => /^(L\d+(\.(H\d+|MLP))?|INPUT|POOL\.MLP)$/.test(s));
  const scale = one(route, 'scale');
  const factor = scale === null ? 0 : Number(scale);
  return { components: expand(components, heads), mode: scale === null ? 'mean' : 'scale', scale: Number.isFinite(factor) ? factor : 0 };
}

const order = (component: string) => {
  const layer = component === 'INPUT' ? -1 : component === 'POOL.MLP' ? 9999 : Number(component.slice(1).split('.')[0]);
  return layer * 10000 + (component.includes('.H') ? Number(component.split('.H')[1]) : 9999);
};

export function EditView({ page }: { page: Page }) {
  const { source, route, set, limits } = page;
  const edit = editOf(route, source.heads);
  const off = new Set(edit.components);
  const overview = useAnswer(`overview ${source.id}`, (signal) => api.overview(source.id, signal));
  const picture = pictureOf(route), texts = all(route, 'text');
  const attribute = one(route, 'attribute') ?? source.attributes[0] ?? null;
  const queryText = one(route, 'query'), queryItem = one(route, 'query-item'), queryPicture = one(route, 'query-picture');
  const query: Query | null = queryText ? { text: queryText } : queryItem && /^\d+$/.test(queryItem) ? { item: Number(queryItem) } : queryPicture ? { picture: queryPicture } : null;
  const body = { edit, attribute: attribute === '' || attribute === 'none' ? null : attribute, query, count: 12, picture, texts };
  const asked = useAnswer(`edit ${source.id} ${JSON.stringify(body)}`, (signal) => api.edit(source.id, body, signal), { delay: 20, lane: 'edit' });
  const result = asked.data;
  const put = (names: Iterable<string>) => set({ off: [...new Set(names)].sort((a, b) => order(a) - order(b)).join(',') });
  const toggle = (names: string[]) => {
    const every = names.length > 0 && names.every((n) => off.has(n));
    const next = new Set(off);
    for (const n of names) if (every) next.delete(n); else next.add(n);
    put(next);
  };
  const wanted = one(route, 'by');
  const colours = overview.data ? colouring(overview.data, isBy(wanted) ? wanted : 'share') : null;
  const heads = Array.from({ length: source.heads }, (_, h) => h);

  return (
    <>
      <header class="top small">
        <p class="eyebrow">Edit</p>
        <h1 tabIndex={-1}>{off.size === 0 ? 'Nothing is edited' : `${off.size} ${off.size === 1 ? 'component' : 'components'} ${edit.mode === 'mean' ? 'replaced by the mean' : `scaled by ${edit.scale}`}`}</h1>
      </header>
      <div class="edit-view">
        <section aria-labelledby="components-title" class="switches">
          <h2 id="components-title" class="hide">Components</h2>
          <Status asked={overview} what="the grid" />
          {overview.data && colours && (
            <>
              <div class="tools"><ByChoice overview={overview.data} by={colours.by} onChange={(by) => set({ by: by === 'share' ? null : by })} /></div>
              <HeadGrid label="Components; press one to switch it" layers={source.layers} heads={source.heads} mlps
                cell={(component, layer, head) => colours.cell(component, layer, head) ?? { colour: 'none', text: '', title: 'MLP' }}
                pressed={(component) => off.has(component)} onToggle={(component) => toggle([component])} words={colours.by === 'label'}
                onRow={(layer) => toggle(heads.map((h) => headName(layer, h)))} />
              <Legend colouring={colours} overview={overview.data} />
            </>
          )}
          <div class="tools buttons">
            <button type="button" aria-pressed={off.has('INPUT')} onClick={() => toggle(['INPUT'])}>INPUT</button>
            <button type="button" onClick={() => toggle(Array.from({ length: source.layers }, (_, l) => headName(l, null)))}>All MLPs</button>
            {overview.data && poolMlpOf(overview.data) !== null && <button type="button" aria-pressed={off.has('POOL.MLP')} onClick={() => toggle(['POOL.MLP'])}>POOL.MLP</button>}
            {overview.data?.labels && <PropertyHeads overview={overview.data} onToggle={toggle} />}
            <button type="button" class="quiet" disabled={off.size === 0} onClick={() => put([])}>Clear</button>
          </div>
          <fieldset class="tools">
            <legend>They are</legend>
            <label><input type="radio" name="mode" checked={edit.mode === 'mean'} onChange={() => set({ scale: null })} /> replaced by their mean</label>
            <label><input type="radio" name="mode" checked={edit.mode === 'scale'} onChange={() => set({ scale: '0' })} /> scaled by</label>
            <input type="number" aria-label="Factor" step="0.1" min="-10" max="10" disabled={edit.mode !== 'scale'} value={String(edit.scale)} onInput={(event) => { if (event.currentTarget.value !== '') set({ scale: event.currentTarget.value }); }} />
          </fieldset>
          <Files page={page} edit={edit} overview={overview.data} />
        </section>
        <div class="effects">
          <Status asked={asked} what="the effect" />
          {result && (
            <Answered asked={asked}>
              <div class="title"><h2>Effect</h2>
                <Exports name={fileName(source.name, 'edit')} what="the effect" json={asked.answer?.text} svg={() => effectFigure(result, describe(result, source))} table={() => effectTable(result)} />
              </div>
              <Accuracy result={result} />
              <Provenance computed={result} source={source} more={[`${decimals(result.milliseconds, 0)} ms`]} />
            </Answered>
          )}
          {source.attributes.length > 0 && (
            <div class="tools"><label>Groups by{' '}
              <select value={attribute ?? 'none'} onChange={(event) => set({ attribute: event.currentTarget.value })}>
                <option value="none">nothing</option>
                {source.attributes.map((a) => <option key={a} value={a}>{a}</option>)}
              </select></label></div>
          )}
          {result?.groups && <Answered asked={asked}><Groups result={result} /></Answered>}
        </div>
      </div>
      <section aria-labelledby="ranking-title">
        <h2 id="ranking-title">Ranking of a query</h2>
        <div class="asks">
          {<TextField label="By a text" value={queryText ?? ''} button="Rank" placeholder="a picture of a duck" most={limits.text_bytes} onSubmit={(t) => set({ query: t || null, 'query-item': null, 'query-picture': null }, true)} />}
          <PictureChoice page={page} anywhere={false} picture={query && !('text' in query) ? query : null} label="By a picture"
            onPick={(p) => set({ query: null, 'query-item': p && 'item' in p ? String(p.item) : null, 'query-picture': p && 'picture' in p ? p.picture : null }, true)} />
        </div>
        {result?.ranking && <Answered asked={asked}><Ranking page={page} base={result.ranking.base} edited={result.ranking.edited} /></Answered>}
      </section>
      <section aria-labelledby="open-title">
        <h2 id="open-title">Scores of a picture</h2>
        <div class="asks">
          <PictureChoice page={page} picture={picture} label="Open picture" onPick={(p) => set(pictureParams(p), true)} />
          <TextList texts={texts} most={limits.texts} longest={limits.text_bytes} onChange={(next) => set({ text: next })} />
        </div>
        {result?.scores && <Answered asked={asked}><ScoresMoved scores={result.scores} /></Answered>}
      </section>
    </>
  );
}

function PropertyHeads({ overview, onToggle }: { overview: Overview; onToggle: (heads: string[]) => void }) {
  const labels = overview.labels!;
  const used = labels.properties.filter((p) => labels.heads.some((h) => h.label === p || h.second === p));
  return (
    <select aria-label="Switch the heads of a property" value="" onChange={(event) => {
      const property = event.currentTarget.value;
      event.currentTarget.value = '';
      if (property) onToggle(labels.heads.filter((h) => h.label === property || h.second === property).map((h) => h.head));
    }}>
      <option value="">Heads of a property …</option>
      {used.map((p) => <option key={p} value={p}>{p}</option>)}
    </select>
  );
}

function Files({ page, edit, overview }: { page: Page; edit: Edit; overview: Overview | null }) {
  const { source, set } = page;
  const [note, setNote] = useState('');
  const [said, setSaid] = useState('');
  const [problem, setProblem] = useState<string | null>(null);
  const input = useRef<HTMLInputElement>(null);
  const attempt = async (run: () => Promise<string>) => {
    setProblem(null);
    setSaid('');
    try {
      setSaid(await run());
    } catch (error) {
      setProblem(error instanceof ApiError ? error.message : String(error));
    }
  };
  return (
    <div class="files">
      <form class="field" onSubmit={(event) => {
        event.preventDefault();
        void attempt(async () => {
          saveBlob(await api.editFile(source.id, edit, note), fileName(source.name, 'edit') + '.json');
          return 'Saved. `cliplens classify --edit` and the other commands apply it.';
        });
      }}>
        <label><span>Note</span> <input type="text" value={note} maxLength={500} placeholder="why these" onInput={(event) => setNote(event.currentTarget.value)} /></label>
        <button type="submit" disabled={edit.components.length === 0}>Save the edit</button>
        <button type="button" onClick={() => input.current?.click()}>Load one</button>
        {overview && (
          <Exports name={fileName(source.name, 'edit-grid')} what="the edited grid" svg={() => {
            const off = new Set(edit.components);
            return gridFigure({
              title: `Edited components (${edit.mode === 'mean' ? 'replaced by the mean' : `scaled by ${edit.scale}`})`, note: describe(overview, source), layers: source.layers, heads: source.heads, mlps: true,
              cell: (layer, head) => (off.has(headName(layer, head)) ? { fill: '#a8460c', dark: true, text: 'edited' } : { fill: '#f4f2ec', dark: false, text: '' }),
            });
          }} />
        )}
      </form>
      <input ref={input} type="file" class="hide" tabIndex={-1} aria-label="Edit file" accept=".json,.edit,application/json" onChange={(event) => {
        const field = event.currentTarget;
        const file = field.files?.[0];
        if (file) {
          void attempt(async () => {
            const { edit: opened, note } = (await api.openEdit(source.id, file)).data;
            setNote(note ?? '');
            set({ off: expand(opened.components, source.heads).sort((a, b) => order(a) - order(b)).join(','), scale: opened.mode === 'scale' ? String(opened.scale) : null }, true);
            return `Loaded ${file.name}: ${opened.components.length} components.`;
          });
        }
        field.value = '';
      }} />
      <p class="note muted" role="status"><bdi>{said}</bdi></p>
      <ErrorLine message={problem} />
    </div>
  );
}

function Accuracy({ result }: { result: Edited }) {
  const { accuracy, groups } = result;
  const base = groups?.rows.find((r) => r.name === 'base'), edited = groups?.rows.find((r) => r.name === 'edit');
  if (!accuracy && !groups) return <p class="muted">{result.accuracy_problem ? `No accuracy: ${result.accuracy_problem}.` : 'No accuracy: start cliplens serve with --classes.'} Rankings and scores below follow the edit all the same.</p>;
  const row = (name: string, before: Estimate, after: Estimate) => (
    <tr key={name}>
      <th scope="row">{name}</th>
      <td class="number">{percent(before.value)}<small class="muted">{range(before)}</small></td>
      <td class="number strong">{percent(after.value)}<small class="muted">{range(after)}</small></td>
      <td class={`number ${after.value < before.value ? 'less' : after.value > before.value ? 'more' : ''}`}>{points(after.value - before.value)}</td>
    </tr>
  );
  return (
    <div aria-live="polite" aria-atomic="true">
      <table class="texts effect">
        <caption class="hide">Accuracy before and after the edit</caption>
        <thead><tr><th scope="col"><span class="hide">measure</span></th><th scope="col" class="number">as it is</th><th scope="col" class="number">edited</th><th scope="col" class="number">points</th></tr></thead>
        <tbody>
          {accuracy && row('accuracy', accuracy.base, accuracy.edited)}
          {base && edited && row('worst group', base.worst, edited.worst)}
          {base && edited && row('mean of the groups', base.group_mean, edited.group_mean)}
        </tbody>
      </table>
      {accuracy && <p class="note muted">{count(accuracy.images)} pictures with a label among the classes; bounds hold 95 %.</p>}
    </div>
  );
}

function Groups({ result }: { result: Edited }) {
  const { groups } = result;
  const [whole, setWhole] = useState(false);
  const base = groups!.rows.find((r) => r.name === 'base'), edited = groups!.rows.find((r) => r.name === 'edit') ?? base;
  if (!base || !edited) return null;
  const rows = edited.groups.map((after, i) => ({ after, before: base.groups[i]! }))
    .sort((a, b) => a.after.accuracy.value - b.after.accuracy.value || a.before.accuracy.value - b.before.accuracy.value);
  const shown = whole ? rows : rows.slice(0, 8);
  return (
    <>
      <table class="texts">
        <caption>Groups by {groups!.attribute}, the worst first</caption>
        <thead><tr><th scope="col">class</th><th scope="col">{groups!.attribute}</th><th scope="col" class="number">pictures</th><th scope="col" class="number">as it is</th><th scope="col" class="number">edited</th></tr></thead>
        <tbody>
          {shown.map(({ before, after }) => (
            <tr key={`${after.class} ${after.attribute}`} title={range(after.accuracy)}>
              <td><bdi>{after.class}</bdi></td><td><bdi>{after.attribute}</bdi></td><td class="number">{after.count}</td><td class="number">{percent(before.accuracy.value)}</td><td class="number">{percent(after.accuracy.value)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > 8 && <button type="button" class="quiet" onClick={() => setWhole(!whole)}>{whole ? 'Fewer groups' : `All ${count(rows.length)} groups`}</button>}
    </>
  );
}

function Ranking({ page, base, edited }: { page: Page; base: Ranked[]; edited: Ranked[] }) {
  const before = new Map(base.map((r) => [r.item, r.rank]));
  const list = (title: string, rows: Ranked[], moves: boolean) => (
    <div>
      <h3>{title}</h3>
      <ol class="thumbs">
        {rows.map((r) => {
          const was = before.get(r.item);
          const move = !moves || was === r.rank ? '' : was === undefined ? 'new' : was > r.rank ? `↑${was - r.rank}` : `↓${r.rank - was}`;
          return (
            <li key={r.item}>
              <a href={link(page.source.id, 'picture', '', { item: String(r.item) })}>
                <Thumb source={page.source} picture={{ item: r.item }} alt={`${r.rank}: ${leaf(r.path)}, ${score(r.score)}`} />
                <span class="caption">{score(r.score)} {move && <small class="move">{move}</small>}</span>
              </a>
            </li>
          );
        })}
      </ol>
    </div>
  );
  return <div class="columns" aria-live="polite">{list('As it is', base, false)}{list('Edited', edited, true)}</div>;
}

function ScoresMoved({ scores }: { scores: NonNullable<Edited['scores']> }) {
  const rows = [...scores].sort((a, b) => b.edited - a.edited).slice(0, 12);
  const top = [...scores].sort((a, b) => b.base - a.base)[0];
  return (
    <div aria-live="polite">
      <table class="texts narrow">
        <caption class="hide">Scores before and after the edit</caption>
        <thead><tr><th scope="col">text</th><th scope="col" class="number">as it is</th><th scope="col" class="number">edited</th><th scope="col" class="number">change</th></tr></thead>
        <tbody>
          {rows.map((r) => (
            <tr key={r.text} class={r.text === top?.text ? 'chosen' : undefined}>
              <td class="text"><bdi>{r.text}</bdi></td><td class="number">{score(r.base)}</td><td class="number strong">{score(r.edited)}</td>
              <td class={`number ${r.edited < r.base ? 'less' : 'more'}`}>{plus(r.edited - r.base)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {top && <p class="note muted">Best as it is: <bdi>{top.text}</bdi>; best edited: <bdi>{rows[0]!.text}</bdi>.</p>}
    </div>
  );
}

function effectRows(result: Edited) {
  const rows: { name: string; base: number; edited: number }[] = [];
  const add = (name: string, before: Estimate, after: Estimate) => rows.push({ name, base: before.value, edited: after.value });
  if (result.accuracy) add('accuracy', result.accuracy.base, result.accuracy.edited);
  const base = result.groups?.rows.find((r) => r.name === 'base'), edited = result.groups?.rows.find((r) => r.name === 'edit');
  if (base && edited) {
    add('worst group', base.worst, edited.worst);
    add('mean of the groups', base.group_mean, edited.group_mean);
    base.groups.forEach((g, i) => add(`${g.class}, ${g.attribute}`, g.accuracy, edited.groups[i]!.accuracy));
  }
  return rows;
}
function effectTable(result: Edited) {
  return {
    header: ['what', 'base', 'edited'],
    rows: [
      ...effectRows(result).map((r) => [r.name, r.base, r.edited]),
      ...(result.scores ?? []).map((s) => [`score: ${s.text}`, s.base, s.edited]),
      ...(result.ranking?.edited ?? []).map((r) => [`rank ${r.rank}, edited: ${r.path}`, result.ranking!.base.find((b) => b.item === r.item)?.score ?? null, r.score]),
    ],
  };
}
function effectFigure(result: Edited, note: string): string {
  const rows = effectRows(result).slice(0, 15).flatMap((r) => [{ name: r.name, note: 'as it is', value: r.base }, { name: '', note: 'edited', value: r.edited }]);
  const scores = rows.length ? rows : (result.scores ?? []).flatMap((s) => [{ name: s.text, note: 'as it is', value: s.base }, { name: '', note: 'edited', value: s.edited }]);
  return barFigure({ title: `Edit of ${result.edit.components.length} components`, note, signed: false, format: rows.length ? (v) => `${bare(v)} %` : score, rows: scores });
}
