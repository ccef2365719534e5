// The server's API under /api/v1 with its types. Every answer keeps the bytes that came, so that
// "numbers" saves what was received.
//
//   const { data, text } = await api.overview('s0', signal);

export interface ModelName { name: string; fingerprint: string }
export interface DataSet { kind: string; root: string; images: number }
export interface Computed {
  format: string;
  model?: ModelName | string;
  fingerprint?: string;
  data?: DataSet[];
  images?: number;
  precision?: string;
  pool?: { name: string; texts: number } | null;
  properties_name?: string;
}

export interface Source {
  id: string;
  kind: 'store' | 'model';
  name: string;
  model: ModelName;
  data?: DataSet[];
  images?: number;
  layers: number;
  heads: number;
  grid: number;
  image_size: number;
  patch_size: number;
  embed_width: number;
  precision?: string;
  certificate?: { max: number; mean: number };
  stats_only?: boolean;
  pictures?: boolean;
  labels: 'none' | 'running' | 'done';
  label_job?: string | null;
  // The job that embeds the texts and classes after the start.
  preparing?: string | null;
  properties: string[];
  pool?: string | null;
  properties_name?: string | null;
  classes: string[];
  classes_name?: string | null;
  label?: string | null;
  attributes?: string[];
}
export interface Limits { picture_bytes: number; picture_pixels: number; text_bytes: number; texts: number; terms: number }
export interface Sources { format: string; version: string; sources: Source[]; limits: Limits }

export interface Component { component: string; layer: number; head: number; share: number; spread: number; variance: number }
export interface HeadLabel {
  head: string; label: string | null; second: string | null; confidence: number; stability: number; coverage: number;
  rival: string | null; explained: number; shares: number[]; beyond: number[];
}
export interface Labels {
  properties_name: string; calibrated: boolean; properties: string[];
  scores?: Record<string, number | string | number[]>; heads: HeadLabel[];
}
export interface Overview extends Computed { components: Component[]; labels: Labels | null }

export interface Hit { item: number; path: string; score: number }
export interface SpanText {
  text: string; index: number; property?: string | null; share: number; cumulative: number; highest?: Hit[]; lowest?: Hit[];
}
export interface PropertyShare { property: string; share: Estimate; beyond: number; chance: number }
export interface FullLabel {
  head: string; label: string | null; second: string | null; confidence: number; stability: number; coverage: number;
  rival: string | null; properties: PropertyShare[]; texts: { text: string; index: number; share: number }[]; pictures: Hit[];
}
export interface Head extends Computed {
  head: string; rank: number; variance: number; variance_share: number; texts: SpanText[]; label: FullLabel | null;
}

export interface Item { item: number; path: string; label?: string | null; attributes?: Record<string, string> }
export interface Items { format: string; total: number; from: number; items: Item[] }

export type PictureRef = { item: number } | { picture: string };
export type Place = { embedding: true } | { heads: string } | { property: string };
export type Query = PictureRef | { text: string };
export interface Term { query: Query; in: Place; unlike?: boolean }
export type Definition = 'score-of-sum' | 'sum-of-scores';
export type Measure = 'cosine' | 'dot' | 'raw';
export interface SearchTerm { query: string; unlike: boolean; in: string; heads: string[]; definition: string; measure: string }
export interface SearchHit extends Hit { rank: number; label?: string | null }
export interface Search extends Computed { terms: SearchTerm[]; results: SearchHit[] }

export interface Job {
  format: string; job: string; what: string; state: 'running' | 'done' | 'failed' | 'cancelled'; done: number; total: number;
  error: ApiFailure | null;
}
export interface ApiFailure { code: string; message: string }

