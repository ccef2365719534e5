// Figures that are saved: SVG as text, with every colour and font in attributes, so that it looks the
// same anywhere. Texts are escaped here and nowhere else.

const kText: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
// Characters that XML forbids go.
export const escape = (text: string) =>
  text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '').replace(/[&<>"]/g, (c) => kText[c]!);

type Attributes = Record<string, string | number | undefined>;

export function el(name: string, attributes: Attributes, ...children: string[]): string {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${typeof value === 'number' ? +value.toFixed(2) : escape(value!)}"`)
    .join('');
  return children.length ? `<${name}${written}>${children.join('')}</${name}>` : `<${name}${written}/>`;
}

export const label = (x: number, y: number, text: string, more: Attributes = {}) =>
  el('text', { x, y, 'font-size': 12, fill: '#1b1d22', ...more }, escape(text));

export function figure(width: number, height: number, title: string, note: string, ...children: string[]): string {
  return el('svg', {
    xmlns: 'http://www.w3.org/2000/svg', width, height: height + 30, viewBox: `0 0 ${Math.ceil(width)} ${Math.ceil(height + 30)}`,
    'font-family': 'system-ui, "Segoe UI", "DejaVu Sans", sans-serif',
  }, el('title', {}, escape(title)), el('rect', { width: '100%', height: '100%', fill: '#ffffff' }), ...children,
  label(12, height + 18, note, { 'font-size': 10, fill: '#5b5f69' }));
}

export const shorten = (text: string, most: number) => (text.length > most ? text.slice(0, most - 1) + '…' : text);
