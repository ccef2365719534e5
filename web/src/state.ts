// What views share: the route, answers by key, and the sources.
import { useCallback, useEffect, useState } from 'preact/hooks';
import { ApiError, type Answer } from './api';
import type { Limits, Picture, Place, Source } from './api_types';
import { changed, cutsLongTexts, format, one, parse, type Route } from './lib/route';

export interface Page {
  source: Source;
  sources: Source[];
  limits: Limits;
  route: Route;
  // Changes keys of the address; the entry before stays in the history only with `keep`.
  set: (changes: Record<string, string | string[] | null>, keep?: boolean) => void;
  // After labels are there: sources and answers are asked again.
  reload: () => void;
}

const listeners = new Set<() => void>();
const tell = () => listeners.forEach((listener) => listener());
window.addEventListener('hashchange', tell);

export function go(route: Route, keep = true): void {
  const hash = format(route);
  if (hash === location.hash) return;
  if (keep) history.pushState(null, '', hash);
  else history.replaceState(null, '', hash);
  tell();
}

export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const listener = () => setHash(location.hash);
    listeners.add(listener);
    window.addEventListener('popstate', listener);
    listener();
    return () => {
      listeners.delete(listener);
      window.removeEventListener('popstate', listener);
    };
  }, []);
  return parse(hash);
}

export const setParams = (changes: Record<string, string | string[] | null>, keep = false) =>
  go(changed(parse(location.hash), changes), keep);

// Answers that were given stay, the last sixty of them.
const answers = new Map<string, Answer<unknown>>();
const kKept = 60;
// Counts how often everything was forgotten: what is shown is then asked again.
let epoch = 0;
export function forget(): void {
  answers.clear();
  ++epoch;
}
function keepAnswer(key: string, answer: Answer<unknown>): void {
  answers.delete(key);
  answers.set(key, answer);
  if (answers.size > kKept) answers.delete(answers.keys().next().value!);
}

export interface Asked<T> {
  answer: Answer<T> | null;
  data: T | null;
  // An answer to another question is shown while this one is asked.
  waiting: boolean;
  error: ApiError | null;
  retry: () => void;
}

// Requests under way in a lane, where one goes at a time.
const lanes = new Map<string, Promise<unknown>>();

// Asks `run` for what `key` names; null asks nothing. An answer that comes after another question was
// asked is dropped, and its request is cut off. The answer before stays until the new one is there.
//   delay: milliseconds that a question has to stand before it is asked.
//   lane: questions that come many a second go one at a time; those that were replaced while they waited
//     are never asked, and the one under way ends, so that the server does no work twice.
export function useAnswer<T>(
  key: string | null, run: (signal: AbortSignal) => Promise<Answer<T>>, { delay = 0, lane }: { delay?: number; lane?: string } = {},
): Asked<T> {
  if (key !== null && cutsLongTexts(parse(location.hash))) key += ', long texts cut';
  const [state, setState] = useState<{ key: string | null; answer: Answer<T> | null; error: ApiError | null }>({
    key: null, answer: null, error: null,
  });
  const [tries, setTries] = useState(0);
  useEffect(() => {
    if (key === null) {
      setState({ key: null, answer: null, error: null });
      return;
    }
    const known = answers.get(key) as Answer<T> | undefined;
    if (known) {
      setState({ key, answer: known, error: null });
      return;
    }
    const abort = new AbortController();
    const ask = async (): Promise<Answer<T>> => {
      if (lane === undefined) return run(abort.signal);
      while (lanes.has(lane)) {
        await lanes.get(lane)!.catch(() => null);
        if (abort.signal.aborted) throw new DOMException('replaced', 'AbortError');
      }
      const under = run(new AbortController().signal);
      lanes.set(lane, under);
      return under.finally(() => lanes.delete(lane));
    };
    const timer = setTimeout(() => {
      ask().then(
        (answer) => {
          if (abort.signal.aborted) return;
          keepAnswer(key, answer);
          setState({ key, answer, error: null });
        },
        (error: unknown) => {
          if (abort.signal.aborted) return;
          const known = error instanceof ApiError ? error : new ApiError('page', String(error));
          setState({ key, answer: null, error: known });
        },
      );
    }, delay);
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [key, tries, epoch]);
  const retry = useCallback(() => setTries((n) => n + 1), []);
  const current = state.key === key ? state : { ...state, error: null };
  return {
    answer: key === null ? null : current.answer,
    data: key === null ? null : (current.answer?.data ?? null),
    waiting: key !== null && state.key !== key,
    error: current.error,
    retry,
  };
}

// The open picture, from the address.
export function pictureOf(route: Route): Picture | null {
  const item = one(route, 'item');
  if (item !== null && /^\d{1,9}$/.test(item)) return { item: Number(item) };
  const ofNeurons = one(route, 'neuron-picture');
  if (ofNeurons !== null && /^\d{1,9}$/.test(ofNeurons)) return { neuron_picture: Number(ofNeurons) };
  const picture = one(route, 'picture');
  return picture ? { picture } : null;
}
export const pictureParams = (ref: Picture | null): Record<string, string | null> => ({
  item: ref && 'item' in ref ? String(ref.item) : null,
  picture: ref && 'picture' in ref ? ref.picture : null,
  'neuron-picture': ref && 'neuron_picture' in ref ? String(ref.neuron_picture) : null,
});
export const saysPicture = (ref: Picture): string =>
  'item' in ref ? `Picture ${ref.item}` : 'neuron_picture' in ref ? `Picture ${ref.neuron_picture} of the neurons` : 'Your picture';

export function placeOf(route: Route): Place {
  const property = one(route, 'by-property');
  if (property) return { property };
  const heads = one(route, 'heads');
  return heads ? { heads } : { heads: 'all' };
}

export const withPictures = (source: Source) => source.kind === 'store' && (source.images ?? 0) > 0 && !source.stats_only;
// Sources come with their paths; their names are as much of these as tells them apart.
export function named(sources: Source[]): Source[] {
  const part = (s: Source, n: number) => s.name.split('/').filter(Boolean).slice(-n).join('/');
  return sources.map((s) => {
    let n = 1;
    while (n < 40 && sources.some((o) => o !== s && part(o, n) === part(s, n) && o.name !== s.name)) ++n;
    return { ...s, name: part(s, n) || s.name };
  });
}
