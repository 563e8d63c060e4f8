// Notes and marks at packets: a mark is a note without text.

import { useCallback, useEffect, useRef, useState } from './vendor/preact.js';
import { aborted, run } from './api.js';
import { useEvent } from './events.js';
import { useMoment } from './format.js';
import { useAllowed, usePayload } from './state.js';
import { Field, html, notifyFailure } from './ui.js';

// How long the appliance may read on before it answers with the notes whose packets it knows, in seconds.
const patience = '0.4';

// Characters of a note, as the appliance counts them; it refuses longer ones.
const longest = 500;

/** tooLong says that a note has more characters than it may, "" if it has not. */
function tooLong(text) {
  const n = [...text.trim()].length;
  return n > longest ? `A note has at most ${longest} characters, and this has ${n}` : '';
}

/**
 * useNotes returns {may, at, again} of a capture or file: whether the person may see and make notes, the note of a position, and
 * the function that fetches them anew. known is what the list of packets knows: when it knows more, notes of more packets may be shown.
 */
export function useNotes(name, known) {
  const allowed = useAllowed();
  const payload = usePayload();
  const may = payload && allowed('packetcapture note list');
  const [notes, setNotes] = useState(new Map());
  const asked = useRef(null);
  const again = useCallback(async () => {
    asked.current?.abort();
    if (!may) return;
    const own = new AbortController();
    asked.current = own;
    try {
      const list = await run('packetcapture note list', { name, wait: patience }, { signal: own.signal, background: true });
      if (asked.current === own) setNotes(new Map(list.map((n) => [n.position, n])));
    } catch (err) {
      // The list of packets says what is wrong with the file.
      if (!aborted(err)) setNotes(new Map());
    }
  }, [name, may]);
  useEffect(() => { again(); return () => asked.current?.abort(); }, [again, known]);
  useEvent('notes', () => { again(); });
  return { may, at: (position) => notes.get(position), again };
}

/** NoteMark is the mark in a row whose packet has a note. */
export const NoteMark = ({ note }) => html`<span class="note-mark" role="img" aria-label=${note.text ? `Note: ${note.text}` : 'Marked'} title=${note.text || 'Marked'}></span>`;

/** PacketNote is the note of one packet, and what changes it. onChanged is called after a change. */
export function PacketNote({ name, position, note, onChanged }) {
  const allowed = useAllowed();
  const moment = useMoment();
  const [text, setText] = useState(null); // what is typed; null: nothing is being typed
  const [busy, setBusy] = useState(false);
  const field = useRef(null);
  const button = useRef(null);
  const typing = text !== null;
  useEffect(() => { setText(null); }, [name, position]);
  useEffect(() => { if (typing) field.current?.focus(); }, [typing]);

  const act = async (command, args) => {
    setBusy(true);
    try {
      await run(command, { name, position, ...args });
      setText(null);
      await onChanged();
      button.current?.focus();
    } catch (err) { notifyFailure(err); } finally { setBusy(false); }
  };
  const set = (given) => act('packetcapture note set', given ? { text: given } : {});
  const leave = () => { setText(null); requestAnimationFrame(() => button.current?.focus()); };
  const wrong = typing && tooLong(text);
  const submit = (e) => { e.preventDefault(); if (!busy && !wrong) set(text.trim()); };
  if (typing) {
    return html`<form class="packet-note row" onSubmit=${submit} onKeyDown=${(e) => { if (e.key === 'Escape') { e.preventDefault(); leave(); } }}>
      <${Field} label="Note" error=${wrong}>${(own) => html`<input ...${own} ref=${field} name="note" value=${text} onInput=${(e) => setText(e.currentTarget.value)} />`}<//>
      <button type="submit" class="primary" aria-disabled=${String(Boolean(busy || wrong))}>Save</button>
      <button type="button" onClick=${leave}>Cancel</button></form>`;
  }
  return html`<div class="packet-note row" role="group" aria-label=${`Note of packet ${position}`}>
    ${note && html`<p><strong>${note.text ? 'Note:' : 'Marked'}</strong> ${note.text} <span class="quiet">${note.author}, ${moment(note.time)}</span></p>`}
    ${allowed('packetcapture note set') && html`<button type="button" ref=${button} class="note-text" onClick=${() => setText(note ? note.text || '' : '')}>${note ? 'Edit note' : 'Add a note'}</button>
      ${!note && html`<button type="button" class="note-only-mark" disabled=${busy} onClick=${() => set('')}>Mark</button>`}`}
    ${note && allowed('packetcapture note delete') && html`<button type="button" class="note-delete" disabled=${busy} onClick=${() => act('packetcapture note delete', {})}>Delete note</button>`}</div>`;
}
