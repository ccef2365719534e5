// One line near where it arose: an error with its next step, or that an answer is on its way.
import type { ComponentChildren } from 'preact';
import { setParams, type Asked } from '../state';

// What the message about a long text calls the choice.
const kCut = 'Cut long texts';

export function ErrorLine({ message, retry }: { message: string | null | undefined; retry?: () => void }) {
  return (
    <div class="problem" role="alert" hidden={!message}>
      {message && <p>{message}{retry && <> <button type="button" class="quiet" onClick={retry}>Try again</button></>}
        {message.includes(kCut) && <> <button type="button" class="quiet" onClick={() => setParams({ cut: '1' }, true)}>{kCut}</button></>}</p>}
    </div>
  );
}

export function Status({ asked, what }: { asked: Asked<unknown>; what: string }) {
  return (
    <>
      <ErrorLine message={asked.error?.message} retry={asked.retry} />
      <p class="waiting" role="status">{asked.waiting && !asked.answer ? `Computing ${what} …` : ''}</p>
    </>
  );
}

// What an answer leaves while the next one is computed is shown paler.
export function Answered({ asked, children }: { asked: Asked<unknown>; children: ComponentChildren }) {
  return <div class={asked.waiting ? 'stale' : undefined} aria-busy={asked.waiting}>{children}</div>;
}
