// Neurons of MLPs by what they do through later attention, and one of them: its texts, its heads, where it fires.
import { useEffect, useState } from 'preact/hooks';
import { api } from '../api';
import type { Neuron } from '../api_types';
import { Bar, SignedBar } from '../components/bars';
import { Exports } from '../components/exports';
import { HeatPicture, HeatScale } from '../components/heat_picture';
import { NeuronTable, saysTexts, small } from '../components/neuron_table';
import { describe, Provenance } from '../components/provenance';
import { Answered, ErrorLine, Status } from '../components/status';
import { largest, roundUp } from '../lib/colour';
import { barFigure } from '../lib/figures';
import { count, decimals, leaf, percent, plural, plus, score } from '../lib/format';
import { link, one } from '../lib/route';
import { fileName } from '../lib/save';
import { pictureParams, useAnswer, type Page } from '../state';

const kPage = 50;

export function NeuronsView({ page }: { page: Page }) {
  return /^L\d+\.N\d+$/.test(page.route.name) ? <OneNeuron page={page} name={page.route.name} key={page.route.name} /> : <List page={page} />;
}

function List({ page }: { page: Page }) {
  const { source, route, set } = page;
  const store = source.neurons!;
  const [first, last] = [store.layers[0]!, store.layers[1]!];
  const head = one(route, 'head'), wanted = one(route, 'layer');
  const layer = wanted !== null && /^\d+$/.test(wanted) && Number(wanted) >= first && Number(wanted) <= last ? wanted : null;
  const from = Math.max(0, Number(one(route, 'from') ?? 0) || 0);
  const query = { ...(layer ? { layers: layer } : {}), ...(head ? { head } : {}), from, count: kPage, words: 4 };
  const asked = useAnswer(`neurons ${source.id} ${JSON.stringify(query)}`, (signal) => api.neurons(source.id, query, signal));
  const list = asked.data;
  return (
    <>
      <header class="top">
        <p class="eyebrow">Neurons</p>
        <h1 tabIndex={-1}>{head ? `Neurons that feed ${head}` : layer ? `Neurons of layer ${layer}` : first === last ? `Neurons of layer ${first}` : `Neurons of layers ${first} to ${last}`}</h1>
        <p class="deck">What single neurons of MLPs do to the embedding through the attention of later layers, on {plural(store.images, 'picture')}. A share is the variance of one neuron’s effect over that of the embeddings; effects overlap, so shares do not add up to a whole.</p>
      </header>
      <div class="tools">
        {first !== last && (
          <label>Layer{' '}
            <select value={layer ?? ''} onChange={(event) => set({ layer: event.currentTarget.value || null, from: null })}>
              <option value="">all</option>
              {Array.from({ length: last - first + 1 }, (_, i) => <option key={i} value={String(first + i)}>{first + i}</option>)}
            </select>
          </label>
        )}
        <label>Through the head{' '}
          <select value={head ?? ''} onChange={(event) => set({ head: event.currentTarget.value || null, from: null })}>
            <option value="">any</option>
            {Array.from({ length: (source.layers - first - 1) * source.heads }, (_, i) => {
              const name = `L${first + 1 + Math.floor(i / source.heads)}.H${i % source.heads}`;
              return <option key={name} value={name}>{name}</option>;
            })}
          </select>
        </label>
        {head && source.kind === 'store' && <a href={link(source.id, 'head', head)}>Open {head}</a>}
      </div>
      <Status asked={asked} what="the neurons" />
      {list && (
        <Answered asked={asked}>
          {!head && <ul class="layer-shares muted">{list.layers.map((l) => <li key={l.layer}>layer {l.layer}: {plural(l.neurons, 'neuron')}, shares sum to {small(l.share)}</li>)}</ul>}
          <div class="title"><h2 class="hide">List</h2>
            <Exports name={fileName(source.name, 'neurons', head ?? layer ?? '')} what="the neurons" json={asked.answer!.text}
              table={() => ({ header: ['neuron', 'share', 'through', 'top_explained', 'all_explained', 'strongest_head', 'head_share', 'cosine', 'texts'], rows: list.neurons.map((n) => [n.neuron, n.share, n.through ?? null, n.top_explained, n.all_explained, n.strongest.head, n.strongest.share, n.cosine, saysTexts(n.texts)]) })} />
          </div>
          <NeuronTable source={source} list={list} />
          <nav class="turn" aria-label="More neurons">
            {from > 0 && <a href={link(source.id, 'neurons', '', { head, layer, from: from > kPage ? String(from - kPage) : null })} rel="prev">← before</a>}
            <span>{list.neurons.length > 0 ? `${count(from + 1)} to ${count(from + list.neurons.length)} of ${count(list.total)}` : 'none'}</span>
            {from + list.neurons.length < list.total && <a href={link(source.id, 'neurons', '', { head, layer, from: String(from + kPage) })} rel="next">next →</a>}
          </nav>
          <Provenance computed={list} source={source} />
        </Answered>
      )}
    </>
  );
}

