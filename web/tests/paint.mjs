// When the first view of a running explorer is painted, in fresh browsers one after the other.
//
//   node web/tests/paint.mjs http://127.0.0.1:PORT/ [BROWSERS]
//
// Prints {"first_paint": [ms], "grid": [ms]}: the first contentful paint, and the overview's grid in
// the page, both from the start of the navigation. CHROMIUM: the browser.
import { chromium } from 'playwright-core';

const [address, browsers = '5'] = process.argv.slice(2);
const result = { first_paint: [], grid: [] };
for (let i = 0; i < Number(browsers); ++i) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] });
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  await page.goto(address);
  await page.waitForSelector('[data-component]');
  result.grid.push(await page.evaluate(() => performance.now()));
  result.first_paint.push(await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime));
  await browser.close();
}
console.log(JSON.stringify(result));
