// One head: its texts, its label, the pictures at the ends of its texts, and neighbours in it.
import { api } from '../api';
import type { Head, HeadLabel, Query } from '../api_types';
import { Bar, Interval } from '../components/bars';
import { Exports } from '../components/exports';
import { kDefinitions, Neighbours } from '../components/neighbours';
import { PictureChoice } from '../components/picture_choice';
import { describe, Provenance } from '../components/provenance';
import { Answered, Status } from '../components/status';
import { TextField } from '../components/texts_field';
import { NeuronTable } from '../components/neuron_table';
import { Thumbs } from '../components/thumb';
import { barFigure } from '../lib/figures';
import { bare, count, percent, range, score } from '../lib/format';
import { link, one } from '../lib/route';
import { fileName } from '../lib/save';
import { pictureOf, pictureParams, useAnswer, type Page } from '../state';

export function HeadView({ page }: { page: Page }) {
  const { source, route } = page;
  const name = /^L\d+\.H\d+$/.test(route.name) ? route.name : `L${source.layers - 1}.H0`;
  const asked = useAnswer(`head ${source.id} ${name}`, (signal) => api.head(source.id, name, signal));
  const head = asked.data?.head === name ? asked.data : null;
  const [layer, index] = [Number(name.slice(1, name.indexOf('.'))), Number(name.slice(name.indexOf('H') + 1))];
  const at = layer * source.heads + index;
  const step = (by: number) => {
    const n = at + by;
    return n < 0 || n >= source.layers * source.heads ? null : `L${Math.floor(n / source.heads)}.H${n % source.heads}`;
  };
  const before = step(-1), after = step(1);
  return (
    <>
      <header class="top">
        <p class="eyebrow">Head</p>
        <h1 tabIndex={-1}>{name}</h1>
        <nav class="turn" aria-label="Other heads">
          {before && <a href={link(source.id, 'head', before)} rel="prev">← {before}</a>}
          <a href={link(source.id, 'overview')}>all heads</a>
          {after && <a href={link(source.id, 'head', after)} rel="next">{after} →</a>}
        </nav>
      </header>
      <Status asked={asked} what={name} />
      {head && (
        <Answered asked={asked}>
          <dl class="figures">
            <div><dt>of the embedding’s variance</dt><dd>{percent(head.variance_share)}</dd></div>
            <div><dt>rank</dt><dd>{head.rank}</dd></div>
            {head.label && <div><dt>label</dt><dd>{head.label.label ?? 'none'}</dd></div>}
            {head.label?.guess && <div><dt>confidence</dt><dd>{percent(head.label.confidence)}</dd></div>}
          </dl>
          <div class="columns">
            <Texts page={page} head={head} json={asked.answer!.text} />
            {head.label ? <LabelPart page={page} head={head} label={head.label} json={asked.answer!.text} />
              : <section aria-label="Label"><h2>Label</h2><p class="muted">This store has no labels yet. <a href={link(source.id, 'overview')}>The overview</a> starts labelling.</p></section>}
          </div>
          <Ends page={page} head={head} />
          {source.neurons && source.neurons.layers[0]! < layer && <FedBy page={page} head={name} />}
          <Provenance computed={head} source={source} />
        </Answered>
      )}
      <Nearest page={page} head={name} />
    </>
  );
}

