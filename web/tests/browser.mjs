// The page in a real browser against the real server: every view, its keyboard paths, its links, and
// ten numbers of each view held against the command line's --json.
//
//   CLIPLENS_PROGRAM=build/release/bin/cliplens node web/tests/browser.mjs
//
// CLIPLENS_SCREENSHOTS: where pictures of each view go (default build/screenshots). CHROMIUM: the browser.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const root = fileURLToPath(new URL('../..', import.meta.url));
const program = path.resolve(process.env.CLIPLENS_PROGRAM ?? path.join(root, 'build/release/bin/cliplens'));
const shots = path.resolve(process.env.CLIPLENS_SCREENSHOTS ?? path.join(root, 'build/screenshots'));
const work = fs.mkdtempSync(path.join(os.tmpdir(), 'cliplens-browser-'));
process.env.XDG_CACHE_HOME = path.join(work, 'cache');  // no texts that another build embedded
const world = path.join(root, 'world');
const classes = path.join(world, 'texts/objects.txt'), templates = path.join(world, 'texts/objects.templates.txt');
const phrases = path.join(world, 'texts/phrases.txt'), properties = path.join(world, 'texts/properties.txt');
const store = path.join(work, 'test'), second = path.join(work, 'second'), odd = path.join(work, 'odd');
const labels = path.join(work, 'labels.json'), neurons = path.join(work, 'neurons');
const kEvil = '<img src=x onerror=alert(1)>.png';
const kHead = 'L5.H3', kItem = 5;

const cli = (...args) => execFileSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'pipe'] });
const json = (...args) => JSON.parse(cli(...args, '--json'));

// What the page wrote is the number, to the places that it wrote.
function same(written, number, what) {
  const percent = written.includes('%');
  const text = written.replace(/[%\s\u202f,+]/g, '').replace('\u2212', '-');
  const places = (text.split('.')[1] ?? '').length;
  const value = percent ? 100 * number : number;
  assert.ok(text !== '' && Math.abs(Number(text) - value) <= 0.5 * 10 ** -places * (1 + 1e-6), `${what}: the page says ${written}, the command line ${value}`);
}

let passed = 0, failed = 0;
async function test(name, run) {
  const start = Date.now();
  try {
    await run();
    ++passed;
    console.log(`ok      ${name} (${Date.now() - start} ms)`);
  } catch (error) {
    ++failed;
    console.log(`FAILED  ${name}\n        ${String(error.stack ?? error).replaceAll('\n', '\n        ')}`);
    await page?.screenshot({ path: path.join(shots, `failed-${failed}.png`) }).catch(() => {});
  }
}

// ---- The stores, the labels, the server

const freePort = () => new Promise((done) => {
  const server = net.createServer().listen(0, '127.0.0.1', () => { const { port } = server.address(); server.close(() => done(port)); });
});

console.log(`stores in ${work}`);
fs.mkdirSync(shots, { recursive: true });
const pictures = path.join(work, 'pictures');
fs.mkdirSync(pictures);
execFileSync('tar', ['-xf', path.join(world, 'sets/test/test-000.tar'), '-C', pictures]);
const dropped = path.join(pictures, 'test-000007.png'), ofItem = path.join(pictures, `test-${String(kItem).padStart(6, '0')}.png`);
const oddPictures = path.join(work, 'odd-pictures');
fs.mkdirSync(oddPictures);
for (let i = 10; i < 34; ++i) fs.copyFileSync(path.join(pictures, `test-0000${i}.png`), path.join(oddPictures, i === 10 ? kEvil : `p${i}.png`));
cli('decompose', 'pictureworld', '--images', path.join(world, 'sets/test'), '--out', store, '--quiet');
cli('decompose', 'pictureworld-2', '--images', path.join(world, 'sets/test'), '--out', second, '--quiet');
cli('decompose', 'pictureworld', '--images', oddPictures, '--out', odd, '--quiet');
cli('label', store, '--properties', properties, '--out', labels, '--quiet');
cli('neurons', 'collect', 'pictureworld', '--images', path.join(world, 'sets/test'), '--layers', 'last-2', '--out', neurons, '--quiet');

const port = await freePort();
const base = `http://127.0.0.1:${port}`;
const server = spawn(program, ['serve', store, second, odd, neurons, '--port', String(port), '--classes', classes, '--templates', templates, '--texts', phrases, '--properties', properties], { stdio: ['ignore', 'pipe', 'pipe'] });
let serverSaid = '';
server.stdout.on('data', (chunk) => { serverSaid += chunk; });
server.stderr.on('data', (chunk) => { serverSaid += chunk; });
const stop = () => { if (server.exitCode === null) server.kill('SIGTERM'); };
process.on('exit', () => { stop(); fs.rmSync(work, { recursive: true, force: true }); });
for (let i = 0; ; ++i) {
  try { if ((await fetch(`${base}/api/v1/sources`)).ok) break; } catch { /* not yet */ }
  if (i > 150 || server.exitCode !== null) { console.error(`the server does not answer:\n${serverSaid}`); process.exit(1); }
  await new Promise((done) => setTimeout(done, 200));
}

