// The pure functions of the page: addresses, colours, maps, numbers, CSV, figures.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const lib = fileURLToPath(new URL('../src/lib/', import.meta.url));

async function load(name) {
  const { outputFiles } = await build({ entryPoints: [`${lib}${name}.ts`], bundle: true, format: 'esm', write: false, logLevel: 'error' });
  return import('data:text/javascript;base64,' + Buffer.from(outputFiles[0].text).toString('base64'));
}
const [route, colour, heat, format, csv, figures, svg] = await Promise.all(
  ['route', 'colour', 'heat', 'format', 'csv', 'figures', 'svg'].map(load));

test('an address is read and written back', () => {
  const address = { source: 's0', view: 'picture', name: '', params: [['text', 'a & b = c?/#é'], ['text', '<i>'], ['item', '3']] };
  assert.deepEqual(route.parse(route.format(address)), address);
  const property = { source: 's1', view: 'property', name: 'time/of day %', params: [] };
  assert.deepEqual(route.parse(route.format(property)), property);
});

test('an address that makes no sense leads to the overview', () => {
  for (const hash of ['', '#', '#/', '#/s0/nonsense', '#/s0/%E0%A4%A/x', '#//']) assert.equal(route.parse(hash).view, 'overview');
  assert.equal(route.parse('#/s0/head/L5.H3').name, 'L5.H3');
});

test('keys of an address are changed, and empty ones go', () => {
  const start = route.parse('#/s0/edit?off=L1&text=a&text=b');
  assert.deepEqual(route.changed(start, { off: null, text: ['c', ''], by: 'label' }).params, [['text', 'c'], ['by', 'label']]);
  assert.deepEqual(route.all(start, 'text'), ['a', 'b']);
  assert.equal(route.one(start, 'no'), null);
});

test('steps of a colour are symmetric, the smallest value has a colour, and a step ends at its edge', () => {
  for (const root of [false, true]) {
    assert.equal(colour.step(0, 1, root), 0);
    assert.equal(colour.step(1, 1, root), 10);
    assert.equal(colour.step(-1, 1, root), -10);
    assert.equal(colour.step(1e-9, 1, root), 1);
    assert.equal(colour.step(5, 1, root), 10);
    assert.equal(colour.step(NaN, 1, root), 0);
    assert.equal(colour.step(1, 0, root), 0);
    for (let n = 1; n <= 10; ++n) {
      assert.equal(colour.step(0.3 * (1 - 1e-9) * colour.edge(n, 1, root), 0.3, root), n);
      assert.equal(colour.step(-0.3 * (1 + 1e-9) * colour.edge(n, 1, root), 0.3, root), -Math.min(10, n + 1));
    }
  }
  assert.equal(colour.stepClass(-3), 'n3');
  assert.equal(colour.stepClass(0), 'z');
});

test('those properties have a colour of their own that most heads are labelled with', () => {
  const properties = [...'abcdefghij'];
  assert.deepEqual(colour.hues(properties, ['c', null, 'j', 'j', 'b', 'c', 'j', 'not here']), [3, 2, 1, 4, 5, 6, 7, 8, 8, 0]);
  assert.equal(colour.categoryClass(3, 0.2), 'k3 c1');
  assert.equal(colour.categoryClass(8, 0.21), 'k8 c2');
  assert.equal(colour.categoryClass(0, 1), 'k0 c5');
  assert.equal(colour.categoryClass(0, 0), 'k0 c1');
});

test('saved figures have the colours of the page and the report in light', () => {
  const css = readFileSync(new URL('../../cliplens/report/assets/colours.css', import.meta.url), 'utf8');
  const value = (name) => css.match(new RegExp(`--${name}: ([^;]+);`))[1];
  const mixed = (rgb, alpha) => colour.hex(colour.mix([255, 255, 255], rgb.split(' ').map(Number), Number(alpha === 'var(--step8)' ? value('step8') : alpha ?? 1)));
  const steps = [...css.matchAll(/\.([pn])(\d+) \{ background: rgb\(var\(--(?:pos|neg)\)(?: \/ ([^;]+))?\); \}/g)];
  assert.equal(steps.length, 20);
  for (const [, side, n, alpha] of steps) {
    assert.equal(colour.stepColour(side === 'p' ? Number(n) : -Number(n)), mixed(value(side === 'p' ? 'pos' : 'neg'), alpha), side + n);
  }
  const properties = [...css.matchAll(/\.k(\d+) \{ --k: ([^;]+); \}/g)], strengths = [...css.matchAll(/\.c(\d) \{ background: rgb\(var\(--k\) \/ ([^)]+)\); \}/g)];
  assert.deepEqual([properties.length, strengths.length], [colour.kCategories.length, 5]);
  for (const [, k, rgb] of properties) for (const [, c, alpha] of strengths) assert.equal(colour.categoryColour(Number(k), c / 5), mixed(rgb, alpha), `k${k} c${c}`);
  assert.deepEqual([colour.hex(colour.kFor), colour.hex(colour.kAgainst)], [value('for'), value('against')]);
});

