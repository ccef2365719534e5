// The page in a real browser where proxies, tunnels and other sites stand between: it works under another name by
// HTTPS and under a path, and pages of other sites reach nothing, also when a name of theirs is pointed here.
//
//   CLIPLENS_PROGRAM=build/release/bin/cliplens node web/tests/reach.mjs
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const root = fileURLToPath(new URL('../..', import.meta.url));
const program = path.resolve(process.env.CLIPLENS_PROGRAM ?? path.join(root, 'build/release/bin/cliplens'));
const work = fs.mkdtempSync(path.join(os.tmpdir(), 'cliplens-reach-'));
process.env.XDG_CACHE_HOME = path.join(work, 'cache');
const kToken = 'reach-0123456789abcdef';
const children = [];
process.on('exit', () => { children.forEach((child) => child.kill('SIGTERM')); fs.rmSync(work, { recursive: true, force: true }); });

async function firstLine(command, ...args) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  for await (const line of createInterface({ input: child.stdout })) return line;
  throw new Error(`${command} ended`);
}
const serve = async (...args) => JSON.parse(await firstLine(program, 'serve', store, '--texts', texts, '--port', '0', '--json', ...args)).port;
const proxy = async (target, ...args) => Number(await firstLine('python3', path.join(root, 'tests/python/reverse_proxy.py'), '0', String(target), ...args));

let passed = 0, failed = 0;
async function test(name, run) {
  try { await run(); ++passed; console.log(`ok      ${name}`); }
  catch (error) { ++failed; console.log(`FAILED  ${name}\n        ${String(error.stack ?? error).replaceAll('\n', '\n        ')}`); }
}

const pictures = path.join(work, 'pictures'), store = path.join(work, 'store'), texts = path.join(work, 'texts.txt');
fs.mkdirSync(pictures);
fs.writeFileSync(texts, 'a duck\n<img src=x onerror=alert(1)>\n</script><script>alert(2)</script>\n=HYPERLINK("http://evil.example")\n');
execFileSync('tar', ['-xf', path.join(root, 'world/sets/test/test-000.tar'), '-C', pictures]);
const names = fs.readdirSync(pictures).filter((name) => name.endsWith('.png') && !name.includes('mask')).sort();
const kEvil = ['<img src=x onerror=alert(3)>.png', '=HYPERLINK("http:evil.example").png', '"><script>alert(4)<\u2215script>.png', "-1+1'&amp;.png"];
const few = path.join(work, 'few');
fs.mkdirSync(few);
names.slice(0, 16).forEach((name, i) => fs.copyFileSync(path.join(pictures, name), path.join(few, kEvil[i] ?? name)));
execFileSync(program, ['decompose', 'pictureworld', '--images', few, '--out', store, '--quiet']);
execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=clip.example', '-out', path.join(work, 'cert.pem'), '-keyout', path.join(work, 'key.pem')], { stdio: 'ignore' });
const tls = ['--tls', path.join(work, 'cert.pem'), path.join(work, 'key.pem')];

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--host-resolver-rules=MAP clip.example 127.0.0.1, MAP evil.example 127.0.0.1', ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])],
});
async function open() {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, reducedMotion: 'reduce' });
  const tab = await context.newPage();
  tab.setDefaultTimeout(60000);
  const complaints = [];
  tab.on('console', (message) => { if (message.type() === 'error') complaints.push(message.text()); });
  tab.on('pageerror', (error) => complaints.push(error.message));
  tab.on('dialog', (dialog) => { complaints.push(`dialog ${dialog.message()}`); void dialog.dismiss(); });
  return { context, tab, complaints };
}
// Overview, a picture of the store by its bytes, a question by POST, a job with its events, a picture that is sent.
async function works(address, page) {
  const { context, tab, complaints } = await open();
  await tab.goto(address);
  await tab.locator('table.map').waitFor();
  assert.equal(tab.url().split('#')[0], page);
  await tab.goto(`${page}#/s0/pictures`);
  await tab.locator('img').first().waitFor();
  await tab.waitForFunction(() => [...document.images].every((image) => image.complete) && document.images[0].naturalWidth > 0);
  const shown = await tab.locator('body').innerText() + await tab.locator('img').evaluateAll((all) => all.map((i) => i.alt + i.title).join('\n'));
  for (const name of kEvil) assert.ok(shown.includes(name), `${name} is not shown: ${shown.slice(0, 500)}`);
  await tab.goto(`${page}#/s0/picture?item=5&text=${encodeURIComponent('<img src=x onerror=alert(5)>')}`);
  await tab.locator('.scores').first().waitFor();
  await tab.locator('.scores').getByText('<img src=x onerror=alert(5)>').first().waitFor();
  await tab.goto(`${page}#/s0/overview`);
  await tab.getByRole('button', { name: 'Label the heads' }).click();
  await tab.locator('#properties-title').waitFor();
  await tab.goto(`${page}#/s0/head/L5.H3`);
  await tab.locator('#texts-title').waitFor();
  await tab.getByText('</script><script>alert(2)</script>').first().waitFor();
  await tab.goto(`${page}#/s0/picture`);
  await tab.getByLabel('Picture: file').setInputFiles(path.join(few, names[9]));
  await tab.locator('canvas, .look img').first().waitFor();
  assert.deepEqual(complaints, []);
  await context.close();
}

