// The shell: sources, views, theme.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { api } from './api';
import type { Source } from './api_types';
import { Preparing } from './components/label_job';
import { ErrorLine } from './components/status';
import { cutsLongTexts, link, one, type Route, type View } from './lib/route';
import { named, forget, go, pictureOf, pictureParams, setParams, useAnswer, useRoute, withPictures, type Page } from './state';
import { CompareView } from './views/compare';
import { EditView } from './views/edit';
import { HeadView } from './views/head';
import { NeuronsView } from './views/neurons';
import { OverviewView } from './views/overview';
import { PictureView } from './views/picture';
import { PicturesView } from './views/pictures';
import { PropertyView } from './views/property';

const kNames: Record<View, string> = {
  overview: 'Overview', head: 'Head', pictures: 'Pictures', picture: 'Picture', property: 'Property', neurons: 'Neurons', edit: 'Edit', compare: 'Compare',
};

export function App() {
  const route = useRoute();
  const [version, setVersion] = useState(0);
  const asked = useAnswer(`sources ${version}`, (signal) => api.sources(signal));
  const main = useRef<HTMLElement>(null);
  const sources = useMemo(() => asked.data && { ...asked.data, sources: named(asked.data.sources) }, [asked.data]);
  const first = sources?.sources[0];
  const source = sources?.sources.find((s) => s.id === route.source) ?? null;

  // An address without a source, or with one that is not here, leads to the first.
  useEffect(() => {
    if (sources && !source && first && route.source === '') go({ ...route, source: first.id }, false);
  }, [sources, source, first, route]);

  const place = `${route.source}/${route.view}/${route.name}`;
  const seen = useRef(place);
  useEffect(() => {
    document.title = `${route.name || kNames[route.view]} · ${source?.name ?? 'cliplens'}`;
    if (seen.current === place) return;
    seen.current = place;
    window.scrollTo(0, 0);
    main.current?.querySelector<HTMLElement>('h1')?.focus({ preventScroll: true });
  }, [place, source]);

  const page: Page | null = sources && source
    ? { source, sources: sources.sources, limits: sources.limits, route, set: setParams, reload: () => { forget(); setVersion((n) => n + 1); } }
    : null;

  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); main.current?.scrollIntoView(); }}>To the content</a>
      <header class="masthead">
        <a class="mark" href={source ? link(source.id, 'overview') : '#/'}>cliplens</a>
        {sources && source && sources.sources.length > 1 && (
          <label class="which"><span class="hide">Model or store</span>
            <select value={source.id} onChange={(event) => go({ ...route, source: event.currentTarget.value, params: route.params.filter(([k]) => k !== 'with') })}>
              {sources.sources.map((s) => <option key={s.id} value={s.id}>{s.name}</option>)}
            </select>
          </label>
        )}
        {source && <Views source={source} route={route} several={sources!.sources.length > 1} />}
        <Theme />
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        <ErrorLine message={asked.error?.message} retry={asked.retry} />
        {!sources && asked.waiting && <p class="waiting" role="status">Opening …</p>}
        {sources && !source && route.source !== '' && (
          <div class="problem" role="alert"><p>There is no source “<bdi>{route.source}</bdi>” on this server. {first && <a href={link(first.id, 'overview')}>Open {first.name}</a>}</p></div>
        )}
        {page && source?.preparing && <Preparing job={source.preparing} key={source.preparing} />}
        {page && cutsLongTexts(route) && (
          <p class="muted">Texts longer than the model’s context are cut. <button type="button" class="quiet" onClick={() => setParams({ cut: null }, true)}>Refuse them</button></p>
        )}
        {page && <Shown page={page} />}
      </main>
      <footer class="foot-page">
        <p>{sources ? `cliplens ${sources.version}` : 'cliplens'}. Every view has its address; copy it from the browser to come back. Nothing leaves this machine.</p>
      </footer>
    </>
  );
}

function Views({ source, route, several }: { source: Source; route: Route; several: boolean }) {
  const carried = { ...pictureParams(pictureOf(route)), cut: one(route, 'cut') };
  const texts = route.params.filter(([k]) => k === 'text').map(([, v]) => v);
  const store = source.kind === 'store';
  const views: [View, string, Record<string, string | string[] | null>][] = [
    ['overview', '', {}],
    ...(store ? [['head', route.view === 'head' ? route.name : '', {}] as [View, string, Record<string, string | null>]] : []),
    ...(withPictures(source) ? [['pictures', '', {}] as [View, string, Record<string, string | null>]] : []),
    ['picture', '', { ...carried, text: texts }],
    ...(store ? [['property', '', { ...carried, text: one(route, 'text') }] as [View, string, Record<string, string | null>], ['edit', '', { ...carried, text: texts, off: one(route, 'off') }] as [View, string, Record<string, string | string[] | null>]] : []),
    ...(source.neurons ? [['neurons', '', {}] as [View, string, Record<string, string | null>]] : []),
    ...(store && several ? [['compare', '', { ...carried, text: texts }] as [View, string, Record<string, string | string[] | null>]] : []),
  ];
  return (
    <nav class="views" aria-label="Views">
      {views.map(([view, name, params]) => <a key={view} href={link(source.id, view, name, params)} aria-current={route.view === view ? 'page' : undefined}>{kNames[view]}</a>)}
    </nav>
  );
}

function Shown({ page }: { page: Page }) {
  const { route, source } = page;
  const alone = route.view === 'picture' || (route.view === 'neurons' && source.neurons !== null);
  const view = source.kind === 'model' && !alone ? 'overview' : route.view;
  switch (view) {
    case 'head': return <HeadView page={page} key={source.id} />;
    case 'pictures': return withPictures(source) ? <PicturesView page={page} key={source.id} /> : <OverviewView page={page} key={source.id} />;
    case 'picture': return <PictureView page={page} key={source.id} />;
    case 'neurons': return source.neurons ? <NeuronsView page={page} key={source.id} /> : <OverviewView page={page} key={source.id} />;
    case 'property': return <PropertyView page={page} key={source.id} />;
    case 'edit': return source.stats_only
      ? <p class="muted lead">This store has statistics only, so edits cannot be followed picture by picture. Decompose without --stats-only.</p>
      : <EditView page={page} key={source.id} />;
    case 'compare': return <CompareView page={page} key={source.id} />;
    default: return <OverviewView page={page} key={source.id} />;
  }
}

const kThemes = ['', 'light', 'dark'] as const;

function Theme() {
  const [theme, setTheme] = useState(() => {
    try { return localStorage.getItem('theme') ?? ''; } catch { return ''; }
  });
  useEffect(() => {
    if (theme) document.documentElement.dataset['theme'] = theme;
    else delete document.documentElement.dataset['theme'];
    try { localStorage.setItem('theme', theme); } catch { /* no storage: the choice holds for this page */ }
  }, [theme]);
  const name = theme === '' ? 'as the system' : theme;
  return <button type="button" class="quiet theme" aria-label={`Colours: ${name}; switch`} title={`Colours: ${name}`} onClick={() => setTheme(kThemes[(kThemes.indexOf(theme as '') + 1) % 3]!)}>
    <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="1.5" /><path d={theme === 'dark' ? 'M8 2a6 6 0 0 1 0 12a6 6 0 0 1 0-12' : theme === 'light' ? 'M8 5a3 3 0 0 1 0 6a3 3 0 0 1 0-6' : 'M8 2a6 6 0 0 1 0 12z'} fill="currentColor" /></svg>
  </button>;
}
