// All pictures of a store, to find one and open it.
import { Gallery } from '../components/gallery';
import { link, one } from '../lib/route';
import { type Page } from '../state';
import { count } from '../lib/format';

export function PicturesView({ page }: { page: Page }) {
  const { source, route, set } = page;
  return (
    <>
      <header class="top">
        <p class="eyebrow">Pictures</p>
        <h1 tabIndex={-1}>{count(source.images ?? 0)} pictures</h1>
      </header>
      <Gallery source={source} find={one(route, 'find') ?? ''} onFind={(find) => set({ find: find || null })}
        onPick={(item) => { location.hash = link(source.id, 'picture', '', { item: String(item.item) }); }} />
    </>
  );
}
