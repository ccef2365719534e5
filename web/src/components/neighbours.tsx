// Pictures nearest to a picture or a text in a place, by one definition.
import { api } from '../api';
import type { Definition, Measure, Place, Query } from '../api_types';
import { leaf, score } from '../lib/format';
import { fileName } from '../lib/save';
import { useAnswer, type Page } from '../state';
import { Exports } from './exports';
import { Provenance } from './provenance';
import { Answered, Status } from './status';
import { Thumbs } from './thumb';

export const kDefinitions: { value: Definition; name: string; says: string }[] = [
  { value: 'sum-of-scores', name: 'sum of scores', says: 'each head is compared by itself, and the heads’ scores are added' },
  { value: 'score-of-sum', name: 'score of the sum', says: 'the heads’ contributions are added and compared as one' },
];

export function Neighbours({ page, query, place, definition, measure = 'cosine', title, count = 24 }: {
  page: Page; query: Query; place: Place; definition: Definition; measure?: Measure; title: string; count?: number;
}) {
  const { source } = page;
  const body = { terms: [{ query, in: place, unlike: false }], definition, measure, count };
  const asked = useAnswer(`search ${source.id} ${JSON.stringify(body)}`, (signal) => api.search(source.id, body, signal));
  const term = asked.data?.terms[0];
  return (
    <section class="sub" aria-label={title}>
      <h3>{title}</h3>
      <Status asked={asked} what="neighbours" />
      {asked.data && (
        <Answered asked={asked}>
          <Thumbs source={source} label={title} className="thumbs"
            hits={asked.data.results.map((hit) => ({ item: hit.item, path: hit.path, score: score(hit.score), note: hit.label }))} />
          {asked.data.results.length === 0 && <p class="muted">No picture was found.</p>}
          <div class="foot">
            <Provenance computed={asked.data} source={source} more={term ? [`${term.measure}, ${term.definition}`, term.in] : []} />
            <Exports name={fileName(source.name, 'neighbours', JSON.stringify(place))} what={title} json={asked.answer?.text}
              table={() => ({ header: ['rank', 'item', 'path', 'label', 'score'], rows: asked.data!.results.map((r) => [r.rank, r.item, r.path, r.label ?? '', r.score]) })}
              svg={undefined} />
          </div>
          <p class="hide" aria-live="polite">{asked.data.results.length ? `Nearest: ${leaf(asked.data.results[0]!.path)}, ${score(asked.data.results[0]!.score)}` : ''}</p>
        </Answered>
      )}
    </section>
  );
}
