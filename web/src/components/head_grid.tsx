// Layers × heads, the last layer on top as the picture rises through the model, with a column for the
// MLPs. One cell takes part in the tab order; arrow keys, Home and End move within the grid.
import { useRef, useState } from 'preact/hooks';

export interface Cell {
  // Class of the colour, text in the cell, what a screen reader and a tooltip say.
  colour: string;
  text: string;
  title: string;
}
export interface GridProps {
  label: string;
  layers: number;
  heads: number;
  mlps?: boolean;
  // `component` is L5.H3 or L5.MLP.
  cell: (component: string, layer: number, head: number | null) => Cell | null;
  href?: (component: string) => string | null;
  pressed?: (component: string) => boolean;
  onToggle?: (component: string) => void;
  onRow?: (layer: number) => void;
  onPoint?: (component: string | null) => void;
  marked?: string | null;
  sum?: { title: string; text: (layer: number) => string };
  words?: boolean;
}

export const headName = (layer: number, head: number | null) => (head === null ? `L${layer}.MLP` : `L${layer}.H${head}`);

export function HeadGrid(props: GridProps) {
  const { layers, heads } = props;
  const columns = heads + (props.mlps ? 1 : 0);
  const [at, setAt] = useState<[number, number]>([0, 0]);
  const table = useRef<HTMLTableElement>(null);

  const move = (event: KeyboardEvent) => {
    let [row, column] = at;
    switch (event.key) {
      case 'ArrowLeft': column -= 1; break;
      case 'ArrowRight': column += 1; break;
      case 'ArrowUp': row -= 1; break;
      case 'ArrowDown': row += 1; break;
      case 'Home': column = 0; if (event.ctrlKey) row = 0; break;
      case 'End': column = columns - 1; if (event.ctrlKey) row = layers - 1; break;
      case ' ':
        if (props.href) { (event.target as HTMLElement).click(); event.preventDefault(); }
        return;
      default: return;
    }
    event.preventDefault();
    row = Math.max(0, Math.min(layers - 1, row));
    column = Math.max(0, Math.min(columns - 1, column));
    setAt([row, column]);
    table.current?.querySelector<HTMLElement>(`[data-at="${row},${column}"]`)?.focus();
  };

  const inner = (row: number, column: number) => {
    const layer = layers - 1 - row, head = column < heads ? column : null;
    const name = headName(layer, head);
    const cell = props.cell(name, layer, head);
    if (!cell) return <td role="gridcell" class="z" />;
    const pressed = props.pressed?.(name);
    const href = props.href?.(name);
    const common = {
      'data-at': `${row},${column}`,
      'data-component': name,
      tabIndex: at[0] === row && at[1] === column ? 0 : -1,
      'aria-label': `${name}: ${cell.title}`,
      title: `${name}: ${cell.title}`,
      onFocus: () => { setAt([row, column]); props.onPoint?.(name); },
      onBlur: () => props.onPoint?.(null),
      onPointerEnter: () => props.onPoint?.(name),
      onPointerLeave: () => props.onPoint?.(null),
    };
    const classes = [cell.colour, pressed ? 'off' : '', props.marked === name ? 'marked' : ''].filter(Boolean).join(' ');
    return (
      <td role="gridcell" class={classes} key={name}>
        {props.onToggle ? <button type="button" {...common} aria-pressed={pressed ?? false} onClick={() => props.onToggle!(name)}>{cell.text}</button>
          : href ? <a {...common} href={href}>{cell.text}</a>
            : <span {...common}>{cell.text}</span>}
      </td>
    );
  };

  return (
    <div class="scroll">
      <table class={`map${props.words ? ' words' : ''}${heads > 12 ? ' wide' : ''}`} role="grid" aria-label={props.label} aria-rowcount={layers} ref={table} onKeyDown={move}>
        <thead>
          <tr role="row">
            <th scope="col"><span class="hide">layer</span></th>
            {Array.from({ length: heads }, (_, h) => <th scope="col" key={h}>H{h}</th>)}
            {props.mlps && <th scope="col">MLP</th>}
            {props.sum && <th scope="col" class="sum">{props.sum.title}</th>}
          </tr>
        </thead>
        <tbody>
          {Array.from({ length: layers }, (_, row) => {
            const layer = layers - 1 - row;
            return (
              <tr role="row" key={layer}>
                <th scope="row">
                  {props.onRow ? <button type="button" class="quiet" onClick={() => props.onRow!(layer)} title={`All heads of layer ${layer}`} aria-label={`All heads of layer ${layer}`}>L{layer}</button> : `L${layer}`}
                </th>
                {Array.from({ length: columns }, (_, column) => inner(row, column))}
                {props.sum && <td class="sum">{props.sum.text(layer)}</td>}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