export interface Edit { components: string[]; mode: 'mean' | 'scale'; scale: number }
export interface Estimate { value: number; low: number; high: number }
export interface Group { class: string; attribute: string; count: number; accuracy: Estimate }
export interface GroupRow { name: string; groups: Group[]; worst: Estimate; average: Estimate; group_mean: Estimate }
export interface Ranked { rank: number; item: number; path: string; score: number }
export interface EditResult extends Computed {
  edit: Edit;
  accuracy: null | { images: number; base: Estimate; edited: Estimate };
  groups: null | { attribute: string; values: string[]; rows: GroupRow[] };
  ranking: null | { base: Ranked[]; edited: Ranked[] };
  scores: null | { text: string; base: number; edited: number }[];
  // Why there is no accuracy.
  accuracy_problem?: string;
  milliseconds: number;
}
export interface EditShown extends Computed { edit: Edit; note?: string; components?: { component: string; mode: string; scale?: number }[] }

export interface Matched {
  a: string; b: string; similarity: number; share_a: number; share_b: number; label_a: string | null; label_b: string | null;
}
export interface Match {
  format: string; a: { model: ModelName; data?: DataSet[] }; b: { model: ModelName; data?: DataSet[] };
  images: number; common: number; heads_a: string[]; heads_b: string[]; similarity: number[][]; matches: Matched[];
}

export interface Uploaded { format: string; picture: string; width: number; height: number }
export interface Score { text: string; score: number; probability: number; edited?: number }
export interface Scores extends Computed { scores: Score[] }
export interface Rest { class_token: number; mlps: number; input: number; other_heads?: number }
export interface HeatMap {
  text: string; against?: string; heads: string[]; score: number; sum: number; map_sum: number; map: number[][]; rest: Rest;
}
export type Region = [number, number, number, number];
export interface HeatMaps extends Computed { image: string; width: number; height: number; region: Region; maps: HeatMap[] }
export interface Word {
  text: string; kind: 'word' | 'input' | 'mlps' | 'whole'; against: boolean; score: number; patches: number;
  class_token: number; mlps: number; input: number;
}
export interface Explain extends Computed {
  image: string; width: number; height: number; region: Region; text: string; against?: string; against_kind?: string;
  score: number; sum: number; components: { component: string; score: number; label?: string | null }[];
  words: Word[]; patch_word: number[][]; map: number[][]; rest: Rest;
}
export interface Segment extends Computed {
  picture: { path: string; width: number; height: number }; text: string; answer: boolean; classes: number; heads: string;
  mean: number; empty: boolean; object_pixels: number;
}

export type ExplainAsk =
  | { picture: PictureRef; text: string; against: string | null; top?: number }
  | { picture: PictureRef; class: string | null; against: string | null; top?: number };
export interface HeatAsk {
  picture: PictureRef; texts: string[]; against: null | { text: string } | { classes: true }; in: Place;
}

// What went wrong, in one line with the next step.
export class ApiError extends Error {
  constructor(readonly code: string, message: string, readonly status = 0) { super(message); }
}

export interface Answer<T> { data: T; text: string }

const base = '/api/v1';
const kStopped = 'The server does not answer. Start `cliplens serve` again, then press “Try again”.';

