// A text that is asked for when Enter or the button is pressed, and a list of them.
import { useEffect, useState } from 'preact/hooks';

export function TextField({ label, value, onSubmit, button, placeholder, most, clears = false }: {
  label: string; value: string; onSubmit: (text: string) => void; button: string; placeholder?: string; most: number; clears?: boolean;
}) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  return (
    <form class="field" onSubmit={(event) => { event.preventDefault(); onSubmit(text.trim()); if (clears) setText(''); }}>
      <label><span>{label}</span> <input type="text" value={text} maxLength={most} placeholder={placeholder} autocomplete="off" spellcheck={false} onInput={(event) => setText(event.currentTarget.value)} /></label>
      <button type="submit">{button}</button>
    </form>
  );
}

export function TextList({ texts, onChange, most, longest }: { texts: string[]; onChange: (texts: string[]) => void; most: number; longest: number }) {
  return (
    <div class="text-list">
      <TextField label="Texts to score" value="" button="Add" placeholder="a picture of a duck" clears most={longest}
        onSubmit={(text) => { if (text && !texts.includes(text) && texts.length < most) onChange([...texts, text]); }} />
      {texts.length > 0 && (
        <ul class="tokens" aria-label="Texts">
          {texts.map((text) => (
            <li key={text}><bdi>{text}</bdi> <button type="button" class="quiet" aria-label={`Remove ${text}`} onClick={() => onChange(texts.filter((t) => t !== text))}>×</button></li>
          ))}
        </ul>
      )}
    </div>
  );
}
