// Colours of values. The page uses the classes p1…p10, n1…n10 and k0…k11 with c1…c5 of app.css, which
// follow the theme; figures that are saved use the light theme's colours as numbers.

export type Rgb = [number, number, number];

// Steps of strength, as in app.css.
const kAlpha = [0.02, 0.05, 0.11, 0.18, 0.26, 0.35, 0.44, 0.53, 0.62, 0.86, 1];
const kCategoryAlpha = [0, 0.12, 0.22, 0.32, 0.42, 0.54];
const kPositive: Rgb = [21, 94, 128];
const kNegative: Rgb = [168, 70, 12];
export const kFor: Rgb = [197, 27, 32];
export const kAgainst: Rgb = [24, 92, 176];
// Okabe and Ito's colours and four more, told apart with any colour vision.
export const kCategories: Rgb[] = [
  [0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [230, 159, 0], [86, 180, 233],
  [140, 86, 75], [120, 120, 200], [150, 160, 40], [200, 60, 90], [60, 150, 160], [128, 128, 128],
];

// −10 … 10: the strength of a value where `largest` has the full colour.
export function step(value: number, largest: number): number {
  if (!(largest > 0) || !Number.isFinite(value) || value === 0) return 0;
  const part = Math.min(1, Math.abs(value) / largest);
  return Math.sign(value) * Math.max(1, Math.round(part * 10));
}

export const stepClass = (n: number) => (n > 0 ? `p${n}` : n < 0 ? `n${-n}` : 'z');

export const categoryClass = (index: number, confidence: number) =>
  `k${index % kCategories.length} c${Math.max(1, Math.min(5, Math.ceil(confidence * 5)))}`;

export function mix(a: Rgb, b: Rgb, part: number): Rgb {
  return [0, 1, 2].map((i) => Math.round(a[i]! + (b[i]! - a[i]!) * part)) as Rgb;
}
export const hex = (rgb: Rgb) => '#' + rgb.map((x) => x.toString(16).padStart(2, '0')).join('');

const kWhite: Rgb = [255, 255, 255];
export const stepColour = (n: number) => hex(mix(kWhite, n < 0 ? kNegative : kPositive, kAlpha[Math.abs(n)] ?? 1));
export const categoryColour = (index: number, confidence: number) =>
  hex(mix(kWhite, kCategories[index % kCategories.length]!, kCategoryAlpha[Math.max(1, Math.min(5, Math.ceil(confidence * 5)))]!));

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
