// Whose packets are looked at: the processes at their ends, and the choice of them.

import { useState } from './vendor/preact.js';
import { html } from './ui.js';

/** processName returns a process in a few words. */
export const processName = (p) => (p ? `${p.process || 'unknown'} (${p.pid})` : '');

/** ofQuery returns whose packets an address asks for: {process, pid, user}, each may be empty. */
export const ofQuery = (query) => ({ process: query.get('process') || '', pid: query.get('pid') || '', user: query.get('user') || '' });

/** chosen reports whether packets of some processes are asked for, and not all. */
export const chosen = (of) => Boolean(of.process || of.pid || of.user);

/** given returns the members that ask for something. */
export const given = (of) => Object.fromEntries(Object.entries(of).filter(([, v]) => v));

/** keepsProcesses reports whether the processes are known of a capture's packets, or of a file's. */
export const keepsProcesses = (captures, name) => (captures || []).some((c) => c.processes && (c.name === name || (c.files || []).some((f) => f.name === name)));

/** OfProcess chooses whose packets are shown. */
export function OfProcess({ of, onChoose }) {
  const [typed, setTyped] = useState(of);
  const input = (member, label, size) => html`<label class="inline">${label} <input size=${size} inputmode=${member === 'pid' ? 'numeric' : 'text'} autocomplete="off" spellcheck=${false} value=${typed[member]} onInput=${(e) => setTyped({ ...typed, [member]: e.currentTarget.value })} /></label>`;
  const submit = (e) => { e.preventDefault(); onChoose(Object.fromEntries(Object.entries(typed).map(([k, v]) => [k, v.trim()]))); };
  return html`<form class="row" onSubmit=${submit} aria-label="Packets of a process">
    ${input('process', 'Process', 16)} ${input('pid', 'PID', 8)} ${input('user', 'User', 12)}
    <button type="submit">Only these</button>
    ${chosen(of) && html`<button type="button" onClick=${() => onChoose({})}>Of all processes</button>`}
  </form>`;
}