// ---- The browser

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] });
const complaints = [];
async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 }, colorScheme: 'light', acceptDownloads: true, reducedMotion: 'reduce', ...options });
  await context.addInitScript(() => document.addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`)));
  const tab = await context.newPage();
  tab.setDefaultTimeout(20000);
  tab.on('console', (message) => { if (['error', 'warning'].includes(message.type())) complaints.push(`${message.type()}: ${message.text()} at ${tab.url()}, ${message.location().url}`); });
  tab.on('pageerror', (error) => complaints.push(`exception: ${error.message} at ${tab.url()}`));
  tab.on('dialog', (dialog) => { complaints.push(`dialog: ${dialog.message()}`); void dialog.dismiss(); });
  tab.on('request', (request) => { if (!request.url().startsWith(base) && !/^(blob|data|about):/.test(request.url())) complaints.push(`outside request: ${request.url()}`); });
  return tab;
}
let page = await open();
const view = async (hash, ready, tab = page) => {
  await tab.goto('about:blank');
  await tab.goto(`${base}/${hash}`);
  if (ready) await tab.locator(ready).first().waitFor();
};
const settled = async (tab = page) => {
  await tab.waitForFunction(() => !document.querySelector('[aria-busy=true]') && ![...document.querySelectorAll('.waiting')].some((e) => e.textContent));
  assert.equal(await tab.locator('.problem:visible').allTextContents().then((t) => t.join()), '', 'an error is shown');
};
const cellText = (component, tab = page) => tab.locator(`[data-component="${component}"]`).first().textContent();
// Text of column `column` in the row of `table` whose text begins with `name`.
async function row(table, name, column, tab = page) {
  const rows = await (typeof table === 'string' ? tab.locator(table) : table).locator('tbody tr').evaluateAll((all) => all.map((tr) => [...tr.children].map((td) => td.textContent.trim())));
  const found = rows.find((cells) => cells.some((cell, i) => i < 2 && cell.startsWith(name)));
  assert.ok(found, `no row ${name}: ${JSON.stringify(rows).slice(0, 300)}`);
  return found[column];
}
const bytes = (file) => fs.readFileSync(file).toString('base64');
const hand = (tab, file, event) => tab.evaluate(([data, name, event]) => {
  const raw = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([raw], name, { type: 'image/png' }));
  document.body.dispatchEvent(event === 'drop'
    ? new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true })
    : new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true, cancelable: true }));
}, [bytes(file), path.basename(file), event]);
async function saved(click) {
  const [download] = await Promise.all([page.waitForEvent('download'), click()]);
  return { name: download.suggestedFilename(), text: fs.readFileSync(await download.path()) };
}

// ---- Overview

const span = json('span', store, '--texts', phrases, '--count', '20');
const spanOf = new Map(span.heads.map((h) => [h.head, h]));
const spanSecond = json('span', second, '--texts', phrases, '--count', '1');

await test('an address without a source leads to the first store', async () => {
  await view('', 'table.map');
  assert.match(page.url(), /#\/s0\/overview/);
  assert.equal(await page.locator('h1').textContent(), 'test');
});

await test('labels: a button starts the job, progress follows, cancel stops it, and labels come', async () => {
  await page.locator('progress').waitFor({ state: 'detached' });  // the texts are embedded; nothing moves any more
  await page.evaluate(() => {  // in the page, as soon as there is the button: labelling takes a second
    const button = (name) => [...document.querySelectorAll('button')].find((b) => b.textContent.trim() === name);
    const observer = new MutationObserver(() => {
      if (!document.querySelector('progress') || !button('Cancel')) return;
      observer.disconnect();
      button('Cancel').click();
    });
    observer.observe(document.body, { subtree: true, childList: true });
    button('Label the heads').click();
  });
  await page.getByText('Labelling was cancelled').waitFor();
  await page.getByRole('button', { name: 'Label the heads' }).click();
  await page.locator('#properties-title').waitFor({ timeout: 60000 });
  await page.getByLabel('Coloured by').selectOption('label');
});
const label = JSON.parse(fs.readFileSync(labels, 'utf8'));
const labelOf = new Map(label.heads.map((h) => [h.head, h]));

await test('overview: ten shares, labels, confidences and shares of a property are the command line’s', async () => {
  await view('#/s0/overview', 'table.map');
  await settled();
  for (const head of ['L5.H0', 'L5.H4', 'L4.H3', 'L3.H0', 'L2.H4', 'L1.H1', 'L0.H0', 'L0.H4', 'L5.H5', 'L4.H0']) {
    same(await cellText(head) + '%', spanOf.get(head).variance_share, head);
  }
  await page.getByLabel('Coloured by').selectOption('confidence');
  for (const h of label.heads.slice(-10)) {
    const text = await cellText(h.head);
    if (h.guess === null) assert.equal(text, '–'); else same(text + '%', h.confidence, h.head);
  }
  await page.getByLabel('Coloured by').selectOption('property:background');
  for (const h of label.heads.slice(-10)) same(await cellText(h.head) + '%', h.properties.find((p) => p.property === 'background').share.value, h.head);
  await page.getByLabel('Coloured by').selectOption('entanglement');
  for (const h of label.heads.slice(-10)) same(await cellText(h.head), h.properties.filter((p) => p.share.value > p.chance).length, h.head);
  await page.getByLabel('Coloured by').selectOption('label');
  for (const h of label.heads.slice(-10)) assert.equal(await cellText(h.head), h.label ?? '–');
  assert.match(page.url(), /by=label/);
});

await test('overview: shares and labels have the colours of the report', async () => {
  const file = path.join(work, 'report.html');
  cli('report', store, '--texts', phrases, '--properties', properties, '--pictures', '0', '--out', file, '--quiet');
  const cells = [...fs.readFileSync(file, 'utf8').matchAll(/<td class="([^"]+)"><(?:a|span)[^>]* ?title="([^:"]+):([^"]*)"/g)].map(([, colour, component, says]) => ({ colour, component, says }));
  const labels = cells.filter((c) => /confidence|no label/.test(c.says)), shares = cells.filter((c) => !labels.includes(c));
  assert.deepEqual([shares.length, labels.length], [36 + 6 + 1, 36]);
  for (const [by, wanted] of [['share', shares], ['label', labels]]) {
    await view(`#/s0/overview?by=${by}`, 'table.map');
    await settled();
    const drawn = new Map(await page.locator('[data-component]').evaluateAll((all) => all.map((cell) => [cell.dataset.component, cell.closest('td').className])));
    for (const { component, colour } of wanted) if (component !== 'INPUT') assert.equal(drawn.get(component), colour, component);
  }
});

