// A text with suggestions: the combobox of the ARIA Authoring Practices, fed by choices or by the appliance.

import { html, useEffect, useId, useRef, useState } from './vendor/preact.js';
import { clean } from './values.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** head returns the beginning of a text up to an offset in bytes, as the API counts. */
export const head = (text, bytes) => decoder.decode(encoder.encode(text).subarray(0, bytes));

/**
 * completed returns what a text becomes by a candidate: {before, rest}, with the cursor between them. More may have been
 * typed since the candidate was found for found.text; null if it does not go on with that.
 */
export function completed(found, candidate, value, cursor) {
  const typed = value.slice(0, cursor);
  const start = head(found.text, found.start);
  const word = typed.slice(start.length).toLowerCase();
  if (typed !== found.text && !(typed.startsWith(start) && candidate.text.toLowerCase().startsWith(word))) return null;
  return { before: start + candidate.text, rest: value.slice(cursor) };
}

/** fromChoices returns a suggest function for a list of {value, label, help}: those that have the text in them, or all for a whole value. */
export const fromChoices = (choices) => async (text) => {
  const wanted = text.trim().toLowerCase();
  const whole = choices.some((c) => c.value.toLowerCase() === wanted);
  const found = choices.filter((c) => whole || `${c.value} ${c.label || ''}`.toLowerCase().includes(wanted));
  return { start: 0, candidates: found.map((c) => ({ text: c.value, shown: c.label, help: c.help })) };
};

/**
 * Combobox is an input with a list of what may stand at the cursor. suggest(text up to the cursor) resolves to {start,
 * candidates: [{text, help}]}, start in bytes. goesOn says that more words may follow a candidate.
 *
 * Down opens the list, Enter and Tab take the marked candidate, Escape closes the list.
 * onKey sees each key first, and returns true for those that it has handled. Its second argument is the list: open, at (the
 * marked one), pending (what was typed last has no answer yet), and what can be done: take(i), complete, close.
 */
export function Combobox({ own, value, onInput, onChange, suggest, goesOn, onKey, inputRef, label, placeholder, always }) {
  const [found, setFound] = useState(null);
  const [at, setAt] = useState(-1);
  const list = useId();
  const inner = useRef(null);
  const input = inputRef || inner;
  const turn = useRef(0);
  const timer = useRef(0);
  const pending = useRef(false);
  useEffect(() => () => clearTimeout(timer.current), []);

  const close = () => { turn.current += 1; pending.current = false; clearTimeout(timer.current); setFound(null); setAt(-1); };
  const look = async (mark) => {
    turn.current += 1;
    const own = turn.current;
    const element = input.current;
    const text = element.value.slice(0, element.selectionStart ?? element.value.length);
    let answer = null;
    try { answer = await suggest(text); } catch { /* without suggestions the text can still be typed */ }
    if (own !== turn.current || document.activeElement !== element) return null;
    pending.current = false;
    const now = answer && (answer.candidates.length || answer.remark || answer.value) ? { ...answer, text } : null;
    setFound(now);
    // Suggestions that come late leave the mark on the one that it is on.
    const kept = marked.current === null ? -1 : (answer?.candidates.findIndex((c) => c.text === marked.current) ?? -1);
    setAt(kept >= 0 ? kept : mark && answer?.candidates.length ? 0 : -1);
    return now;
  };
  const soon = () => { pending.current = true; clearTimeout(timer.current); timer.current = setTimeout(look, 120); };
  const candidates = found ? found.candidates : [];
  const marked = useRef(null);
  marked.current = at >= 0 && candidates[at] ? candidates[at].text : null;

  const take = (i, from = found) => {
    const now = completed(from, from.candidates[i], input.current.value, input.current.selectionStart);
    if (!now) { look(true); return; }
    const before = now.before + (goesOn ? ' ' : '');
    const rest = goesOn ? now.rest.replace(/^ /, '') : '';
    close();
    onInput(before + rest);
    input.current.value = before + rest;
    input.current.setSelectionRange(before.length, before.length);
    input.current.focus();
    if (goesOn) soon(); else onChange?.(before + rest);
  };
  // What is offered may be for another text than what stands there now.
  const fits = () => candidates.length > 0 && completed(found, candidates[0], input.current.value, input.current.selectionStart);
  const complete = async () => {
    if (fits()) { take(0); return; }
    clearTimeout(timer.current);
    const now = await look(false);
    if (now?.candidates.length) take(0, now);
  };
  const key = (e) => {
    if (onKey && onKey(e, { open: candidates.length > 0, at, pending: pending.current, close, take, complete })) return;
    if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
      e.preventDefault();
      if (!candidates.length) { look(true); return; }
      const step = e.key === 'ArrowDown' ? 1 : -1;
      setAt((at + step + candidates.length + (at < 0 && step < 0 ? 1 : 0)) % candidates.length);
    } else if (e.key === 'Escape' && found) {
      e.preventDefault();
      e.stopPropagation();
      close();
    } else if ((e.key === 'Enter' || e.key === 'Tab') && at >= 0 && !e.shiftKey) {
      e.preventDefault();
      take(at);
    }
  };
  return html`<div class="combobox">
    <input ...${own} ref=${input} type="text" role="combobox" aria-label=${label} placeholder=${placeholder} autocomplete="off" autocapitalize="off" spellcheck=${false}
      aria-autocomplete="list" aria-expanded=${candidates.length ? 'true' : 'false'} aria-controls=${list}
      aria-activedescendant=${at >= 0 ? `${list}-${at}` : undefined}
      value=${value} onInput=${(e) => { onInput(e.target.value); soon(); }} onChange=${(e) => onChange?.(e.target.value)}
      onKeyDown=${key} onClick=${() => !found && look(false)} onBlur=${close} />
    <ul id=${list} role="listbox" aria-label="Suggestions" hidden=${!candidates.length}>
      ${candidates.slice(0, 100).map((c, i) => html`<li key=${c.text} id=${`${list}-${i}`} role="option" aria-selected=${i === at ? 'true' : 'false'}
        onMouseDown=${(e) => { e.preventDefault(); take(i); }}><span>${clean(c.shown || c.text)}</span>${c.help && html`<span class="quiet">${clean(c.help)}</span>`}</li>`)}
    </ul>
    ${always && found && !candidates.length && html`<p class="hint">${found.remark ? clean(found.remark) : `${found.value.text}: ${found.value.help}`}</p>`}
  </div>`;
}
