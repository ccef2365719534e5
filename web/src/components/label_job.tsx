// Labelling the heads of a source: a button starts it, server-sent events tell how far it is.
import { useEffect, useState } from 'preact/hooks';
import { api, ApiError, type Job, type Source } from '../api';
import { ErrorLine } from './status';

export function LabelJob({ source, onDone }: { source: Source; onDone: () => void }) {
  const [job, setJob] = useState<string | null>(source.labels === 'running' ? (source.label_job ?? null) : null);
  const [state, setState] = useState<Job | null>(null);
  const [problem, setProblem] = useState<string | null>(null);

  useEffect(() => {
    if (!job) return;
    const events = api.events(job);
    const end = (message: string | null) => {
      events.close();
      setJob(null);
      setState(null);
      setProblem(message);
    };
    const read = (event: Event) => JSON.parse((event as MessageEvent<string>).data) as Job;
    events.addEventListener('progress', (event) => setState(read(event)));
    events.addEventListener('done', () => { end(null); onDone(); });
    events.addEventListener('cancelled', () => end('Labelling was cancelled; nothing was kept. Start it again when you like.'));
    events.addEventListener('failed', (event) => end(read(event).error?.message ?? 'Labelling failed.'));
    events.onerror = () => {
      if (events.readyState === EventSource.CLOSED) end('The server no longer tells how far labelling is. Reload the page.');
    };
    return () => events.close();
  }, [job]);

  const start = async () => {
    setProblem(null);
    try {
      setJob((await api.startLabels(source.id)).data.job);
    } catch (error) {
      setProblem(error instanceof ApiError ? error.message : String(error));
    }
  };
  const cancel = async () => {
    if (!job) return;
    try {
      await api.cancel(job);
    } catch (error) {
      setProblem(error instanceof ApiError ? error.message : String(error));
    }
  };

  return (
    <div class="notice labelling">
      {job ? (
        <>
          <label>Labelling the heads <progress max={state?.total || 1} value={state?.done ?? 0} /></label>
          <span class="muted" role="status">{state && state.total > 0 ? `${state.done} of ${state.total}` : 'starting'}</span>
          <button type="button" onClick={cancel}>Cancel</button>
        </>
      ) : (
        <>
          <p>The heads of this store have no labels yet: what each of them tells of, in one word.</p>
          <button type="button" onClick={start}>Label the heads</button>
        </>
      )}
      <ErrorLine message={problem} />
    </div>
  );
}