await test('overview: the grid is walked by keyboard and opens a head', async () => {
  await view('#/s0/overview', 'table.map');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  await page.locator('[data-component="L5.H0"]').focus();
  for (const [key, leads] of [['ArrowRight', 'L5.H1'], ['ArrowDown', 'L4.H1'], ['End', 'L4.MLP'], ['ArrowLeft', 'L4.H5'], ['ArrowUp', 'L5.H5'], ['Home', 'L5.H0'], ['Control+End', 'L0.MLP'], ['Control+Home', 'L5.H0'], ['ArrowDown', 'L4.H0']]) {
    await page.keyboard.press(key);
    assert.equal(await page.evaluate(() => document.activeElement.dataset.component), leads, key);
  }
  assert.equal(await page.locator('.map [tabindex="0"]').count(), 1);
  await page.keyboard.press('Enter');
  await page.locator('#texts-title').waitFor();
  assert.match(page.url(), /head\/L4\.H0/);
  assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H1');
  await page.goBack();
  await page.locator('table.map').waitFor();
});

await test('overview: figure and numbers are saved', async () => {
  await view('#/s0/overview', 'table.map');
  const svg = await saved(() => page.getByRole('button', { name: 'Figure of the grid as SVG' }).click());
  assert.match(svg.text.toString(), /^<svg [^]*L5[^]*<\/svg>$/);
  const csv = await saved(() => page.getByRole('button', { name: 'Numbers of the grid as CSV' }).click());
  assert.equal(csv.text.toString().trim().split('\r\n').length, 1 + 36 + 6 + 1);
  const numbers = await saved(() => page.getByRole('button', { name: 'Numbers of the grid as JSON' }).click());
  assert.equal(numbers.text.toString(), await (await fetch(`${base}/api/v1/sources/s0/overview`)).text());
  assert.match(await page.locator('.provenance').last().textContent(), new RegExp(`pictureworld ${span.model.fingerprint.slice(0, 12)} · 1,180 pictures of test`));
});

// ---- Head

await test('head: its texts, label and bounds are the command line’s', async () => {
  await view(`#/s0/head/${kHead}`, '#texts-title');
  await settled();
  const head = spanOf.get(kHead);
  const cells = await page.locator('section[aria-labelledby=texts-title] tbody tr').evaluateAll((all) => all.map((tr) => [...tr.children].map((td) => td.textContent.trim())));
  assert.equal(cells.length, 20);
  head.texts.forEach((t, i) => {
    assert.ok(cells[i][1].startsWith(t.text), `${cells[i][1]} is not ${t.text}`);
    same(cells[i][2], t.share, t.text);
    same(cells[i][3], t.cumulative, t.text);
  });
  const l = labelOf.get(kHead);
  for (const p of l.properties) {
    same(await row('section[aria-labelledby=label-title] table', p.property, 1), p.share.value, p.property);
    const [low, high] = (await row('section[aria-labelledby=label-title] table', p.property, 2)).replace('%', '').split(' to ');
    same(low + '%', p.share.low, p.property);
    same(high + '%', p.share.high, p.property);
  }
  same(await page.locator('.figures dd').nth(0).textContent(), head.variance_share, 'share');
  same(await page.locator('.figures dd').nth(3).textContent(), l.confidence, 'confidence');
  assert.ok((await page.locator('.ends img').count()) >= 60);
});