function Texts({ page, head, json }: { page: Page; head: Head; json: string }) {
  const most = head.texts.at(-1)?.cumulative || 1;
  return (
    <section aria-labelledby="texts-title">
      <div class="title"><h2 id="texts-title">Texts</h2>
        <Exports name={fileName(page.source.name, head.head, 'texts')} what="texts" json={json}
          svg={() => barFigure({ title: `${head.head}: share of its variance by text`, note: describe(head, page.source), signed: false, format: (v) => `${bare(v)} %`, rows: head.texts.map((t) => ({ name: t.text, value: t.share })) })}
          table={() => ({ header: ['place', 'index', 'text', 'property', 'share', 'cumulative'], rows: head.texts.map((t, i) => [i + 1, t.index, t.text, t.property ?? '', t.share, t.cumulative]) })} />
      </div>
      <p class="muted note">Each text explains this share of the head’s variance beyond those before it; the pale part of the bar is what those explain.</p>
      <table class="texts">
        <thead><tr><th scope="col"><span class="hide">place</span></th><th scope="col">text</th><th scope="col" class="number">share</th><th scope="col" class="number">sum</th><th scope="col" class="meter"><span class="hide">bar</span></th></tr></thead>
        <tbody>
          {head.texts.map((text, i) => (
            <tr key={text.index}>
              <td class="place">{i + 1}</td>
              <td class="text"><bdi>{text.text}</bdi> {text.property && <span class="kind">{text.property}</span>}</td>
              <td class="number">{percent(text.share)}</td>
              <td class="number muted">{percent(text.cumulative)}</td>
              <td class="meter"><Bar part={text.share / most} before={(text.cumulative - text.share) / most} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function LabelPart({ page, head, label, json }: { page: Page; head: Head; label: HeadLabel; json: string }) {
  const { source } = page;
  const rows = [...label.properties].sort((a, b) => b.share.value - a.share.value);
  const high = Math.max(0.02, ...rows.map((r) => Math.max(r.share.high, r.chance))), low = Math.min(0, ...rows.map((r) => r.share.low));
  return (
    <section aria-labelledby="label-title">
      <div class="title"><h2 id="label-title">{label.label ? <>Label: <em>{label.label}</em></> : label.guess ? <>No label, best guess: <em>{label.guess}</em></> : 'No label'}</h2>
        <Exports name={fileName(source.name, head.head, 'label')} what="the label" json={json}
          svg={() => barFigure({ title: `${head.head}: share of its variance by property`, note: describe(head, source), signed: false, format: (v) => `${bare(v)} %`, rows: rows.map((r) => ({ name: r.property, ...r.share })) })}
          table={() => ({ header: ['property', 'share', 'share_low', 'share_high', 'beyond', 'chance', 'turned', 'net'], rows: rows.map((r) => [r.property, r.share.value, r.share.low, r.share.high, r.beyond, r.chance, r.turned, r.net]) })} />
      </div>
      <p class="note">
        {label.guess
          ? <>{label.label ? '' : 'Withheld, since it is '}{label.label ? 'Right' : 'right'} with a probability of <b>{percent(label.confidence)}</b>; chosen in {percent(label.stability, 0)} of the repetitions on halves of pictures and texts. {label.second ? <>It tells of <b>{label.second}</b> too. </> : ''}{label.rival ? <>Its rival is <b>{label.rival}</b>.</> : ''}</>
          : 'The head does not vary on these pictures.'}
      </p>
      <table class="texts many">
        <thead><tr><th scope="col">property</th><th scope="col" class="number">share</th><th scope="col" class="number">bounds, 95 %</th><th scope="col" class="meter wide"><span class="hide">interval</span></th></tr></thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.property} class={row.property === label.guess ? 'chosen' : undefined} title={`beyond ${row.property === label.guess ? 'the rival' : 'the best guess'}: ${percent(row.beyond)}; chance: ${percent(row.chance)}`}>
              <td><a href={link(source.id, 'property', row.property)}>{row.property}</a></td>
              <td class="number">{percent(row.share.value)}</td>
              <td class="number muted">{range(row.share)}</td>
              <td class="meter wide"><Interval estimate={row.share} chance={row.chance} low={low} high={high} /></td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="muted note">Dot: share of the head’s variance; line: bounds; tick: the most that the same texts gave when turned at random.</p>
      {label.texts.length > 0 && <p class="note">Strongest values: {label.texts.slice(0, 5).map((t) => <q key={t.index}><bdi>{t.text}</bdi></q>)}</p>}
      {label.pictures.length > 0 && <Thumbs source={source} hits={label.pictures.slice(0, 8).map((p) => ({ item: p.item, path: p.path }))} label="Pictures that speak for the label" className="strip eight" />}
    </section>
  );
}

function Ends({ page, head }: { page: Page; head: Head }) {
  const shown = head.texts.filter((t) => (t.highest?.length ?? 0) > 0);
  if (shown.length === 0) return null;
  const strip = (name: string, hits: NonNullable<(typeof shown)[number]['highest']>, text: string) => (
    <div class="row"><span class="end">{name}</span>
      <Thumbs source={page.source} label={`${name} along ${text}`} className="strip eight" hits={hits.map((h) => ({ item: h.item, path: h.path, score: score(h.score) }))} /></div>
  );
  return (
    <section aria-labelledby="ends-title">
      <h2 id="ends-title">Highest and lowest along each text</h2>
      <div class="ends">
        {shown.map((text) => (
          <div key={text.index}>
            <h3 class="quote"><bdi>{text.text}</bdi></h3>
            {strip('highest', text.highest!, text.text)}
            {strip('lowest', text.lowest ?? [], text.text)}
          </div>
        ))}
      </div>
    </section>
  );
}

// The neurons of which this head carries most.
function FedBy({ page, head }: { page: Page; head: string }) {
  const { source } = page;
  const query = { head, from: 0, count: 8, words: 3 };
  const asked = useAnswer(`neurons ${source.id} ${JSON.stringify(query)}`, (signal) => api.neurons(source.id, query, signal));
  return (
    <section aria-labelledby="fed-title">
      <h2 id="fed-title">Neurons that feed it</h2>
      <Status asked={asked} what="the neurons" />
      {asked.data && <NeuronTable source={source} list={asked.data} />}
      {asked.data && <p><a href={link(source.id, 'neurons', '', { head })}>All {count(asked.data.total)} neurons by what {head} carries of them</a></p>}
      {asked.data && <Provenance computed={asked.data} source={source} />}
    </section>
  );
}

function Nearest({ page, head }: { page: Page; head: string }) {
  const { route, set, limits } = page;
  const picture = pictureOf(route), text = one(route, 'text');
  const query: Query | null = picture ?? (text ? { text } : null);
  const definition = kDefinitions.find((d) => d.value === one(route, 'definition'))?.value ?? 'score-of-sum';
  return (
    <section aria-labelledby="nearest-title">
      <h2 id="nearest-title">Neighbours in {head}</h2>
      <p class="muted note">Pictures of the store that are most like a picture or a text in what this head writes.</p>
      <div class="asks">
        <PictureChoice page={page} picture={picture} label="By a picture" onPick={(p) => set({ ...pictureParams(p), text: null }, true)} />
        {<TextField label="By a text" value={picture ? '' : (text ?? '')} button="Find" placeholder="something red" most={limits.text_bytes} onSubmit={(t) => set({ text: t || null, item: null, picture: null, 'neuron-picture': null }, true)} />}
      </div>
      {query && <Neighbours page={page} query={query} place={{ heads: head }} definition={definition}
        title={'text' in query ? `Nearest to “${query.text}”` : 'item' in query ? `Nearest to picture ${query.item}` : 'neuron_picture' in query ? `Nearest to picture ${query.neuron_picture} of the neurons` : 'Nearest to your picture'} />}
    </section>
  );
}
