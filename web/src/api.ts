// The server's API under /api/v1. Paths, parameters, bodies and answers are those of api_types.ts, which is
// made from the server's openapi.json; a call that does not fit them is an error of types. Every answer keeps
// the bytes that came, so that "numbers" saves what was received.
//
//   const { data, text } = await api.overview('s0', signal);
import { cutsLongTexts, parse } from './lib/route';
import type { Edit, EditRequest, ExplainRequest, FiresRequest, HeatmapRequest, paths, Picture, ScoresRequest, SearchRequest, SegmentRequest } from './api_types';

// What an operation O of openapi.json takes in its path, in its query and as its body, and what it answers.
type InPath<O> = O extends { parameters: { path: infer P } } ? P : Record<never, never>;
type InQuery<O> = O extends { parameters: { query?: infer Q } } ? Q : never;
type Body<O> = O extends { requestBody: { content: { 'application/json': infer B } } } ? B : never;
type Success<O> = O extends { responses: infer R } ? R[keyof R & (200 | 202)] : never;
type Data<O> = Success<O> extends { content: { 'application/json': infer J } } ? J : never;
type Get<P extends keyof paths> = paths[P]['get'];
type Post<P extends keyof paths> = paths[P]['post'];

// What went wrong, in one line with the next step.
export class ApiError extends Error {
  constructor(readonly code: string, message: string, readonly status = 0) { super(message); }
}

export interface Answer<T> { data: T; text: string }

// Relative to the page, which may stand under a path.
const base = 'api/v1';
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
  let failure = { code: 'http-' + response.status, message: `The server answered ${response.status}.` };
  try {
    const body = (await response.json()) as { error?: typeof failure };
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

// The path with its parts filled in, and a query of those values that are there.
function address(path: string, parts: object, query: object = {}): string {
  const values = new Map<string, unknown>(Object.entries(parts));
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(values.get(name))));
  const asked = Object.entries(query).filter(([, value]) => value !== undefined).map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`);
  return filled + (asked.length > 0 ? '?' + asked.join('&') : '');
}

// The address says whether long texts are cut.
const json = (body: object, signal?: AbortSignal): RequestInit => ({
  method: 'POST', headers: { 'Content-Type': 'application/json' }, signal: signal ?? null,
  body: JSON.stringify(cutsLongTexts(parse(location.hash)) ? { ...body, truncate: true } : body),
});
const get = <P extends keyof paths>(path: P, parts: InPath<Get<P>>, query: InQuery<Get<P>>, signal?: AbortSignal) =>
  ask<Data<Get<P>>>(address(path, parts as object, query as object), { signal: signal ?? null });
const post = <P extends keyof paths>(path: P, parts: InPath<Post<P>>, body: Body<Post<P>>, signal?: AbortSignal) =>
  ask<Data<Post<P>>>(address(path, parts as object), json(body as object, signal));
// The figure of a route that draws one.
const png = async <P extends keyof paths>(path: P, parts: InPath<Post<P>>, body: Body<Post<P>>, signal?: AbortSignal) =>
  (await send(address(path, parts as object, { as: 'png' }), json(body as object, signal))).blob();

export const api = {
  sources: (signal?: AbortSignal) => get('/sources', {}, undefined, signal),
  overview: (source: string, signal?: AbortSignal) => get('/sources/{source}/overview', { source }, undefined, signal),
  head: (source: string, head: string, signal?: AbortSignal) =>
    get('/sources/{source}/heads/{head}', { source, head }, { count: 20, pictured: 5, pictures: 8 }, signal),
  neurons: (source: string, query: { layers?: string; head?: string; from: number; count: number; words: number }, signal?: AbortSignal) =>
    get('/sources/{source}/neurons', { source }, query, signal),
  neuron: (source: string, neuron: string, signal?: AbortSignal) =>
    get('/sources/{source}/neurons/{neuron}', { source, neuron }, { words: 12, heads: 12, pictures: 9 }, signal),
  fires: (source: string, body: FiresRequest, signal?: AbortSignal) => post('/sources/{source}/fires', { source }, body, signal),
  items: (source: string, from: number, count: number, find: string, signal?: AbortSignal) =>
    get('/sources/{source}/items', { source }, { from, count, find: find || undefined }, signal),
  search: (source: string, body: SearchRequest, signal?: AbortSignal) => post('/sources/{source}/search', { source }, body, signal),
  startLabels: (source: string) => post('/sources/{source}/labels', { source }, {}),
  job: (job: string, signal?: AbortSignal) => get('/jobs/{job}', { job }, undefined, signal),
  cancel: (job: string) => send(address('/jobs/{job}', { job }), { method: 'DELETE' }),
  events: (job: string) => new EventSource(base + address('/jobs/{job}/events', { job })),
  edit: (source: string, body: EditRequest, signal?: AbortSignal) => post('/sources/{source}/edit', { source }, body, signal),
  editFile: async (source: string, edit: Edit, note: string) => (await send(address('/sources/{source}/edit/file', { source }), json({ edit, note }))).blob(),
  openEdit: (source: string, file: Blob) =>
    ask<Data<Post<'/sources/{source}/edit/open'>>>(address('/sources/{source}/edit/open', { source }), { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: file }),
  match: (source: string, other: string, signal?: AbortSignal) => get('/sources/{source}/match', { source }, { with: other }, signal),
  upload: (file: Blob) =>
    ask<Data<Post<'/pictures'>>>('/pictures', { method: 'POST', headers: { 'Content-Type': file.type || 'image/png' }, body: file }),
  scores: (source: string, body: ScoresRequest, signal?: AbortSignal) => post('/sources/{source}/scores', { source }, body, signal),
  heatmap: (source: string, body: HeatmapRequest, signal?: AbortSignal) => post('/sources/{source}/heatmap', { source }, body, signal),
  heatmapPng: (source: string, body: HeatmapRequest) => png('/sources/{source}/heatmap', { source }, body),
  explain: (source: string, body: ExplainRequest, signal?: AbortSignal) => post('/sources/{source}/explain', { source }, body, signal),
  explainPng: (source: string, body: ExplainRequest) => png('/sources/{source}/explain', { source }, body),
  segment: (source: string, body: SegmentRequest, signal?: AbortSignal) => post('/sources/{source}/segment', { source }, body, signal),
  segmentPng: (source: string, body: SegmentRequest, signal?: AbortSignal) => png('/sources/{source}/segment', { source }, body, signal),
};

// Address of a picture, for <img>; without a side its bytes as they are.
export function pictureUrl(source: string, picture: Picture, side?: number): string {
  return base + ('item' in picture ? address('/sources/{source}/items/{item}/picture', { source, item: picture.item }, { side })
    : 'neuron_picture' in picture ? address('/sources/{source}/neuron-pictures/{item}', { source, item: picture.neuron_picture }, { side })
      : address('/pictures/{picture}', picture, { side }));
}
