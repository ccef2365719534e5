// All pictures of a store. Only the rows in sight are in the page, and items are asked for a hundred at
// a time, so 100,000 pictures scroll as a hundred do.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { api, ApiError } from '../api';
import type { Item, Source } from '../api_types';
import { leaf, plural } from '../lib/format';
import { ErrorLine } from './status';
import { Thumb } from './thumb';

const kPage = 100;
const kOverscan = 3;

export function Gallery({ source, find, onFind, onPick, picked }: {
  source: Source; find: string; onFind: (find: string) => void; onPick: (item: Item) => void; picked?: number | null;
}) {
  const box = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const [top, setTop] = useState(0);
  const [total, setTotal] = useState<number | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [at, setAt] = useState(0);
  const pages = useRef(new Map<number, Item[] | 'asked'>());
  const [, redraw] = useState(0);

  const wide = size.width > 1400 ? 112 : size.width < 420 ? 72 : 96;
  const gap = 6;
  const columns = Math.max(1, Math.floor((size.width + gap) / (wide + gap)));
  const rowHeight = wide + gap + 20;
  const rows = Math.ceil((total ?? 0) / columns);
  const first = Math.max(0, Math.floor(top / rowHeight) - kOverscan);
  const last = Math.min(rows, Math.ceil((top + size.height) / rowHeight) + 1 + kOverscan);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    setSize({ width: element.clientWidth, height: element.clientHeight });
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    pages.current = new Map();
    setTotal(null);
    setAt(0);
    setProblem(null);
    if (box.current) box.current.scrollTop = 0;
    setTop(0);
  }, [source.id, find]);

  useEffect(() => {
    let live = true;
    const from = Math.floor((first * columns) / kPage), to = total === null ? 0 : Math.floor(Math.max(0, Math.min(total, last * columns) - 1) / kPage);
    const store = pages.current;
    for (let page = from; page <= to; ++page) {
      if (store.has(page)) continue;
      store.set(page, 'asked');
      api.items(source.id, page * kPage, kPage, find).then(
        ({ data }) => {
          if (pages.current !== store) return;
          store.set(page, data.items);
          setTotal(data.total);
          if (live) setProblem(null);
          redraw((n) => n + 1);
        },
        (error: unknown) => {
          store.delete(page);
          if (live) setProblem(error instanceof ApiError ? error.message : String(error));
        },
      );
    }
    return () => { live = false; };
  }, [source.id, find, first, last, columns, total]);

  const itemAt = (index: number): Item | null => {
    const page = pages.current.get(Math.floor(index / kPage));
    return page && page !== 'asked' ? (page[index % kPage] ?? null) : null;
  };

  const focus = (index: number) => {
    const element = box.current;
    if (!element || total === null) return;
    const next = Math.max(0, Math.min(total - 1, index));
    setAt(next);
    const y = Math.floor(next / columns) * rowHeight;
    if (y < element.scrollTop) element.scrollTop = y;
    else if (y + rowHeight > element.scrollTop + element.clientHeight) element.scrollTop = y + rowHeight - element.clientHeight;
    setTop(element.scrollTop);
    // After the row is in the page.
    let tries = 0;
    const look = () => {
      const button = element.querySelector<HTMLElement>(`[data-index="${next}"]`);
      if (button) button.focus();
      else if (++tries < 20) requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  };
  const move = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor(size.height / rowHeight)) * columns;
    const steps: Record<string, number> = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -page, PageDown: page, Home: -at, End: (total ?? 1) - 1 - at,
    };
    const by = steps[event.key];
    if (by === undefined) return;
    event.preventDefault();
    focus(at + by);
  };

  const shown = [];
  for (let row = first; row < last; ++row) {
    for (let column = 0; column < columns; ++column) {
      const index = row * columns + column;
      if (total === null || index >= total) break;
      const item = itemAt(index);
      shown.push(
        <button type="button" key={index} class={`tile${item && item.item === picked ? ' picked' : ''}`} data-index={index} tabIndex={index === at ? 0 : -1}
          style={{ left: `${column * (wide + gap)}px`, top: `${row * rowHeight}px`, width: `${wide}px` }}
          aria-label={item ? `${leaf(item.path)}${item.label ? ', ' + item.label : ''}` : `picture ${index}, loading`}
          onFocus={() => setAt(index)} onClick={() => item && onPick(item)}>
          {item ? <Thumb source={source} picture={{ item: item.item }} alt="" side={wide > 100 ? 128 : 96} /> : <span class="t" />}
          <span class="caption">{item ? (item.label ?? leaf(item.path)) : ''}</span>
        </button>,
      );
    }
  }

  return (
    <div class="gallery">
      <div class="tools">
        <label>Find <input type="search" value={find} placeholder="label or part of the path" onInput={(event) => onFind(event.currentTarget.value)} /></label>
        <output aria-live="polite">{total === null ? '' : plural(total, 'picture')}</output>
      </div>
      <ErrorLine message={problem} />
      <div class="window" ref={box} onScroll={(event) => setTop(Math.floor(event.currentTarget.scrollTop / rowHeight) * rowHeight)} onKeyDown={move} role="group" aria-label="Pictures; arrow keys move, Enter chooses">
        <div class="sheet" style={{ height: `${rows * rowHeight}px` }}>{shown}</div>
      </div>
      {total === 0 && <p class="muted">No picture has “{find}” in its path or label.</p>}
    </div>
  );
}