await test('head: neighbours by a text and by a picture are the command line’s', async () => {
  await view(`#/s0/head/${kHead}`, '#nearest-title');
  await page.getByLabel('By a text').fill('something on a lake');
  await page.keyboard.press('Enter');
  const compare = async (results) => {
    await page.locator('.thumbs li').nth(9).waitFor();
    await settled();
    const captions = await page.locator('.thumbs .caption').allTextContents();
    results.slice(0, 10).forEach((r, i) => same(captions[i].split(' ')[0], r.score, `rank ${i + 1}`));
  };
  await compare(json('search', store, '--text', 'something on a lake', '--heads', kHead, '-k', '24').results);
  await page.getByRole('button', { name: 'From the store' }).click();
  await page.locator(`dialog .tile[data-index="${kItem}"]`).click();
  await page.getByText(`Nearest to picture ${kItem}`).waitFor();
  await compare(json('search', store, '--item', String(kItem), '--heads', kHead, '-k', '24').results);
  await hand(page, dropped, 'paste');
  await page.getByText('Nearest to your picture').waitFor();
  await compare(json('search', store, '--image', dropped, '--heads', kHead, '-k', '24').results);
});

// ---- Picture

const kTexts = ['a picture of coffee', 'in the desert', 'a red picture'];
await test('picture: a dropped picture has the command line’s scores of classes', async () => {
  await view('#/s0/picture', 'h1');
  await hand(page, dropped, 'drop');
  await page.locator('.scores tbody tr').nth(7).waitFor();
  await settled();
  const top = json('classify', 'pictureworld', '--images', dropped, '--classes', classes, '--templates', templates, '-k', '8').results[0].top;
  for (const t of top) {
    same(await row('.scores', t.class, 1), t.similarity, t.class);
    same(await row('.scores', t.class, 2), t.probability, t.class);
  }
});

await test('picture: texts are typed, and scores, components and patches are the command line’s', async () => {
  await view(`#/s0/picture?item=${kItem}`, '.scores');
  for (const text of kTexts) {
    await page.getByLabel('Texts to score').fill(text);
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: `Remove ${text}` }).waitFor();
  }
  await page.locator('.scores').getByRole('button', { name: kTexts[0] }).click();
  await page.locator(`.look .caption:has-text("${kTexts[0]}")`).waitFor();
  await page.locator('.components').first().waitFor();
  await settled();
  const maps = json('heatmap', 'pictureworld', '--image', ofItem, ...kTexts.flatMap((t) => ['--text', t])).maps;
  for (const m of maps) same(await row('.scores', m.text, 1), m.score, m.text);
  const explained = json('explain', 'pictureworld', '--image', ofItem, '--text', kTexts[0]);
  for (const c of [...explained.components.slice(0, 5), ...explained.components.slice(-5)]) {
    same(await row(page.locator('.components').nth(c.score > 0 ? 0 : 1), c.component, 2), c.score, c.component);
  }
  const words = await page.locator('.word-list .number').allTextContents();
  explained.words.forEach((w, i) => same(words[i], w.score, w.text));
  // By keyboard: the middle patch, then two up and one left.
  await page.locator('.patches').focus();
  await page.keyboard.press('ArrowUp');
  await page.locator('.scores th.patch:has-text("row")').waitFor();
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('ArrowLeft');
  const [, y, x] = (await page.locator('.scores th.patch').textContent()).match(/row (\d+), column (\d+)/).map(Number);
  for (const m of maps) same(await row('.scores', m.text, 4), m.map[y - 1][x - 1], `patch of ${m.text}`);
  // By pointer.
  const box = await page.locator('.patches').boundingBox();
  await page.mouse.move(box.x + box.width * (0.5 / maps[0].map.length), box.y + box.height * (0.5 / maps[0].map.length));
  await page.locator('.scores th.patch:has-text("row 1, column 1")').waitFor();
  for (const m of maps) same(await row('.scores', m.text, 4), m.map[0][0], `patch of ${m.text}`);
});

await test('picture: a word shows its patches, by pointer and by keyboard, and can be kept', async () => {
  const before = await page.locator('canvas').first().evaluate((c) => c.toDataURL());
  const words = page.locator('.word-list button');
  await words.nth(1).focus();
  await page.locator('.look .caption:has-text("the word")').waitFor();
  await page.waitForFunction((b) => document.querySelector('canvas').toDataURL() !== b, before);
  await page.keyboard.press('Enter');
  assert.match(page.url(), /word=1/);
  await page.keyboard.press('Enter');
  assert.doesNotMatch(page.url(), /word=/);
  await page.locator('.scores button').first().focus();
});

await test('picture: contrast of two texts, a set of heads and the heads of a property', async () => {
  await page.getByLabel('Against', { exact: true }).selectOption(kTexts[1]);
  await page.locator('.look .caption:has-text("against")').waitFor();
  await settled();
  const against = json('heatmap', 'pictureworld', '--image', ofItem, '--text', kTexts[0], '--against', kTexts[1]);
  const caption = async () => (await page.locator('.look .caption').textContent()).match(/score (\S+), patches (\S+)/).slice(1);
  same((await caption())[0], against.score, 'score of the contrast');
  same((await caption())[1], against.maps[0].map_sum, 'patches of the contrast');
  await page.getByLabel('Which heads count').selectOption('heads');
  await page.getByLabel('Heads, for example').fill('L5.H4,L4');
  await page.keyboard.press('Enter');
  await page.locator('.look .provenance:has-text("L5.H4")').waitFor();
  await settled();
  const some = json('heatmap', 'pictureworld', '--image', ofItem, '--text', kTexts[0], '--against', kTexts[1], '--heads', 'L5.H4,L4');
  same((await caption())[1], some.maps[0].map_sum, 'patches of some heads');
  await page.getByLabel('Which heads count').selectOption('p:background');
  const byProperty = json('heatmap', 'pictureworld', '--image', ofItem, '--text', kTexts[0], '--against', kTexts[1], '--property', 'background', '--labels', labels);
  await page.locator(`.look .provenance:has-text("${byProperty.maps[0].heads[0]} ")`).waitFor();
  await settled();
  same((await caption())[1], byProperty.maps[0].map_sum, 'patches of a property');
});

