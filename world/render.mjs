// Renders drawings of an icon set to PNG files (240 px square, straight alpha).
// Usage: node render.mjs SET.json OUT_DIR NAME...
// The renderer aborts the whole process on a few drawings. So every finished file is kept, the name
// being drawn stands in OUT_DIR/current, and the caller starts the program again for what is left.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Resvg } from "@resvg/resvg-js";

const kSide = 240;
const [setFile, outDir, ...names] = process.argv.slice(2);
const set = JSON.parse(readFileSync(setFile, "utf8"));
mkdirSync(outDir, { recursive: true });
const current = join(outDir, "current");

for (const name of names) {
  const file = join(outDir, `${name}.png`);
  if (existsSync(file)) continue;
  const icon = set.icons[name];
  if (icon === undefined) throw new Error(`${setFile} has no drawing named ${name}`);
  const box = [icon.left ?? 0, icon.top ?? 0, icon.width ?? set.width, icon.height ?? set.height];
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ` +
    `width="${kSide}" height="${kSide}" viewBox="${box.join(" ")}">${icon.body}</svg>`;
  writeFileSync(current, name);
  const image = new Resvg(svg, { fitTo: { mode: "width", value: kSide } }).render();
  // asPng() divides by alpha; the raw pixels are premultiplied.
  writeFileSync(`${file}.part`, image.asPng());
  renameSync(`${file}.part`, file);
}
rmSync(current, { force: true });
