// One property: its heads, neighbours in them, and where they look in a picture.
import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../api';
import type { HeadSummary, Overview, Picture, Query } from '../api_types';
import { Bar } from '../components/bars';
import { Exports } from '../components/exports';
import { HeadGrid } from '../components/head_grid';
import { HeatPicture, HeatScale, type Patch } from '../components/heat_picture';
import { LabelJob } from '../components/label_job';
import { kDefinitions, Neighbours } from '../components/neighbours';
import { PictureChoice } from '../components/picture_choice';
import { describe, Provenance } from '../components/provenance';
import { Answered, Status } from '../components/status';
import { TextField } from '../components/texts_field';
import { colouring } from '../lib/colouring';
import { largest, roundUp } from '../lib/colour';
import { barFigure } from '../lib/figures';
import { bare, percent, score } from '../lib/format';
import { link, one } from '../lib/route';
import { canvasBlob, fileName } from '../lib/save';
import { pictureOf, pictureParams, useAnswer, type Page } from '../state';

export function PropertyView({ page }: { page: Page }) {
  const { source, route } = page;
  const asked = useAnswer(`overview ${source.id}`, (signal) => api.overview(source.id, signal));
  const overview = asked.data, labels = overview?.labels ?? null;
  const property = labels && labels.properties.includes(route.name) ? route.name : (labels?.properties[0] ?? '');
  return (
    <>
      <header class="top small">
        <p class="eyebrow">Property</p>
        <h1 tabIndex={-1}>{property || 'Properties'}</h1>
      </header>
      <Status asked={asked} what="the property" />
      {source.labels !== 'done' && <LabelJob source={source} onDone={page.reload} />}
      {overview && labels && (
        <>
          <nav class="tabs" aria-label="Properties">
            {labels.properties.map((p) => <a key={p} href={link(source.id, 'property', p, { ...pictureParams(pictureOf(route)), text: one(route, 'text') })} aria-current={p === property ? 'page' : undefined}>{p}</a>)}
          </nav>
          <Heads page={page} overview={overview} property={property} json={asked.answer!.text} />
          <Look page={page} property={property} labels={labels.heads} />
        </>
      )}
    </>
  );
}