function OneNeuron({ page, name }: { page: Page; name: string }) {
  const { source } = page;
  const asked = useAnswer(`neuron ${source.id} ${name}`, (signal) => api.neuron(source.id, name, signal));
  const neuron = asked.data?.neuron === name ? asked.data : null;
  const layer = name.slice(1, name.indexOf('.'));
  return (
    <>
      <header class="top">
        <p class="eyebrow">Neuron</p>
        <h1 tabIndex={-1}>{name}</h1>
        <nav class="turn" aria-label="Other neurons"><a href={link(source.id, 'neurons', '', { layer })}>all of layer {layer}</a></nav>
      </header>
      <Status asked={asked} what={name} />
      {neuron && (
        <Answered asked={asked}>
          <dl class="figures">
            <div><dt>of the embedding’s variance</dt><dd>{small(neuron.embedding_variance > 0 ? neuron.variance / neuron.embedding_variance : 0)}</dd></div>
            <div><dt>along one direction, {plural(Math.min(source.neurons!.top, neuron.images), 'picture')}</dt><dd>{percent(neuron.top_explained)}</dd></div>
            <div><dt>the same, all pictures</dt><dd>{percent(neuron.all_explained)}</dd></div>
            <div><dt>cosine of its texts</dt><dd>{decimals(neuron.cosine, 2)}</dd></div>
          </dl>
          <div class="columns">
            <Texts page={page} neuron={neuron} json={asked.answer!.text} />
            <Carriers page={page} neuron={neuron} />
          </div>
          <Firings page={page} neuron={neuron} />
          <Provenance computed={neuron} source={source} />
        </Answered>
      )}
    </>
  );
}

function Texts({ page, neuron, json }: { page: Page; neuron: Neuron; json: string }) {
  const end = Math.max(1e-9, ...neuron.texts.map((t) => Math.abs(t.weight)));
  return (
    <section aria-labelledby="texts-title">
      <div class="title"><h2 id="texts-title">Texts</h2>
        <Exports name={fileName(page.source.name, neuron.neuron, 'texts')} what="texts" json={json}
          svg={() => barFigure({ title: `${neuron.neuron}: weights of its texts`, note: describe(neuron, page.source), signed: true, format: (v) => plus(v, 2), rows: neuron.texts.map((t) => ({ name: t.text, value: t.weight })) })}
          table={() => ({ header: ['text', 'weight'], rows: neuron.texts.map((t) => [t.text, t.weight]) })} />
      </div>
      <p class="muted note">The few texts whose sum, with weights of either sign, is nearest to the direction of the neuron.</p>
      <table class="texts">
        <thead><tr><th scope="col">text</th><th scope="col" class="number">weight</th><th scope="col" class="meter"><span class="hide">bar</span></th></tr></thead>
        <tbody>
          {neuron.texts.map((t) => <tr key={t.index}><td class="text"><bdi>{t.text}</bdi></td><td class="number">{plus(t.weight, 2)}</td><td class="meter"><SignedBar part={t.weight / end} /></td></tr>)}
        </tbody>
      </table>
    </section>
  );
}

