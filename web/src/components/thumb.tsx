// A picture of the store, small. A store whose pictures are gone shows their names.
import { useState } from 'preact/hooks';
import { pictureUrl } from '../api';
import type { Picture, Source } from '../api_types';
import { leaf } from '../lib/format';
import { link } from '../lib/route';

export function Thumb({ source, picture, alt, side = 96 }: { source: Source; picture: Picture; alt: string; side?: number }) {
  const [gone, setGone] = useState(false);
  if (gone || ('item' in picture && source.pictures === false) || ('neuron_picture' in picture && source.neurons?.pictures === false)) {
    return <span class="t gone" role="img" aria-label={alt}><span>{'item' in picture ? picture.item : 'neuron_picture' in picture ? picture.neuron_picture : '?'}</span></span>;
  }
  return <img class="t" src={pictureUrl(source.id, picture, side)} alt={alt} title={alt} loading="lazy" decoding="async" onError={() => setGone(true)} />;
}

export interface Shown { item: number; path: string; score?: string; note?: string }

// A row or a grid of pictures of the store, each leading to its page.
export function Thumbs({ source, hits, label, className = 'strip', side = 96 }: { source: Source; hits: Shown[]; label: string; className?: string; side?: number }) {
  return (
    <ul class={className} aria-label={label}>
      {hits.map((hit) => (
        <li key={hit.item}>
          <a href={link(source.id, 'picture', '', { item: String(hit.item) })}>
            <Thumb source={source} picture={{ item: hit.item }} side={side} alt={`${leaf(hit.path)}${hit.score ? ', ' + hit.score : ''}`} />
            {(hit.score || hit.note) && <span class="caption">{hit.score}{hit.note && <small> {hit.note}</small>}</span>}
          </a>
        </li>
      ))}
    </ul>
  );
}
