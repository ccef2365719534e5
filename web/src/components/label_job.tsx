// Work that takes a while: labelling the heads of a source, and what is prepared after the start.
// Server-sent events tell how far it is.
import { useEffect, useState } from 'preact/hooks';
import { api, ApiError } from '../api';
import type { Job, Source } from '../api_types';
import { ErrorLine } from './status';

// How far `job` is; `onEnd` is called once with how it ended, or null where the server fell silent.
export function useJob(job: string | null, onEnd: (end: Job | null) => void): Job | null {
  const [state, setState] = useState<Job | null>(null);
  useEffect(() => {
    setState(null);
    if (!job) return;
    const events = api.events(job);
    const read = (event: Event) => JSON.parse((event as MessageEvent<string>).data) as Job;
    events.addEventListener('progress', (event) => setState(read(event)));
    for (const end of ['done', 'cancelled', 'failed']) {
      events.addEventListener(end, (event) => { events.close(); onEnd(read(event)); });
    }
    events.onerror = () => {
      if (events.readyState === EventSource.CLOSED) onEnd(null);
    };
    return () => events.close();
  }, [job]);
  return state;
}

function Progress({ name, state }: { name: string; state: Job | null }) {
  return (
    <>
      <label>{name} <progress max={state?.total || 1} value={state?.done ?? 0} /></label>
      <span class="muted" role="status">{state && state.total > 0 ? `${state.done} of ${state.total}` : 'starting'}</span>
    </>
  );
}

// Texts and classes are embedded after the start; whoever asks for them waits until then.
export function Preparing({ job }: { job: string }) {
  const [over, setOver] = useState(false);
  const state = useJob(over ? null : job, () => setOver(true));
  return over || !state || state.total === 0 ? null : <div class="notice labelling"><Progress name="Embedding the texts" state={state} /></div>;
}

export function LabelJob({ source, onDone }: { source: Source; onDone: () => void }) {
  const [job, setJob] = useState<string | null>(source.labels === 'running' ? source.label_job : null);
  const [problem, setProblem] = useState<string | null>(null);
  const state = useJob(job, (end) => {
    setJob(null);
    if (end?.state === 'done') onDone();
    else if (end?.state === 'cancelled') setProblem('Labelling was cancelled; nothing was kept. Start it again when you like.');
    else setProblem(end?.error?.message ?? 'The server no longer tells how far labelling is. Reload the page.');
  });
  const attempt = async (run: () => Promise<unknown>) => {
    setProblem(null);
    try {
      await run();
    } catch (error) {
      setProblem(error instanceof ApiError ? error.message : String(error));
    }
  };
  return (
    <div class="notice labelling">
      {job ? (
        <>
          <Progress name="Labelling the heads" state={state} />
          <button type="button" onClick={() => attempt(() => api.cancel(job))}>Cancel</button>
        </>
      ) : (
        <>
          <p>The heads of this store have no labels yet: what each of them tells of, in one word{source.properties_name ? ` of ${source.properties_name.split('/').pop()}` : ''}.</p>
          <button type="button" onClick={() => attempt(async () => setJob((await api.startLabels(source.id)).data.job))}>Label the heads</button>
        </>
      )}
      <ErrorLine message={problem} />
    </div>
  );
}
