// All components of a model at a glance.
import { api } from '../api';
import type { Component, Overview } from '../api_types';
import { Bar } from '../components/bars';
import { ByChoice, Legend } from '../components/colouring_choice';
import { Exports } from '../components/exports';
import { HeadGrid } from '../components/head_grid';
import { LabelJob } from '../components/label_job';
import { describe, Provenance } from '../components/provenance';
import { Status } from '../components/status';
import { bySays, colouring, isBy } from '../lib/colouring';
import { gridFigure, layerFigure } from '../lib/figures';
import { bare, count, decimals, percent } from '../lib/format';
import { link, one } from '../lib/route';
import { fileName } from '../lib/save';
import { useAnswer, type Page } from '../state';

const sum = (components: Component[]) => components.reduce((total, c) => total + c.share, 0);

export function byLayer(overview: Overview, layers: number) {
  return Array.from({ length: layers }, (_, l) => ({
    heads: sum(overview.components.filter((c) => c.component.startsWith(`L${l}.H`))),
    mlp: sum(overview.components.filter((c) => c.component === `L${l}.MLP`)),
  }));
}
export const inputOf = (overview: Overview) => overview.components.find((c) => c.component === 'INPUT')?.share ?? 0;

/** The share of the MLP behind an attention pool; null for a model without one. */
export const poolMlpOf = (overview: Overview) => overview.components.find((c) => c.component === 'POOL.MLP')?.share ?? null;

export function OverviewView({ page }: { page: Page }) {
  const { source, route, set } = page;
  const asked = useAnswer(source.kind === 'store' ? `overview ${source.id}` : null, (signal) => api.overview(source.id, signal));
  const overview = asked.data;
  const wanted = one(route, 'by');
  const colours = overview ? colouring(overview, isBy(wanted) ? wanted : 'share') : null;

  return (
    <>
      <header class="top">
        <p class="eyebrow">{source.kind === 'store' ? 'Store' : 'Model'}</p>
        <h1 tabIndex={-1}>{source.name}</h1>
        <p class="deck">
          {source.layers * source.heads} attention heads, {source.layers} MLPs and the input
          {source.images !== undefined ? `, measured on ${count(source.images)} pictures.` : '. Without a store there are pictures to drop, but no statistics.'}
        </p>
      </header>
      <Facts page={page} />
      {source.kind === 'store' && source.labels !== 'done' && <LabelJob source={source} onDone={page.reload} />}
      <Status asked={asked} what="the overview" />
      {overview && colours && (
        <>
          <section aria-labelledby="grid-title">
            <div class="title"><h2 id="grid-title">Heads</h2>
              <Exports name={fileName(source.name, 'overview', colours.by)} what="the grid" json={asked.answer?.text}
                svg={() => gridFigure({
                  title: bySays(colours.by), note: describe(overview, source), layers: source.layers, heads: source.heads, mlps: colours.by === 'share',
                  cell: (layer, head) => colours.cell(head === null ? `L${layer}.MLP` : `L${layer}.H${head}`, layer, head),
                })}
                table={() => ({
                  header: ['component', 'layer', 'head', 'share', 'spread', 'variance', 'label', 'guess', 'second', 'confidence', 'stability', 'coverage', 'rival', 'explained', ...(overview.labels?.properties ?? [])],
                  rows: overview.components.map((c) => {
                    const isHead = c.component.includes('.H');
                    const h = overview.labels?.heads.find((x) => x.head === c.component);
                    return [c.component, c.layer < 0 ? null : c.layer, isHead ? c.head : null, c.share, c.spread, c.variance, h?.label, h?.guess, h?.second, h?.confidence, h?.stability, h?.coverage, h?.rival, h?.explained, ...(h?.shares ?? [])];
                  }),
                })} />
            </div>
            <div class="tools"><ByChoice overview={overview} by={colours.by} onChange={(by) => set({ by: by === 'share' ? null : by })} /></div>
            <Legend colouring={colours} overview={overview} />
            <HeadGrid label="Heads by layer, last layer on top" layers={source.layers} heads={source.heads} mlps={colours.by === 'share'}
              cell={colours.cell} words={colours.by === 'label'}
              href={(component) => (component.includes('.H') ? link(source.id, 'head', component) : null)}
              {...(colours.by === 'share' ? { sum: { title: 'all heads', text: (layer: number) => bare(byLayer(overview, source.layers)[layer]!.heads) } } : {})} />
            <p class="note muted">The picture enters at the bottom{colours.by === 'share' ? `, as INPUT with ${percent(inputOf(overview))} of the variance` : ''}. A cell opens its head; arrow keys move among them.</p>
          </section>
          <Shares page={page} overview={overview} />
          {overview.labels && <Properties page={page} overview={overview} />}
          <Provenance computed={{ ...overview, ...(overview.labels ? { properties_name: overview.labels.properties_name } : {}) }} source={source} />
        </>
      )}
    </>
  );
}