async function send(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(base + path, { credentials: 'same-origin', ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError('stopped', kStopped);
  }
  if (response.ok) return response;
  let failure: ApiFailure = { code: 'http-' + response.status, message: `The server answered ${response.status}.` };
  try {
    const body = (await response.json()) as { error?: ApiFailure };
    if (body.error?.message) failure = body.error;
  } catch { /* no JSON: the status says what there is to say */ }
  throw new ApiError(failure.code, failure.message, response.status);
}

async function ask<T>(path: string, init: RequestInit): Promise<Answer<T>> {
  const response = await send(path, init);
  let text: string;
  try {
    text = await response.text();
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError('stopped', kStopped);
  }
  try {
    return { data: JSON.parse(text) as T, text };
  } catch {
    throw new ApiError('not-json', 'The answer is not JSON. Is another program listening on this port?');
  }
}

const get = <T>(path: string, signal?: AbortSignal) => ask<T>(path, { signal: signal ?? null });
const json = (body: unknown): RequestInit => ({
  method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
});
const post = <T>(path: string, body: unknown, signal?: AbortSignal) => ask<T>(path, { ...json(body), signal: signal ?? null });
const at = (source: string, rest: string) => `/sources/${encodeURIComponent(source)}${rest}`;

export const api = {
  sources: (signal?: AbortSignal) => get<Sources>('/sources', signal),
  overview: (s: string, signal?: AbortSignal) => get<Overview>(at(s, '/overview'), signal),
  head: (s: string, head: string, signal?: AbortSignal) =>
    get<Head>(at(s, `/heads/${encodeURIComponent(head)}?count=20&pictured=5&pictures=8`), signal),
  items: (s: string, from: number, count: number, find: string, signal?: AbortSignal) =>
    get<Items>(at(s, `/items?from=${from}&count=${count}${find ? '&find=' + encodeURIComponent(find) : ''}`), signal),
  search: (s: string, body: { terms: Term[]; definition: Definition; measure: Measure; count: number }, signal?: AbortSignal) =>
    post<Search>(at(s, '/search'), body, signal),
  startLabels: (s: string) => post<{ job: string }>(at(s, '/labels'), {}),
  job: (job: string, signal?: AbortSignal) => get<Job>(`/jobs/${encodeURIComponent(job)}`, signal),
  cancel: (job: string) => send(`/jobs/${encodeURIComponent(job)}`, { method: 'DELETE' }),
  events: (job: string) => new EventSource(`${base}/jobs/${encodeURIComponent(job)}/events`),
  edit: (s: string, body: {
    edit: Edit; attribute: string | null; query: Query | null; count: number; picture: PictureRef | null; texts: string[];
  }, signal?: AbortSignal) => post<EditResult>(at(s, '/edit'), body, signal),
  editFile: async (s: string, edit: Edit, note: string) => (await send(at(s, '/edit/file'), json({ edit, note }))).blob(),
  openEdit: (s: string, file: Blob) =>
    ask<EditShown>(at(s, '/edit/open'), { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: file }),
  match: (a: string, b: string, signal?: AbortSignal) => get<Match>(at(a, `/match?with=${encodeURIComponent(b)}`), signal),
  upload: (file: Blob) =>
    ask<Uploaded>('/pictures', { method: 'POST', headers: { 'Content-Type': file.type || 'image/png' }, body: file }),
  scores: (s: string, body: { picture: PictureRef; texts: string[]; edit: Edit | null }, signal?: AbortSignal) =>
    post<Scores>(at(s, '/scores'), body, signal),
  heatmap: (s: string, body: HeatAsk, signal?: AbortSignal) => post<HeatMaps>(at(s, '/heatmap'), body, signal),
  heatmapPng: async (s: string, body: HeatAsk) => (await send(at(s, '/heatmap?as=png'), json(body))).blob(),
  explain: (s: string, body: ExplainAsk, signal?: AbortSignal) => post<Explain>(at(s, '/explain'), body, signal),
  explainPng: async (s: string, body: ExplainAsk) => (await send(at(s, '/explain?as=png'), json(body))).blob(),
  segment: (s: string, body: { picture: PictureRef; text: string | null; in: Place }, signal?: AbortSignal) =>
    post<Segment>(at(s, '/segment'), body, signal),
  segmentPng: async (s: string, body: { picture: PictureRef; text: string | null; in: Place }, signal?: AbortSignal) =>
    (await send(at(s, '/segment?as=png'), { ...json(body), signal: signal ?? null })).blob(),
};

// Address of a picture, for <img>; without a side its bytes as they are.
export function pictureUrl(source: string, ref: PictureRef, side?: number): string {
  const size = side ? `?side=${side}` : '';
  return 'item' in ref ? `${base}${at(source, `/items/${ref.item}/picture`)}${size}` : `${base}/pictures/${encodeURIComponent(ref.picture)}${size}`;
}