await test('picture: its address brings it back in a fresh browser', async () => {
  await page.mouse.move(2, 2);
  await page.locator('.scores th.patch:has-text("a patch")').waitFor();
  const other = await open();
  await other.goto(page.url());
  await other.locator('.components').first().waitFor();
  await settled(other);
  for (const selector of ['.look', '.tell']) assert.equal(await other.locator(selector).first().textContent(), await page.locator(selector).first().textContent());
  await other.context().close();
});

await test('picture: figures are pictures, numbers are what was received', async () => {
  const png = await saved(() => page.getByRole('button', { name: 'Figure of the heat map as PNG' }).click());
  assert.equal(png.text.subarray(1, 4).toString(), 'PNG');
  const sheet = await saved(() => page.getByRole('button', { name: 'Figure of the explanation as PNG' }).click());
  assert.equal(sheet.text.subarray(1, 4).toString(), 'PNG');
  const numbers = JSON.parse((await saved(() => page.getByRole('button', { name: 'Numbers of the explanation as JSON' }).click())).text);
  assert.equal(numbers.format, 'cliplens.explain/1');
});

await test('picture: a picture that is none, and an address of one that the server does not know, say so', async () => {
  const file = path.join(work, 'none.png');
  fs.writeFileSync(file, 'this is no picture');
  await view('#/s0/picture', 'h1');
  const quiet = complaints.length;
  await page.getByLabel('Picture: file').setInputFiles(file);
  await page.locator('.problem:visible').waitFor();
  await view('#/s0/picture?picture=00000000000000000000000000000000', 'h1');
  await page.locator('.problem:visible').first().waitFor();
  // The browser notes the refused requests themselves; nothing else may be there.
  const said = complaints.splice(quiet);
  assert.deepEqual(said.filter((c) => !c.includes('Failed to load resource')), []);
});

// ---- Property

await test('property: its heads, and neighbours by both definitions, are the command line’s', async () => {
  await view(`#/s0/property/background?item=${kItem}`, '.thumbs');
  await page.locator('.thumbs >> nth=1').waitFor();
  await settled();
  const heads = label.heads.filter((h) => h.label === 'background' || h.second === 'background');
  for (const h of heads) same(await row('section[aria-labelledby=heads-title] table.texts', h.head, 2), h.properties.find((p) => p.property === 'background').share.value, h.head);
  for (const definition of ['sum-of-scores', 'score-of-sum']) {
    const results = json('search', store, '--item', String(kItem), '--property', 'background', '--labels', labels, '--definition', definition, '-k', '12').results;
    const captions = await page.locator(`section[aria-label="Neighbours by ${definition === 'sum-of-scores' ? 'sum of scores' : 'score of the sum'}"] .caption`).allTextContents();
    results.forEach((r, i) => same(captions[i].split(' ')[0], r.score, `${definition} ${i + 1}`));
  }
});

await test('property: heat map and segmentation of a text by its heads are the command line’s', async () => {
  await page.getByLabel('A text', { exact: true }).fill('in the desert');
  await page.keyboard.press('Enter');
  await page.locator('figcaption:has-text("Segmentation of “in the desert”")').waitFor();
  await settled();
  const map = json('heatmap', 'pictureworld', '--image', ofItem, '--text', 'in the desert', '--property', 'background', '--labels', labels).maps[0];
  const cut = json('segment', 'pictureworld', '--image', ofItem, '--text', 'in the desert', '--property', 'background', '--labels', labels, '--out', path.join(work, 'mask.png'));
  const captions = await page.locator('figcaption').allTextContents();
  same(captions[0].match(/patches (\S+) of/)[1], map.map_sum, 'patches');
  same(captions[0].match(/ of (\S+)$/)[1], map.score, 'score');
  same(captions[1].match(/, (\d+) pixels/)[1], cut.object_pixels, 'pixels');
});

// ---- Edit