await test('behind an HTTPS proxy with nginx’s defaults, by another name', async () => {
  const port = await proxy(await serve('--host-name', 'clip.example'), ...tls);
  await works(`https://clip.example:${port}/`, `https://clip.example:${port}/`);
});

await test('under a path, with a token', async () => {
  const port = await proxy(await serve('--token', kToken), '--prefix', '/user/me/proxy');
  const page = `http://localhost:${port}/user/me/proxy/`;
  await works(`${page}?token=${kToken}`, page);
});

await test('pages of other sites start nothing and read nothing', async () => {
  const port = await serve('--token', kToken), open_ = await serve();
  const { context, tab } = await open();
  await tab.goto(`http://127.0.0.1:${port}/?token=${kToken}`);
  await tab.locator('table.map').waitFor();
  // How many jobs were started, which are numbered.
  const jobs = async (target) => {
    for (let n = 1; ; ++n) if ((await fetch(`http://127.0.0.1:${target}/api/v1/jobs/j${n}`, { headers: { Authorization: `Bearer ${kToken}` } })).status === 404) return n - 1;
  };
  const before = new Map();
  for (const target of [port, open_]) before.set(target, await jobs(target));
  const hidden = (target, method, host) => `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`;
  // A page of another site, and one of another port of this machine: the cookie goes along with the second.
  const site = http.createServer((_, answer) => answer.writeHead(200, { 'Content-Type': 'text/html' }).end('<title>theirs</title>'));
  await new Promise((done) => site.listen(0, '127.0.0.1', done));
  for (const host of ['evil.example', '127.0.0.1']) {
    await tab.goto(`http://${host}:${site.address().port}/`);
    for (const target of [port, open_]) {
      await tab.evaluate(async ([target, body]) => {
        for (const address of ['/' + 'a'.repeat(9000), '/', '/app.js', '/api/v1/sources/s0/labels']) {
          for (const init of [{}, { headers: { Range: 'bytes=9-1' } }]) {
            await fetch(`http://127.0.0.1:${target}${address}`, { method: 'POST', mode: 'no-cors', credentials: 'include', body, ...init }).catch(() => {});
          }
        }
      }, [target, hidden('/api/v1/sources/s0/labels', 'POST', `127.0.0.1:${target}`)]);
    }
  }
  // A name of theirs that is pointed here: its script is of the same origin as what it asks.
  await tab.goto(`http://evil.example:${open_}/`);
  assert.match(await tab.locator('body').innerText(), /"forbidden"/);
  const read = await tab.evaluate(async (body) => {
    const texts = [await (await fetch('/api/v1/sources')).text()];
    for (let i = 0; i < 6; ++i) {
      await (await fetch('/' + 'a'.repeat(9000), { method: 'POST', body })).text().catch(() => '');
      texts.push(await (await fetch('/anything')).text());
    }
    return texts;
  }, `GET /api/v1/sources HTTP/1.1\r\nHost: 127.0.0.1:${open_}\r\nX-Ignore: `);
  for (const text of read) assert.doesNotMatch(text, /cliplens\.sources/);
  for (const target of [port, open_]) assert.equal(await jobs(target), before.get(target), 'a job was started');
  site.close();
  await context.close();
});

await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