function Facts({ page }: { page: Page }) {
  const { source } = page;
  return (
    <dl class="facts">
      <div><dt>Image tower</dt><dd>{source.layers} layers × {source.heads} heads, patches of {source.patch_size}, picture {source.image_size} × {source.image_size}</dd></div>
      <div><dt>Embedding</dt><dd>{source.embed_width} numbers{source.precision ? `, ${source.precision}` : ''}</dd></div>
      <div><dt>Model</dt><dd>{source.model.name.split('/').pop()} <code>{source.model.fingerprint.slice(0, 12)}</code></dd></div>
      {source.certificate && <div><dt>Contributions add up within</dt><dd>{source.certificate.max.toExponential(1).replace('e-', ' × 10\u207b').replace(/\d+$/, (d) => [...d].map((c) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(c)]).join(''))} of the embedding</dd></div>}
      {source.pool && <div><dt>Texts</dt><dd>{source.pool.split('/').pop()}</dd></div>}
      {source.classes.length > 0 && <div><dt>Classes</dt><dd>{count(source.classes.length)}{source.classes_name ? ` of ${source.classes_name.split('/').pop()}` : ''}</dd></div>}
    </dl>
  );
}

function Shares({ page, overview }: { page: Page; overview: Overview }) {
  const { source } = page;
  const layers = byLayer(overview, source.layers);
  const input = inputOf(overview), pool = poolMlpOf(overview);
  const most = Math.max(...layers.flatMap((l) => [l.heads, l.mlp]), input);
  const heads = layers.reduce((s, l) => s + l.heads, 0), mlps = layers.reduce((s, l) => s + l.mlp, 0);
  return (
    <section aria-labelledby="shares-title">
      <div class="title"><h2 id="shares-title">Where the variance comes from</h2>
        <Exports name={fileName(source.name, 'shares')} what="shares by layer"
          svg={() => layerFigure('Share of the embedding’s variance by layer', describe(overview, source), layers, input)}
          table={() => ({ header: ['layer', 'heads', 'mlp'], rows: [...layers.map((l, i) => [i, l.heads, l.mlp]), ['INPUT', input, null], ...(pool === null ? [] : [['POOL.MLP', null, pool]])] })} />
      </div>
      <dl class="figures">
        <div><dt>attention heads</dt><dd>{percent(heads)}</dd></div>
        <div><dt>MLPs</dt><dd>{percent(mlps)}</dd></div>
        <div><dt>INPUT</dt><dd>{percent(input)}</dd></div>
        {pool !== null && <div><dt>POOL.MLP, behind the attention pool</dt><dd>{percent(pool)}</dd></div>}
      </dl>
      <table class="bars">
        <caption class="hide">Share of the embedding’s variance by layer</caption>
        <thead><tr><th scope="col">layer</th><th scope="col" class="number">heads</th><th scope="col" class="meter"><span class="hide">bar</span></th><th scope="col" class="number">MLP</th><th scope="col" class="meter"><span class="hide">bar</span></th></tr></thead>
        <tbody>
          {layers.map((layer, l) => (
            <tr key={l}>
              <th scope="row">L{l}</th>
              <td class="number">{percent(layer.heads)}</td><td class="meter"><Bar part={layer.heads / most} /></td>
              <td class="number">{percent(layer.mlp)}</td><td class="meter"><Bar part={layer.mlp / most} kind="mlp" /></td>
            </tr>
          )).reverse()}
        </tbody>
      </table>
    </section>
  );
}

function Properties({ page, overview }: { page: Page; overview: Overview }) {
  const labels = overview.labels!;
  const share = new Map(overview.components.map((c) => [c.component, c.share]));
  const rows = labels.properties.map((property) => {
    const heads = labels.heads.filter((h) => h.label === property);
    return { property, heads, share: heads.reduce((s, h) => s + (share.get(h.head) ?? 0), 0) };
  }).sort((a, b) => b.heads.length - a.heads.length || b.share - a.share);
  const none = labels.heads.filter((h) => h.label === null);
  return (
    <section aria-labelledby="properties-title">
      <h2 id="properties-title">Properties</h2>
      <p class="muted">
        {labels.heads.length - none.length} of {labels.heads.length} heads have a label.
        {` Entanglement: ${decimals(labels.scores.entanglement, 2)} labelled heads for each distinct label.`}
        {labels.calibrated ? ' Confidence is calibrated.'
          : ` Confidence is not calibrated${labels.uncalibrated_because.length ? `: ${labels.uncalibrated_because.join('; ')}` : ''}.`}
      </p>
      <table class="index">
        <thead><tr><th scope="col">property</th><th scope="col" class="number">heads</th><th scope="col" class="number">of the variance</th><th scope="col">heads with this label, surest first</th></tr></thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.property}>
              <th scope="row"><a href={link(page.source.id, 'property', row.property)}>{row.property}</a></th>
              <td class="number">{row.heads.length}</td>
              <td class="number">{row.heads.length ? percent(row.share) : '–'}</td>
              <td><div class="heads">{[...row.heads].sort((a, b) => b.confidence - a.confidence).slice(0, 8).map((h) => (
                <a key={h.head} href={link(page.source.id, 'head', h.head)}>{h.head} <small>{percent(h.confidence, 0)}</small></a>
              ))}{row.heads.length > 8 && <small class="muted">and {row.heads.length - 8} more</small>}</div></td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