await test('neurons: those that matter most, by layer and by head, are the command line’s', async () => {
  await view('#/s0/neurons', 'table.neurons');
  await settled();
  const words = json('neurons', 'words', neurons, '--texts', phrases, '--count', '4');
  const ranked = [...words.neurons].sort((a, b) => b.variance - a.variance);
  for (const n of ranked.slice(0, 10)) {
    same(await row('table.neurons', n.neuron, 1), n.variance / words.embedding_variance, n.neuron);
    assert.ok((await row('table.neurons', n.neuron, 5)).startsWith(n.texts[0].text), n.neuron);
  }
  await page.getByLabel('Layer').selectOption('3');
  await page.locator('h1:has-text("layer 3")').waitFor();
  await settled();
  const third = ranked.filter((n) => n.neuron.startsWith('L3.'));
  assert.equal(await page.locator('table.neurons tbody th').first().textContent(), third[0].neuron);
  await page.getByRole('link', { name: 'next →' }).click();
  await page.locator(`table.neurons th:has-text("${third[50].neuron}")`).waitFor();
  // From a head to the neurons that feed it, and on to one of them and back.
  await view(`#/s0/head/L5.H4`, 'section[aria-labelledby=fed-title] table');
  await settled();
  const first = await page.locator('section[aria-labelledby=fed-title] tbody tr').first().locator('td, th').allTextContents();
  const shown = json('neurons', 'show', neurons, first[0], '--texts', phrases, '--count', '12', '--heads', '12');
  same(first[1], shown.variance / shown.embedding_variance * shown.heads.find((h) => h.head === 'L5.H4').share, first[0]);
  await page.getByRole('link', { name: first[0], exact: true }).click();
  await page.locator(`h1:has-text("${first[0]}")`).waitFor();
  await settled();
  for (const h of shown.heads.slice(0, 5)) same(await row('section[aria-labelledby=carriers-title] table', h.head, 1), h.share, h.head);
  for (const t of shown.texts.slice(0, 5)) same(await row('section[aria-labelledby=texts-title] table', t.text, 1), t.weight, t.text);
  await page.locator('.firings canvas >> nth=8').waitFor();
  await page.locator('section[aria-labelledby=carriers-title]').getByRole('link', { name: 'L5.H4' }).click();
  await page.locator('h1:has-text("L5.H4")').waitFor();
});

await test('picture: the neurons that speak for a text are the command line’s, and show their patches', async () => {
  const text = 'a picture of coffee';
  await view(`#/s0/picture?item=${kItem}&text=${text.replaceAll(' ', '+')}&through=L3`, 'table.neurons tbody tr');
  await settled();
  const through = json('explain', 'pictureworld', '--image', ofItem, '--text', text, '--through', 'L3').through;
  for (const n of through.strongest.slice(0, 8)) same(await row('table.neurons', n.neuron, 2), n.score, n.neuron);
  const before = await page.locator('canvas').first().evaluate((c) => c.toDataURL());
  await page.locator('table.neurons tbody tr').first().focus();
  await page.locator(`.look .caption:has-text("what ${through.strongest[0].neuron} brings")`).waitFor();
  assert.notEqual(await page.locator('canvas').first().evaluate((c) => c.toDataURL()), before);
  await page.getByLabel('Neurons of a layer').selectOption('none');
  await page.locator('table.neurons').waitFor({ state: 'detached' });
  assert.match(page.url(), /through=none/);
});

await test('edit: a head is switched, and accuracy, groups, ranking and scores follow', async () => {
  await view(`#/s0/edit?attribute=style&item=${kItem}`, '.effect');
  await settled();
  await page.locator('[data-component="L5.H4"]').click();
  await page.locator('h1:has-text("1 component")').waitFor();
  await page.locator('[data-component="L5.H4"]').press('ArrowDown');
  await page.keyboard.press('Space');
  await page.locator('h1:has-text("2 components")').waitFor();
  assert.match(page.url(), /off=L4.H4%2CL5.H4/);
  await page.getByLabel('By a text').fill('a picture of a duck');
  await page.keyboard.press('Enter');
  await page.locator('ol.thumbs >> nth=1').waitFor();
  await settled();
  const groups = json('evaluate', 'groups', store, '--classes', classes, '--templates', templates, '--attribute', 'style', '--heads', 'L5.H4,L4.H4', '--skip-empty');
  const [before, after] = ['base', 'edit'].map((name) => groups.rows.find((r) => r.name === name));
  const effect = async (name, column) => (await row('.effect', name, column)).split('%')[0] + '%';
  same(await effect('accuracy', 1), before.average.value, 'accuracy');
  same(await effect('accuracy', 2), after.average.value, 'accuracy, edited');
  same(await effect('worst group', 1), before.worst.value, 'worst group');
  same(await effect('worst group', 2), after.worst.value, 'worst group, edited');
  same(await effect('mean of the groups', 1), before.group_mean.value, 'mean of the groups');
  same(await effect('mean of the groups', 2), after.group_mean.value, 'mean of the groups, edited');
  const ranked = json('search', store, '--text', 'a picture of a duck', '--raw', '-k', '12').results;
  const captions = await page.locator('ol.thumbs >> nth=0').locator('.caption').allTextContents();
  ranked.forEach((r, i) => same(captions[i].trim().split(' ')[0], r.score, `rank ${i + 1}`));
  const top = json('classify', 'pictureworld', '--images', ofItem, '--classes', classes, '--templates', templates, '-k', '118').results[0].top;
  const scores = await page.locator('.narrow tbody tr').evaluateAll((all) => all.map((tr) => [...tr.children].map((td) => td.textContent)));
  for (const [text, as] of scores) same(as, top.find((t) => t.class === text).similarity, text);
});