test('text on every step of a saved figure has a contrast of 4.5', () => {
  const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  for (let n = -10; n <= 10; ++n) {
    const text = Math.abs(n) > 8 ? [255, 255, 255] : [27, 29, 34];
    assert.ok(colour.contrast(rgb(colour.stepColour(n)), text) >= 4.5, `step ${n}`);
  }
  for (let k = 0; k < 9; ++k) assert.ok(colour.contrast(rgb(colour.categoryColour(k, 1)), [27, 29, 34]) >= 4.5, `category ${k}`);
});

test('the end of a scale is a round number at or above the value', () => {
  assert.deepEqual([0.0123, 0.02, 0.0201, 7, 1].map(colour.roundUp), [0.015, 0.02, 0.03, 8, 1]);
  assert.equal(colour.roundUp(0), 1);
  for (let x = 1e-6; x < 1e3; x *= 1.37) assert.ok(colour.roundUp(x) >= x && colour.roundUp(x) <= 1.51 * x);
});

test('a map is bilinear between the centres of patches', () => {
  const map = [[0, 1], [2, 3]];
  assert.equal(heat.bilinear(map, 0.5, 0.5), 0);
  assert.equal(heat.bilinear(map, 1.5, 1.5), 3);
  assert.equal(heat.bilinear(map, 1, 1), 1.5);
  assert.equal(heat.bilinear(map, 0, 0), 0);
  assert.equal(heat.bilinear(map, 2, 0), 1);
});

test('zero leaves the grey picture, for is red, against is blue, the rest fades', () => {
  const draw = (value, region = [0, 0, 2, 2]) => {
    const pixels = new Uint8ClampedArray(16).fill(100);
    heat.tint(pixels, 2, 2, [[value]], region, 1);
    return [...pixels.slice(0, 3)];
  };
  assert.deepEqual(draw(0), [140, 140, 140]);
  assert.ok(draw(1)[0] > draw(1)[2] + 100);
  assert.ok(draw(-1)[2] > draw(-1)[0] + 100);
  assert.deepEqual(draw(5), draw(1));
  assert.ok(draw(1, [1, 1, 2, 2])[0] === draw(-1, [1, 1, 2, 2])[0]);
});

test('numbers have a true minus, and no minus before zero', () => {
  assert.equal(format.score(-0.08071), '−0.0807');
  assert.equal(format.score(-0.00001), '0.0000');
  assert.equal(format.percent(0.0514), '5.1\u202f%');
  assert.equal(format.plus(0.5, 2), '+0.50');
  assert.equal(format.plus(0.00001, 2), '0.00');
  assert.equal(format.count(1234567), '1,234,567');
  assert.equal(format.plural(1, 'picture'), '1 picture');
});

test('CSV quotes what needs it, and no text is a formula', () => {
  assert.equal(csv.csv(['a', 'b'], [['x,"y"', -1.5], ['=1+1', null], ['two\nlines', true]]),
    'a,b\r\n"x,""y""",-1.5\r\n\'=1+1,\r\n"two\nlines",true\r\n');
});

test('a figure holds texts as texts', () => {
  const drawn = figures.barFigure({ title: '<script>alert(1)</script>', note: '"&', signed: true, format: String, rows: [{ name: '<img onerror=x>', value: -1 }, { name: 'b', value: 2 }] });
  assert.ok(!drawn.includes('<script') && !drawn.includes('<img'));
  assert.ok(drawn.includes('&lt;script&gt;'));
  assert.equal(svg.escape('a\u0000<b>'), 'a&lt;b&gt;');
  assert.ok(!drawn.includes('NaN'));
  const grid = figures.gridFigure({ title: 't', note: 'n', layers: 2, heads: 2, mlps: true, cell: () => ({ fill: '#fff', dark: false, text: '1' }) });
  assert.equal(grid.match(/<rect /g).length, 7);
});
