// Numbers as the page writes them: a true minus sign, a narrow no-break space before per cent.
import type { Estimate } from '../api_types';

const kMinus = '\u2212';
const kThin = '\u202f';

const signed = (text: string) => text.replace(/^-(?=[0-9.]*[1-9])/, kMinus).replace(/^-/, '');

export const decimals = (value: number, places: number) => Number.isFinite(value) ? signed(value.toFixed(places)) : '–';
export const score = (value: number) => decimals(value, 4);
export const percent = (value: number, places = 1) => Number.isFinite(value) ? decimals(100 * value, places) + kThin + '%' : '–';
export const bare = (value: number, places = 1) => decimals(100 * value, places);
export const plus = (value: number, places = 4) => {
  const text = decimals(value, places);
  return value > 0 && /[1-9]/.test(text) ? '+' + text : text;
};
export const points = (value: number, places = 1) => plus(100 * value, places);
export const count = (value: number) => Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, ',');
export const plural = (n: number, one: string, many = one + 's') => `${count(n)} ${n === 1 ? one : many}`;
export const range = ({ low, high }: Estimate, places = 1) => `${bare(low, places)} to ${bare(high, places)}${kThin}%`;
// The last part of a path, for captions; the whole stands in the title.
export const leaf = (path: string) => path.split('/').filter(Boolean).pop() ?? path;
