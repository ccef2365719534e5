// The buttons "figure" and "numbers" of a section.
import { useState } from 'preact/hooks';
import { csv, type Cell } from '../lib/csv';
import { saveBlob, saveText } from '../lib/save';
import { ErrorLine } from './status';

export interface Table { header: string[]; rows: Cell[][] }

export function Exports({ name, svg, png, json, table, what }: {
  name: string;
  what: string;
  svg?: (() => string) | undefined;
  png?: (() => Promise<Blob>) | undefined;
  json?: string | undefined;
  table?: (() => Table) | undefined;
}) {
  const [problem, setProblem] = useState<string | null>(null);
  const save = async (run: () => void | Promise<void>) => {
    setProblem(null);
    try {
      await run();
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <div class="exports">
      {svg && <button type="button" class="quiet" aria-label={`Figure of ${what} as SVG`} onClick={() => save(() => saveText(svg(), name + '.svg', 'image/svg+xml'))}>Figure <span class="kind">SVG</span></button>}
      {png && <button type="button" class="quiet" aria-label={`Figure of ${what} as PNG`} onClick={() => save(async () => saveBlob(await png(), name + '.png'))}>Figure <span class="kind">PNG</span></button>}
      {json !== undefined && <button type="button" class="quiet" aria-label={`Numbers of ${what} as JSON`} onClick={() => save(() => saveText(json, name + '.json', 'application/json'))}>Numbers <span class="kind">JSON</span></button>}
      {table && <button type="button" class="quiet" aria-label={`Numbers of ${what} as CSV`} onClick={() => save(() => { const t = table(); saveText(csv(t.header, t.rows), name + '.csv', 'text/csv'); })}>Numbers <span class="kind">CSV</span></button>}
      <ErrorLine message={problem} />
    </div>
  );
}