function Heads({ page, overview, property, json }: { page: Page; overview: Overview; property: string; json: string }) {
  const { source } = page;
  const labels = overview.labels!;
  const index = labels.properties.indexOf(property);
  const heads = labels.heads.filter((h) => h.label === property || h.second === property)
    .sort((a, b) => (b.shares[index] ?? 0) - (a.shares[index] ?? 0));
  const colours = colouring(overview, `property:${property}`);
  const share = new Map(overview.components.map((c) => [c.component, c.share]));
  const most = Math.max(1e-9, ...heads.map((h) => h.shares[index] ?? 0));
  return (
    <section aria-labelledby="heads-title">
      <div class="title"><h2 id="heads-title">Its heads</h2>
        <Exports name={fileName(source.name, property, 'heads')} what={`heads of ${property}`} json={json}
          svg={() => barFigure({ title: `${property}: share of each head’s variance`, note: describe(overview, source), signed: false, format: (v) => `${bare(v)} %`, rows: heads.map((h) => ({ name: h.head, value: h.shares[index] ?? 0 })) })}
          table={() => ({ header: ['head', 'label', 'second', 'confidence', 'share', 'beyond'], rows: labels.heads.map((h) => [h.head, h.label, h.second, h.confidence, h.shares[index], h.beyond[index]]) })} />
      </div>
      <div class="columns">
        <div>
          {heads.length === 0 && <p class="muted">No head has this label, first or second. The grid still shows how much of each head the property explains.</p>}
          {heads.length > 0 && (
            <table class="texts many">
              <caption class="hide">Heads labelled {property}</caption>
              <thead><tr><th scope="col">head</th><th scope="col"><span class="hide">place</span></th><th scope="col" class="number">explained</th><th scope="col" class="meter"><span class="hide">bar</span></th><th scope="col" class="number">confidence</th><th scope="col" class="number">of the variance</th></tr></thead>
              <tbody>
                {heads.map((h) => (
                  <tr key={h.head}>
                    <th scope="row"><a href={link(source.id, 'head', h.head)}>{h.head}</a></th>
                    <td class="muted">{h.label === property ? '' : <small>second, after {h.label}</small>}</td>
                    <td class="number">{percent(h.shares[index] ?? 0)}</td>
                    <td class="meter"><Bar part={(h.shares[index] ?? 0) / most} /></td>
                    <td class="number">{h.label === property ? percent(h.confidence, 0) : '–'}</td>
                    <td class="number">{percent(share.get(h.head) ?? 0)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </div>
        <HeadGrid label={`Share of each head’s variance that ${property} explains`} layers={source.layers} heads={source.heads} cell={colours.cell} href={(c) => link(source.id, 'head', c)} />
      </div>
      <Provenance computed={{ ...overview, properties_name: labels.properties_name }} source={source} />
    </section>
  );
}

function Look({ page, property, labels }: { page: Page; property: string; labels: HeadSummary[] }) {
  const { route, set, limits } = page;
  const picture = pictureOf(route), text = one(route, 'text');
  const any = labels.some((h) => h.label === property || h.second === property);
  const neighbour: Query | null = one(route, 'near') === 'text' && text ? { text } : picture ?? (text ? { text } : null);
  return (
    <section aria-labelledby="look-title">
      <h2 id="look-title">A picture or a text in its heads</h2>
      <div class="asks">
        <PictureChoice page={page} picture={picture} label="A picture" onPick={(p) => set(pictureParams(p), true)} />
        {<TextField label="A text" value={text ?? ''} button="Use" placeholder={`a text of ${property}`} most={limits.text_bytes} onSubmit={(t) => set({ text: t || null }, true)} />}
      </div>
      {!any && (picture || text) && <p class="muted">No head has this label, so there is nothing to compare pictures by.</p>}
      {any && picture && <Maps page={page} property={property} picture={picture} text={text} />}
      {any && neighbour && (
        <>
          {picture && text && (
            <div class="tools"><label>Neighbours of{' '}
              <select value={one(route, 'near') === 'text' ? 'text' : 'picture'} onChange={(event) => set({ near: event.currentTarget.value === 'text' ? 'text' : null })}>
                <option value="picture">the picture</option><option value="text">the text</option>
              </select></label></div>
          )}
          <div class="columns">
            {kDefinitions.map((d) => (
              <div key={d.value}>
                <Neighbours page={page} query={neighbour} place={{ property }} definition={d.value} title={`Neighbours by ${d.name}`} count={12} />
                <p class="note muted">{d.says[0]!.toUpperCase() + d.says.slice(1)}.</p>
              </div>
            ))}
          </div>
        </>
      )}
    </section>
  );
}

function Maps({ page, property, picture, text }: { page: Page; property: string; picture: Picture; text: string | null }) {
  const { source } = page;
  // Without a text: the model's answer among the classes.
  const answer = useAnswer(text || source.classes.length === 0 ? null : `scores ${source.id} ${JSON.stringify([picture, []])}`,
    (signal) => api.scores(source.id, { picture, texts: [], edit: null }, signal));
  const shown = text ?? answer.data?.scores[0]?.text ?? null;
  const ask = shown === null ? null : { picture, texts: [shown], against: text ? null : ({ classes: true } as const), in: { property } };
  const heat = useAnswer(ask && `heatmap ${source.id} ${JSON.stringify(ask)}`, (signal) => api.heatmap(source.id, ask!, signal));
  const cut = { picture, text, in: { property } };
  const segment = useAnswer(shown === null ? null : `segment ${source.id} ${JSON.stringify(cut)}`, (signal) => api.segment(source.id, cut, signal));
  const [mask, setMask] = useState<HTMLImageElement | null>(null);
  const [patch, setPatch] = useState<Patch | null>(null);
  const canvas = useRef<HTMLCanvasElement | null>(null);
  const key = JSON.stringify(cut);
  useEffect(() => {
    setMask(null);
    if (shown === null) return;
    const abort = new AbortController();
    let url = '';
    api.segmentPng(source.id, cut, abort.signal).then((blob) => {
      url = URL.createObjectURL(blob);
      const image = new Image();
      image.onload = () => { if (!abort.signal.aborted) setMask(image); };
      image.src = url;
    }, () => { /* the request for the numbers says it */ });
    return () => { abort.abort(); if (url) URL.revokeObjectURL(url); };
  }, [key, shown === null, source.id]);
  const map = heat.data?.maps[0] ?? null;
  const scale = roundUp(largest(map?.map ?? []));
  const value = patch && map ? map.map[patch.row]?.[patch.column] : undefined;
  if (shown === null) {
    return source.classes.length === 0 ? <p class="muted">Type a text to see where the property’s heads look for it.</p> : <Status asked={answer} what="the answer" />;
  }
  return (
    <div class="columns look-under">
      <figure>
        <HeatPicture source={source} picture={picture} size={heat.data} region={heat.data?.region ?? null} map={map?.map ?? null} scale={scale} patch={patch} onPatch={setPatch} label={`Heat map of “${shown}” by the heads of ${property}`} />
        <figcaption aria-live="polite">Heat map of “{shown}”{text ? '' : ' against the mean of the classes'}{map ? <>: patches {score(map.map_sum)} of {score(map.score)}</> : ''}{value !== undefined ? `; this patch ${score(value)}` : ''}</figcaption>
        {map && <HeatScale scale={scale} />}
        <Status asked={heat} what="the heat map" />
        <div class="foot">
          <Provenance computed={heat.data} source={source} more={map ? [map.heads.join(' ')] : []} />
          <Exports name={fileName(source.name, property, 'heatmap')} what="the heat map" json={heat.answer?.text} png={ask ? () => api.heatmapPng(source.id, ask) : undefined}
            table={map ? () => ({ header: ['row', 'column', 'score'], rows: map.map.flatMap((r, y) => r.map((v, x) => [y, x, v])) }) : undefined} />
        </div>
      </figure>
      <figure>
        <Answered asked={segment}>
          <HeatPicture source={source} picture={picture} size={segment.data?.picture ?? null} region={null} map={null} scale={1} mask={mask} label={`Segmentation of “${shown}” by the heads of ${property}`} canvasRef={canvas} />
          {segment.data && <figcaption>Segmentation of “{segment.data.text}”: {segment.data.empty ? 'nothing is object' : <>{percent(segment.data.object_pixels / (segment.data.picture.width * segment.data.picture.height))} of the picture, {segment.data.object_pixels} pixels</>}</figcaption>}
        </Answered>
        <Status asked={segment} what="the segmentation" />
        <div class="foot">
          <Provenance computed={segment.data} source={source} more={segment.data ? [segment.data.heads] : []} />
          <Exports name={fileName(source.name, property, 'segmentation')} what="the segmentation" json={segment.answer?.text} png={segment.data ? () => canvasBlob(canvas.current!) : undefined} />
        </div>
      </figure>
    </div>
  );
}
