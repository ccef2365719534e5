// A heat map as pixels over the picture: red speaks for, blue against, zero shows the picture in grey.
// Bilinear between the centres of patches, as the sheets of the command line are drawn.
import { kAgainst, kFor } from './colour';

// The value at (x, y) in patches, from the centres around it; [g × g] rows from the top.
export function bilinear(map: number[][], x: number, y: number): number {
  const g = map.length;
  const clamp = (v: number) => Math.min(g - 1, Math.max(0, v));
  const cx = clamp(x - 0.5), cy = clamp(y - 0.5);
  const x0 = Math.floor(cx), y0 = Math.floor(cy), x1 = Math.min(g - 1, x0 + 1), y1 = Math.min(g - 1, y0 + 1);
  const fx = cx - x0, fy = cy - y0;
  const top = map[y0]![x0]! * (1 - fx) + map[y0]![x1]! * fx;
  const low = map[y1]![x0]! * (1 - fx) + map[y1]![x1]! * fx;
  return top * (1 - fy) + low * fy;
}

const kStrongest = 0.82;
// How much of the picture is left beside what the model looks at.
const kBeside = 0.25;

// Tints `pixels` (RGBA, width × height) in place; `region` in the same pixels; beside it the picture fades.
export function tint(
  pixels: Uint8ClampedArray, width: number, height: number, map: number[][], region: [number, number, number, number], scale: number,
): void {
  const g = map.length;
  const [left, top, right, bottom] = region;
  for (let y = 0; y < height; ++y) {
    for (let x = 0; x < width; ++x) {
      const i = 4 * (y * width + x);
      const grey = 70 + 0.7 * (0.299 * pixels[i]! + 0.587 * pixels[i + 1]! + 0.114 * pixels[i + 2]!);
      const inside = x + 0.5 >= left && x + 0.5 < right && y + 0.5 >= top && y + 0.5 < bottom;
      if (!inside) {
        for (let c = 0; c < 3; ++c) pixels[i + c] = 255 + (grey - 255) * kBeside;
      } else {
        const value = bilinear(map, ((x + 0.5 - left) / (right - left)) * g, ((y + 0.5 - top) / (bottom - top)) * g);
        const part = Math.min(1, Math.abs(value) / scale) * kStrongest;
        const colour = value < 0 ? kAgainst : kFor;
        for (let c = 0; c < 3; ++c) pixels[i + c] = grey + (colour[c]! - grey) * part;
      }
      pixels[i + 3] = 255;
    }
  }
}
