// Colours of values, as in the report. The page uses the classes p1…p10, n1…n10 and k0…k8 with c1…c5 of
// cliplens/report/assets/colours.css, which follow the theme; figures that are saved use the numbers of the light theme.

export type Rgb = [number, number, number];

// Steps of strength.
const kAlpha = [0.02, 0.05, 0.11, 0.18, 0.26, 0.35, 0.44, 0.53, 0.62, 0.86, 1];
const kCategoryAlpha = [0, 0.12, 0.22, 0.32, 0.42, 0.54];
const kPositive: Rgb = [21, 94, 128];
const kNegative: Rgb = [168, 70, 12];
export const kFor: Rgb = [197, 27, 32];
export const kAgainst: Rgb = [24, 92, 176];
// Of properties; the last stands for all beyond.
export const kCategories: Rgb[] = [
  [0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [230, 159, 0], [86, 180, 233],
  [140, 86, 75], [120, 120, 200], [128, 128, 128],
];
const kStrengths = kCategoryAlpha.length - 1;

// −10 … 10: the step of a value where `largest` has the full colour; step n holds values up to `edge`. By the square
// root for shares of variance, which are ratios of squares: most are small, and would all have the palest colour.
export function step(value: number, largest: number, root: boolean): number {
  if (!(largest > 0) || !Number.isFinite(value) || value === 0) return 0;
  const part = Math.abs(value) / largest;
  return Math.sign(value) * Math.min(10, Math.max(1, Math.ceil(10 * (root ? Math.sqrt(part) : part))));
}
export const edge = (n: number, largest: number, root: boolean) => largest * (root ? (n / 10) ** 2 : n / 10);

// The colour of each property, by its place: those first that most heads are labelled with, so that no two that are
// seen look alike. `labelled`: the label of each head.
export function hues(properties: string[], labelled: (string | null)[]): number[] {
  const count = properties.map((property) => labelled.filter((label) => label === property).length);
  const order = properties.map((_, i) => i).sort((a, b) => count[b]! - count[a]! || a - b);
  const hue = new Array<number>(properties.length).fill(kCategories.length - 1);
  order.slice(0, kCategories.length - 1).forEach((property, i) => { hue[property] = i; });
  return hue;
}

export const stepClass = (n: number) => (n > 0 ? `p${n}` : n < 0 ? `n${-n}` : 'z');

const strength = (confidence: number) => Math.min(kStrengths, Math.max(1, Math.ceil(kStrengths * confidence)));
export const categoryClass = (hue: number, confidence: number) => `k${hue} c${strength(confidence)}`;

export function mix(a: Rgb, b: Rgb, part: number): Rgb {
  return [0, 1, 2].map((i) => Math.round(a[i]! + (b[i]! - a[i]!) * part)) as Rgb;
}
export const hex = (rgb: Rgb) => '#' + rgb.map((x) => x.toString(16).padStart(2, '0')).join('');

const kWhite: Rgb = [255, 255, 255];
export const stepColour = (n: number) => hex(mix(kWhite, n < 0 ? kNegative : kPositive, kAlpha[Math.abs(n)] ?? 1));
export const categoryColour = (hue: number, confidence: number) => hex(mix(kWhite, kCategories[hue]!, kCategoryAlpha[strength(confidence)]!));

// Relative luminance and contrast of WCAG 2.
export function contrast(a: Rgb, b: Rgb): number {
  const luminance = (rgb: Rgb) => {
    const [r, g, b] = rgb.map((x) => (x / 255 <= 0.04045 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
  };
  const [x, y] = [luminance(a), luminance(b)];
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
}

// A round number at or above `value`, for the end of a scale.
export function roundUp(value: number): number {
  if (!(value > 0) || !Number.isFinite(value)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  for (const m of [1, 1.5, 2, 3, 4, 5, 6, 8, 10]) if (value <= m * power * (1 + 1e-12)) return Number((m * power).toPrecision(2));
  return 10 * power;
}

export const largest = (rows: number[][]) => rows.reduce((m, row) => row.reduce((n, x) => Math.max(n, Math.abs(x)), m), 0);
