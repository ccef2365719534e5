// A picture with a map over the region that the model saw, and its patches: the pointer or the arrow
// keys choose one.
import { useEffect, useRef, useState } from 'preact/hooks';
import { pictureUrl } from '../api';
import type { Picture, Region, Source } from '../api_types';
import { tint } from '../lib/heat';
import { score } from '../lib/format';

export interface Patch { row: number; column: number }

const loaded = new Map<string, Promise<HTMLImageElement>>();
function load(url: string): Promise<HTMLImageElement> {
  let image = loaded.get(url);
  if (!image) {
    image = new Promise((done, fail) => {
      const element = new Image();
      element.onload = () => done(element);
      element.onerror = () => fail(new Error('The picture could not be loaded.'));
      element.src = url;
    });
    image.catch(() => loaded.delete(url));
    loaded.set(url, image);
    if (loaded.size > 12) loaded.delete(loaded.keys().next().value!);
  }
  return image;
}

export interface Mask { pixels: ImageData }

export function HeatPicture({ source, picture, size, region, map, scale, patch, onPatch, label, canvasRef, mask }: {
  source: Source; picture: Picture; size: { width: number; height: number } | null; region: Region | null;
  map: number[][] | null; scale: number; patch?: Patch | null; onPatch?: (patch: Patch | null) => void; label: string;
  canvasRef?: { current: HTMLCanvasElement | null }; mask?: HTMLImageElement | null;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const url = pictureUrl(source.id, picture, 512);

  useEffect(() => {
    let live = true;
    load(url).then((image) => {
      const element = canvas.current;
      if (!live || !element) return;
      setProblem(null);
      // Small pictures are enlarged by whole pixels, so that the map over them is smooth.
      const most = Math.max(image.naturalWidth, image.naturalHeight);
      const times = Math.max(1, Math.floor(560 / most));
      const width = image.naturalWidth * times, height = image.naturalHeight * times;
      element.width = width;
      element.height = height;
      const context = element.getContext('2d', { willReadFrequently: true })!;
      context.imageSmoothingEnabled = times < 2;
      context.drawImage(image, 0, 0, width, height);
      if (canvasRef) canvasRef.current = element;
      if (mask) {
        // Object as it is, the rest pale, with a line between them.
        const picture = context.getImageData(0, 0, width, height);
        context.drawImage(mask, 0, 0, width, height);
        const inside = context.getImageData(0, 0, width, height).data;
        const p = picture.data;
        const object = (x: number, y: number) => x >= 0 && y >= 0 && x < width && y < height && inside[4 * (y * width + x)]! > 127;
        for (let y = 0; y < height; ++y) for (let x = 0; x < width; ++x) {
          const i = 4 * (y * width + x), here = object(x, y);
          const edge = here && (!object(x - 2, y) || !object(x + 2, y) || !object(x, y - 2) || !object(x, y + 2));
          for (let c = 0; c < 3; ++c) p[i + c] = edge ? [197, 27, 32][c]! : here ? p[i + c]! : 0.3 * p[i + c]! + 0.7 * 235;
        }
        context.putImageData(picture, 0, 0);
      } else if (map && size && region) {
        const x = width / size.width, y = height / size.height;
        const pixels = context.getImageData(0, 0, width, height);
        tint(pixels.data, width, height, map, [region[0] * x, region[1] * y, region[2] * x, region[3] * y], scale);
        context.putImageData(pixels, 0, 0);
      }
    }, () => { if (live) setProblem('The picture could not be loaded; drop it again.'); });
    return () => { live = false; };
  }, [url, map, scale, mask, region?.join(), size?.width, size?.height]);

  const g = map?.length ?? 0;
  const share = (value: number, of: number) => `${(100 * value) / of}%`;
  const box = size && region && g > 0 ? {
    left: share(region[0], size.width), top: share(region[1], size.height),
    width: share(region[2] - region[0], size.width), height: share(region[3] - region[1], size.height),
  } : null;
  const value = patch && map ? map[patch.row]?.[patch.column] : undefined;

  const point = (event: PointerEvent) => {
    const target = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const column = Math.floor(((event.clientX - target.left) / target.width) * g), row = Math.floor(((event.clientY - target.top) / target.height) * g);
    if (row >= 0 && row < g && column >= 0 && column < g && (row !== patch?.row || column !== patch?.column)) onPatch?.({ row, column });
  };
  const move = (event: KeyboardEvent) => {
    const steps: Record<string, [number, number]> = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const by = steps[event.key];
    if (event.key === 'Escape') { onPatch?.(null); return; }
    if (!by) return;
    event.preventDefault();
    const now = patch ?? { row: Math.floor(g / 2), column: Math.floor(g / 2) };
    onPatch?.(patch ? { row: Math.max(0, Math.min(g - 1, now.row + by[0])), column: Math.max(0, Math.min(g - 1, now.column + by[1])) } : now);
  };

  return (
    <div class="heat">
      <div class="canvas">
        <canvas ref={canvas} role="img" aria-label={label} />
        {box && onPatch && (
          <div class="patches" style={box} tabIndex={0} role="application" aria-roledescription="map of patches"
            aria-label={`Patches, ${g} by ${g}; arrow keys choose one${patch ? `. Row ${patch.row + 1}, column ${patch.column + 1}${value !== undefined ? ', ' + score(value) : ''}` : ''}`}
            onPointerMove={point} onPointerDown={point} onPointerLeave={() => onPatch(null)} onKeyDown={move}
            onFocus={(event) => { if ((event.currentTarget as HTMLElement).matches(':focus-visible') && !patch) onPatch({ row: Math.floor(g / 2), column: Math.floor(g / 2) }); }}>
            {patch && <i class="cursor" style={{ left: share(patch.column, g), top: share(patch.row, g), width: share(1, g), height: share(1, g) }} />}
          </div>
        )}
      </div>
      {problem && <p class="problem" role="alert">{problem}</p>}
    </div>
  );
}

export function HeatScale({ scale, says = 'score of one patch; zero in the middle', unit = 'of the score' }: { scale: number; says?: string; unit?: string }) {
  return (
    <div class="heat-scale" role="img" aria-label={`Colours from −${scale} (blue, against) over 0 to ${scale} (red, for), in units ${unit}`}>
      <span>−{scale}</span><i /><span>+{scale}</span>
      <small>{says}</small>
    </div>
  );
}
