// Chooses a picture: drop it, paste it, pick a file, or take one of the store.
import { useEffect, useRef, useState } from 'preact/hooks';
import { api, ApiError } from '../api';
import type { Picture } from '../api_types';
import { count } from '../lib/format';
import { withPictures, type Page } from '../state';
import { Gallery } from './gallery';
import { ErrorLine } from './status';
import { Thumb } from './thumb';

export function PictureChoice({ page, picture, onPick, label, clear = true, anywhere = true }: {
  page: Page; picture: Picture | null; onPick: (picture: Picture | null) => void; label: string; clear?: boolean;
  // Takes what is dropped or pasted anywhere on the page; otherwise only what is dropped on it.
  anywhere?: boolean;
}) {
  const { source, limits } = page;
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [over, setOver] = useState(false);
  const [open, setOpen] = useState(false);
  const [find, setFind] = useState('');
  const input = useRef<HTMLInputElement>(null);
  const dialog = useRef<HTMLDialogElement>(null);

  const take = async (file: File | Blob | null | undefined) => {
    if (!file) return;
    setProblem(null);
    // A browser knows few types of pictures; of the others it says nothing, and the server looks at the file.
    if (file.type && !file.type.startsWith('image/')) {
      setProblem('This is no picture. Choose one.');
      return;
    }
    if (file.size > limits.picture_bytes) {
      setProblem(`The file has ${count(file.size)} bytes, the server takes ${count(limits.picture_bytes)}. Make it smaller.`);
      return;
    }
    setBusy(true);
    try {
      onPick({ picture: (await api.upload(file)).data.picture });
    } catch (error) {
      setProblem(error instanceof ApiError ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  const latest = useRef(take);
  latest.current = take;

  // Dropped or pasted anywhere on the page.
  useEffect(() => {
    if (!anywhere) return;
    const paste = (event: ClipboardEvent) => {
      const file = [...(event.clipboardData?.files ?? [])].find((f) => f.type.startsWith('image/'));
      if (file) { event.preventDefault(); void latest.current(file); }
    };
    const holds = (event: DragEvent) => [...(event.dataTransfer?.types ?? [])].includes('Files');
    const drag = (event: DragEvent) => { if (holds(event)) { event.preventDefault(); setOver(true); } };
    const leave = (event: DragEvent) => { if (!event.relatedTarget) setOver(false); };
    const drop = (event: DragEvent) => {
      if (!holds(event)) return;
      event.preventDefault();
      setOver(false);
      void latest.current(event.dataTransfer?.files[0]);
    };
    document.addEventListener('paste', paste);
    document.addEventListener('dragover', drag);
    document.addEventListener('dragleave', leave);
    document.addEventListener('drop', drop);
    return () => {
      document.removeEventListener('paste', paste);
      document.removeEventListener('dragover', drag);
      document.removeEventListener('dragleave', leave);
      document.removeEventListener('drop', drop);
    };
  }, [anywhere]);

  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);

  const current = picture === null ? null : 'item' in picture ? `picture ${picture.item} of the store` : 'neuron_picture' in picture ? `picture ${picture.neuron_picture} of the neurons` : 'a picture of yours';
  return (
    <div class={`choice${over ? ' over' : ''}`} role="group" aria-label={label}
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        if (!event.dataTransfer?.files.length) return;
        event.preventDefault();
        event.stopPropagation();
        setOver(false);
        void take(event.dataTransfer.files[0]);
      }}>
      {picture && <span class="now"><Thumb source={source} picture={picture} alt={current!} side={96} key={JSON.stringify(picture)} /></span>}
      <div>
        <p class="choice-label">{label}{current && <span class="muted">: {current}</span>}</p>
        <div class="buttons">
          <button type="button" onClick={() => input.current?.click()}>Choose a file</button>
          {withPictures(source) && <button type="button" onClick={() => setOpen(true)}>From the store</button>}
          {clear && picture && <button type="button" class="quiet" onClick={() => onPick(null)}>Remove</button>}
          <span class="hint">{anywhere ? 'or drop or paste one anywhere' : 'or drop one here'}</span>
        </div>
        <span role="status" class="hint">{busy ? 'Sending the picture …' : ''}</span>
        <ErrorLine message={problem} />
      </div>
      <input ref={input} type="file" class="hide" tabIndex={-1} aria-label={`${label}: file`} accept="image/*,.bmp,.gif,.tif,.tiff,.avif,.jp2,.j2k,.heic,.heif"
        onChange={(event) => { const field = event.currentTarget; void take(field.files?.[0]); field.value = ''; }} />
      <dialog ref={dialog} aria-label="Pictures of the store" onClose={() => setOpen(false)}>
        {open && (
          <>
            <div class="title"><h2>Pictures of {source.name}</h2><button type="button" onClick={() => setOpen(false)}>Close</button></div>
            <Gallery source={source} find={find} onFind={setFind} picked={picture && 'item' in picture ? picture.item : null}
              onPick={(item) => { setOpen(false); onPick({ item: item.item }); }} />
          </>
        )}
      </dialog>
    </div>
  );
}