function Carriers({ page, neuron }: { page: Page; neuron: Neuron }) {
  const { source } = page;
  const most = Math.max(1e-9, ...neuron.heads.map((h) => Math.abs(h.share)));
  return (
    <section aria-labelledby="carriers-title">
      <div class="title"><h2 id="carriers-title">Carried by</h2>
        <Exports name={fileName(source.name, neuron.neuron, 'heads')} what="heads"
          table={() => ({ header: ['head', 'share', 'cosine'], rows: neuron.heads.map((h) => [h.head, h.share, h.cosine]) })} />
      </div>
      <p class="muted note">Which later heads bring the neuron to the embedding: a head’s share of its variance, below 0 where it works against the rest, and the cosine of what it writes with the neuron’s direction.</p>
      <table class="texts components">
        <thead><tr><th scope="col">head</th><th scope="col" class="number">share</th><th scope="col" class="number">cosine</th><th scope="col" class="meter"><span class="hide">bar</span></th></tr></thead>
        <tbody>
          {neuron.heads.map((h) => (
            <tr key={h.head}>
              <th scope="row">{source.kind === 'store' ? <a href={link(source.id, 'head', h.head)}>{h.head}</a> : h.head}</th>
              <td class="number">{percent(h.share)}</td><td class="number">{decimals(h.cosine, 2)}</td>
              <td class="meter"><Bar part={Math.abs(h.share) / most} kind={h.share < 0 ? 'against' : 'for'} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

type Hit = Neuron['pictures'][number];

function Firings({ page, neuron }: { page: Page; neuron: Neuron }) {
  const [most, setMost] = useState<Record<number, number>>({});
  if (neuron.pictures.length === 0) return null;
  const scale = roundUp(Math.max(0, ...Object.values(most)));
  return (
    <section aria-labelledby="firings-title">
      <h2 id="firings-title">Where it fires</h2>
      <p class="muted note">The pictures on which the neuron’s effect is largest, and its activation on each patch.</p>
      <ul class="firings">
        {neuron.pictures.map((hit) => (
          <li key={hit.item}>
            <Firing page={page} neuron={neuron.neuron} hit={hit} scale={scale} onMost={(value) => setMost((known) => (known[hit.item] === value ? known : { ...known, [hit.item]: value }))} />
          </li>
        ))}
      </ul>
      {scale > 0 && <HeatScale scale={scale} says="activation on one patch, behind the non-linearity" unit="of the activation" />}
    </section>
  );
}

function Firing({ page, neuron, hit, scale, onMost }: { page: Page; neuron: string; hit: Hit; scale: number; onMost: (most: number) => void }) {
  const { source } = page;
  const picture = { neuron_picture: hit.item };
  const there = source.neurons!.pictures;
  const asked = useAnswer(there ? `fires ${source.id} ${neuron} ${hit.item}` : null, (signal) => api.fires(source.id, { picture, neurons: [neuron] }, signal));
  const fires = asked.data?.neurons[0]?.fires ?? null;
  useEffect(() => { if (fires) onMost(largest(fires)); }, [fires]);
  const says = `${leaf(hit.path)}, effect ${score(hit.norm)}`;
  return (
    <figure>
      {there && fires && <HeatPicture source={source} picture={picture} size={asked.data} region={asked.data?.region ?? null} map={fires} scale={scale} label={`Where ${neuron} fires in ${says}`} />}
      {there && !fires && !asked.error && <span class="t" role="img" aria-label={says} />}
      <ErrorLine message={asked.error?.message} retry={asked.retry} />
      <figcaption class="caption" title={hit.path}>
        {there ? <a href={link(source.id, 'picture', '', { ...pictureParams(picture), through: neuron.slice(0, neuron.indexOf('.')) })}>{leaf(hit.path)}</a> : leaf(hit.path)} <small>effect {score(hit.norm)}, along {plus(hit.along)}</small>
      </figcaption>
    </figure>
  );
}
