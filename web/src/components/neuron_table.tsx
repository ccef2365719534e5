// A list of neurons: how much each does, which head carries it, what it is about.
import type { NeuronList, Source } from '../api_types';
import { Bar } from './bars';
import { plus, percent, decimals } from '../lib/format';
import { link } from '../lib/route';

// Shares of single neurons are small.
export const small = (share: number) => percent(share, Math.abs(share) < 0.01 ? 3 : 1);
export const saysTexts = (texts: { text: string; weight: number }[]) => texts.map((t) => `${t.text} ${plus(t.weight, 2)}`).join(', ');

export function NeuronTable({ source, list }: { source: Source; list: NeuronList }) {
  const amount = (n: NeuronList['neurons'][number]) => Math.abs(n.through ?? n.share);
  const most = Math.max(1e-12, ...list.neurons.map(amount));
  return (
    <table class="texts neurons">
      <thead><tr>
        <th scope="col">neuron</th>
        {list.head && <th scope="col" class="number">through {list.head}</th>}
        <th scope="col" class={list.head ? 'number less' : 'number'}>of the variance</th>
        <th scope="col" class="meter"><span class="hide">bar</span></th>
        <th scope="col" class="number less">one direction</th>
        <th scope="col" class="less">carried by</th>
        <th scope="col">texts</th>
      </tr></thead>
      <tbody>
        {list.neurons.map((n) => (
          <tr key={n.neuron}>
            <th scope="row"><a href={link(source.id, 'neurons', n.neuron)}>{n.neuron}</a></th>
            {list.head && <td class="number">{small(n.through ?? 0)}</td>}
            <td class={list.head ? 'number less' : 'number'}>{small(n.share)}</td>
            <td class="meter"><Bar part={amount(n) / most} {...((n.through ?? 0) < 0 ? { kind: 'against' } : {})} /></td>
            <td class="number less">{percent(n.top_explained, 0)}</td>
            <td class="carrier less">{source.kind === 'store' ? <a href={link(source.id, 'head', n.strongest.head)}>{n.strongest.head}</a> : n.strongest.head} <small>{percent(n.strongest.share, 0)}</small></td>
            <td class="text"><bdi>{saysTexts(n.texts)}</bdi>{n.cosine < 0.5 ? <small class="muted"> cosine {decimals(n.cosine, 2)}</small> : null}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
