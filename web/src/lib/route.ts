// The whole state of the page is its address: #/SOURCE/VIEW/NAME?key=value&key=value.
//
//   parse('#/s0/head/L5.H3?text=a+duck')  → {source: 's0', view: 'head', name: 'L5.H3', params: [['text', 'a duck']]}

export const kViews = ['overview', 'head', 'pictures', 'picture', 'property', 'neurons', 'edit', 'compare'] as const;
export type View = (typeof kViews)[number];
export interface Route { source: string; view: View; name: string; params: [string, string][] }

const isView = (text: string): text is View => (kViews as readonly string[]).includes(text);

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function parse(hash: string): Route {
  const body = hash.replace(/^#?\/?/, '');
  const mark = body.indexOf('?');
  const path = (mark < 0 ? body : body.slice(0, mark)).split('/').map(decode);
  const params = mark < 0 ? [] : [...new URLSearchParams(body.slice(mark + 1))];
  const view = path[1] ?? '';
  return { source: path[0] ?? '', view: isView(view) ? view : 'overview', name: path.slice(2).join('/'), params };
}

export function format(route: Route): string {
  const name = route.name ? '/' + encodeURIComponent(route.name) : '';
  const query = new URLSearchParams(route.params).toString();
  return `#/${encodeURIComponent(route.source)}/${route.view}${name}${query ? '?' + query : ''}`;
}

export const one = (route: Route, key: string): string | null => route.params.find(([k]) => k === key)?.[1] ?? null;
// Whether texts longer than the model's context are cut; otherwise they are refused.
export const cutsLongTexts = (route: Route): boolean => one(route, 'cut') !== null;
export const all = (route: Route, key: string): string[] => route.params.filter(([k]) => k === key).map(([, v]) => v);

// The route with `changes` made: null, an empty text or an empty list takes a key out.
export function changed(route: Route, changes: Record<string, string | string[] | null>): Route {
  const params = route.params.filter(([key]) => !(key in changes));
  for (const [key, value] of Object.entries(changes)) {
    for (const one of value === null ? [] : Array.isArray(value) ? value : [value]) if (one !== '') params.push([key, one]);
  }
  return { ...route, params };
}

export function link(source: string, view: View, name = '', params: Record<string, string | string[] | null> = {}): string {
  return format(changed({ source, view, name, params: [] }, params));
}
