// What opens the command box: Ctrl-K, and its button in the header. The box itself is loaded when it is first wanted.

import { html, useEffect, useState } from './vendor/preact.js';
import { notifyFailure } from './ui.js';

let loaded = null;

/** BoxButton opens the command box. The frame has it once. */
export function BoxButton() {
  const [open, setOpen] = useState(false);
  const [, drawn] = useState(0);
  const show = async () => {
    setOpen(true);
    try { loaded ||= (await import('./box.js')).Box; drawn((n) => n + 1); } catch (err) { setOpen(false); notifyFailure(err); }
  };
  useEffect(() => {
    const key = (e) => {
      if ((e.ctrlKey || e.metaKey) && !e.altKey && !e.shiftKey && e.key.toLowerCase() === 'k' && !document.querySelector('dialog[open]')) {
        e.preventDefault();
        show();
      }
    };
    addEventListener('keydown', key);
    return () => removeEventListener('keydown', key);
  }, []);
  const Box = loaded;
  return html`<button type="button" aria-keyshortcuts="Control+K" onClick=${show}>Command <kbd>Ctrl-K</kbd></button>
    ${open && Box && html`<${Box} onClose=${() => setOpen(false)} />`}`;
}