await test('edit: saved as a file that the command line reads, loaded again, and its scores are the command line’s', async () => {
  await page.getByLabel('Note').fill('two heads of <b>places</b>');
  const file = await saved(() => page.getByRole('button', { name: 'Save the edit' }).click());
  const edit = path.join(work, 'edit.json');
  fs.writeFileSync(edit, file.text);
  const shown = json('edit', 'show', edit);
  assert.deepEqual(shown.components.map((c) => c.component).sort(), ['L4.H4', 'L5.H4']);
  assert.equal(shown.note, 'two heads of <b>places</b>');
  const top = json('classify', 'pictureworld', '--images', ofItem, '--classes', classes, '--templates', templates, '-k', '118', '--edit', edit).results[0].top;
  const scores = await page.locator('.narrow tbody tr').evaluateAll((all) => all.map((tr) => [...tr.children].map((td) => td.textContent)));
  for (const [text, , edited] of scores) same(edited, top.find((t) => t.class === text).similarity, `${text}, edited`);
  await page.getByRole('button', { name: 'Clear' }).click();
  await page.locator('h1:has-text("Nothing")').waitFor();
  await page.getByLabel('Edit file').setInputFiles(edit);
  await page.locator('h1:has-text("2 components")').waitFor();
  assert.equal(await page.getByLabel('Note').inputValue(), 'two heads of <b>places</b>');
  await page.getByRole('button', { name: 'All heads of layer 2' }).click();
  await page.locator('h1:has-text("8 components")').waitFor();
  await page.getByLabel('Switch the heads of a property').selectOption('background');
  await page.getByRole('button', { name: 'All MLPs' }).click();
  await page.getByLabel('scaled by').check();
  await page.getByLabel('Factor').fill('0.5');
  await page.locator('h1:has-text("scaled by 0.5")').waitFor();
  await settled();
});

await test('edit: an answer to a question that was replaced is not shown', async () => {
  await view('#/s0/edit', '.effect');
  await settled();
  for (const head of ['L5.H0', 'L5.H1', 'L5.H2', 'L5.H3', 'L5.H4', 'L5.H5']) await page.locator(`[data-component="${head}"]`).click();
  await settled();
  await page.locator('h1:has-text("6 components")').waitFor();
  const data = await (await fetch(`${base}/api/v1/sources/s0/edit`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ edit: { components: ['L5'], mode: 'mean', scale: 0 }, attribute: null, query: null, count: 12, picture: null, texts: [] }) })).json();
  same((await row('.effect', 'accuracy', 2)).split('%')[0] + '%', data.accuracy.edited.value, 'accuracy');
});

// ---- Compare

await test('compare: shares of both are the command line’s, heads are matched, a picture is scored by both', async () => {
  await view(`#/s0/compare?with=s1&item=${kItem}`, '.matrix');
  await page.locator('section[aria-labelledby=both-title] tbody tr').nth(9).waitFor();
  await settled();
  const sides = page.locator('.pair > section');
  for (const [i, heads] of [[0, span.heads], [1, spanSecond.heads]]) {
    for (const h of heads.slice(-10)) same(await sides.nth(i).locator(`[data-component="${h.head}"]`).textContent() + '%', h.variance_share, h.head);
  }
  const matches = page.locator('section[aria-labelledby=match-title] tbody tr');
  assert.equal(await matches.count(), 20);
  for (const [model, column] of [['pictureworld', 1], ['pictureworld-2', 3]]) {
    const top = json('classify', model, '--images', ofItem, '--classes', classes, '--templates', templates, '-k', '118').results[0].top;
    const rows = await page.locator('section[aria-labelledby=both-title] tbody tr').evaluateAll((all) => all.map((tr) => [...tr.children].map((td) => td.textContent)));
    for (const cells of rows.slice(0, 10)) {
      const t = top.find((t) => t.class === cells[0]);
      same(cells[column], t.similarity, `${model}: ${t.class}`);
      same(cells[column + 1], t.probability, `${model}: ${t.class}`);
    }
  }
  await page.locator('.matrix').focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  assert.match(await page.locator('.matrix').getAttribute('aria-label'), /L0\.H0 and L0\.H1: \d\.\d{3}/);
});

// ---- Names as text, the gallery

await test('a file name is shown as text', async () => {
  await view('#/s2/pictures', '.tile img');
  assert.equal(await page.locator('.tile .caption', { hasText: kEvil }).count(), 1);
  await page.getByLabel('Find').fill('<img');
  await page.locator('output:has-text("1 picture")').waitFor();
  await page.locator('.tile').first().press('Enter');
  await page.locator('h1:has-text("Picture")').waitFor();
  const text = encodeURIComponent('<img src=x>');
  await view(`#/s0/head/${text}?text=${text}`, '.thumbs');
  await view(`#/s0/picture?item=1&text=${text}`, '.components');
  assert.equal(await page.locator('img[src=x]').count(), 0);
});

await test('the gallery draws only what is in sight, and is walked by keyboard', async () => {
  await view('#/s0/pictures', '.tile img');
  assert.ok((await page.locator('.tile').count()) < 200);
  await page.locator('.tile').first().focus();
  await page.keyboard.press('End');
  await page.waitForFunction(() => document.activeElement?.dataset.index === '1179');
  await page.keyboard.press('ArrowUp');
  await page.waitForFunction(() => Number(document.activeElement?.dataset.index) < 1179);
  await page.locator(':focus img').waitFor();
  await page.keyboard.press('Enter');
  await page.locator('.scores').waitFor();
  assert.match(page.url(), /picture\?item=\d+/);
});

await test('landmarks, names and one heading of the first rank in every view', async () => {
  for (const name of ['overview', `head/${kHead}`, 'pictures', `picture?item=${kItem}`, `property/background?item=${kItem}`, 'neurons', 'neurons/L4.N132', 'edit', 'compare']) {
    await view(`#/s0/${name}`, 'h1');
    await settled();
    const faults = await page.evaluate(() => {
      const out = [];
      if (document.querySelectorAll('h1').length !== 1) out.push('h1');
      for (const landmark of ['header', 'main', 'nav', 'footer']) if (!document.querySelector(landmark)) out.push(landmark);
      const named = (e) => e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.labels?.length || e.textContent.trim() || e.title;
      for (const e of document.querySelectorAll('button, a, input, select, canvas')) if (!named(e) && !e.querySelector('img[alt]:not([alt=""])')) out.push(e.outerHTML.slice(0, 80));
      for (const e of document.querySelectorAll('img')) if (e.getAttribute('alt') === null) out.push(e.outerHTML.slice(0, 80));
      const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
      if (new Set(ids).size !== ids.length) out.push('an id twice');
      return out;
    });
    assert.deepEqual(faults, [], name);
  }
});

// ---- Looks

// Texts whose colour has a contrast below 4.5 with what lies behind them (WCAG 2, AA).
const faint = (tab) => tab.evaluate(() => {
  const parse = (text) => { const n = text.match(/[\d.]+/g).map(Number); return text.startsWith('color(srgb') ? [n[0] * 255, n[1] * 255, n[2] * 255, n[3] ?? 1] : [n[0], n[1], n[2], n[3] ?? 1]; };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
  const light = (c) => { const [r, g, b] = c.map((x) => (x / 255 <= 0.04045 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4)); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (e) => { const c = parse(getComputedStyle(e).backgroundColor); return c[3] === 1 || !e.parentElement ? c.slice(0, 3) : over(c, behind(e.parentElement)); };
  const out = [];
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || !e.checkVisibility() || e.closest('.hide, .off, .skip, :disabled, option, .t.gone')) continue;
    const under = behind(e), colour = over(parse(getComputedStyle(e).color), under);
    const [a, b] = [light(under), light(colour)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) out.push(`${ratio.toFixed(2)} ${e.tagName}.${e.className}: ${e.textContent.slice(0, 30)}`);
  }
  return [...new Set(out)].slice(0, 8);
});

await test('no view is wider than its window, from 360 pixels to 4K, light and dark; screenshots are taken', async () => {
  const views = {
    overview: ['#/s0/overview?by=label', 'table.map'], head: [`#/s0/head/${kHead}?text=something+on+a+lake`, '.thumbs'], pictures: ['#/s0/pictures', '.tile img'],
    picture: [`#/s0/picture?item=${kItem}&text=a+picture+of+coffee&text=in+the+desert&text=a+picture+of+a+sunflower&show=a+picture+of+coffee`, '.components'],
    property: [`#/s0/property/background?item=${kItem}`, '.thumbs'], edit: [`#/s0/edit?off=L5.H4%2CL4.MLP&query=a+picture+of+a+duck&item=${kItem}`, 'ol.thumbs'],
    compare: [`#/s0/compare?with=s1&item=${kItem}`, '.matrix'], neurons: ['#/s0/neurons?head=L5.H4', 'table.neurons'], neuron: ['#/s0/neurons/L4.N132', '.firings canvas >> nth=8'],
  };
  for (const [kind, options] of Object.entries({
    light: {}, dark: { colorScheme: 'dark' }, narrow: { viewport: { width: 360, height: 740 } }, wide: { viewport: { width: 3840, height: 2160 } },
  })) {
    const tab = await open(options);
    for (const [name, [hash, ready]] of Object.entries(views)) {
      await view(hash, ready, tab);
      await settled(tab);
      // Pictures are loaded when they come into sight.
      await tab.evaluate(async () => {
        for (const image of document.querySelectorAll('img[loading=lazy]')) image.loading = 'eager';
        await Promise.all([...document.images].filter((i) => !i.complete).map((i) => new Promise((done) => { i.onload = i.onerror = done; })));
      });
      const wider = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wider <= 0, `${name}, ${kind}: ${wider} pixels too wide`);
      if (kind === 'light' || kind === 'dark') assert.deepEqual(await faint(tab), [], `${name}, ${kind}`);
      await tab.screenshot({ path: path.join(shots, `${name}-${kind}.png`), fullPage: kind !== 'wide' });
    }
    await tab.context().close();
  }
});

await test('nothing was said on the console, no policy was broken, nothing was asked of the outside', async () => {
  assert.deepEqual(complaints, []);
});

await test('a server that stopped is said in one line, with the next step', async () => {
  await view('#/s0/edit', '.effect');
  await settled();
  stop();
  await new Promise((done) => (server.exitCode === null ? server.once('exit', done) : done()));
  await page.locator('[data-component="L5.H0"]').click();
  await page.locator('.problem:has-text("does not answer")').first().waitFor();
});

await browser.close();
console.log(failed ? `${failed} failed, ${passed} passed` : `${passed} passed; screenshots in ${shots}`);
process.exit(failed ? 1 : 0);
