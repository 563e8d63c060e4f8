// What views are made of: notices, dialogs, fields, tables, menus.

import { html, h, options, useEffect, useId, useLayoutEffect, useRef, useState } from './vendor/preact.js';
import { aborted, asFailure } from './api.js';
import { serverNow } from './clock.js';
import { Store, useStore } from './state.js';
import { cleanLines } from './values.js';

export { html };

/**
 * drawClean has every text that is drawn go through one hand, in which nothing is hidden and nothing turns its direction:
 * whatever strangers put into a name, a comment or a packet. What a person types is in values of fields, and stays as it is.
 */
export function drawClean() {
  const before = options.vnode;
  options.vnode = (node) => {
    if (node.type === null && typeof node.props === 'string') node.props = cleanLines(node.props);
    before?.(node);
  };
}

// Notices

let nextNotice = 1;
const notices = new Store([]);

/**
 * notify tells a person something, read out by screen readers. kind is "done", "info" or "error". An error, and what
 * stays, is there until it is closed; others go after ten seconds.
 */
export function notify(text, { kind = 'done', hint = '', stays = kind === 'error' } = {}) {
  const id = nextNotice++;
  notices.set([...notices.value.filter((n) => n.text !== text), { id, text, hint, kind }].slice(-4));
  if (!stays) setTimeout(() => dismiss(id), 10000);
}

/** notifyFailure tells of an error, unless it is the page's own abort. */
export function notifyFailure(err) {
  if (aborted(err)) return;
  const failure = asFailure(err);
  notify(failure.message, { kind: 'error', hint: failure.hint });
}

/** dismissAll takes all notices away: those of one login say nothing to the next. */
export function dismissAll() { notices.set([]); }

function dismiss(id) { notices.set(notices.value.filter((n) => n.id !== id)); }

/** Notices is the region of all notices; the frame has it once. */
export function Notices() {
  const list = useStore(notices);
  return html`<div class="notices" role="status" aria-live="polite">
    ${list.map((n) => html`<div key=${n.id} class="notice ${n.kind}" role=${n.kind === 'error' ? 'alert' : undefined}>
      <p>${n.text}${n.hint && html`<span class="hint">${n.hint}</span>`}</p>
      <button type="button" class="plain" onClick=${() => dismiss(n.id)} aria-label="Close this message">×</button>
    </div>`)}
  </div>`;
}

/** Problem shows an error in place: what is wrong, then what to do. */
export function Problem({ failure, id }) {
  if (!failure) return null;
  const f = asFailure(failure);
  return html`<div class="problem" role="alert" id=${id}><p>${f.message}${f.hint && html`<span class="hint">${f.hint}</span>`}</p></div>`;
}

// Dialogs

/** Dialog is a modal dialog that is open while it is drawn. onClose is called for Escape and the close button. */
export function Dialog({ title, onClose, wide, children }) {
  const element = useRef(null);
  const heading = useId();
  useLayoutEffect(() => {
    const dialog = element.current;
    const before = document.activeElement;
    dialog.showModal();
    return () => { dialog.close(); if (before && before.isConnected) before.focus(); };
  }, []);
  return html`<dialog ref=${element} class=${wide ? 'wide' : ''} aria-labelledby=${heading}
      onCancel=${(e) => { e.preventDefault(); onClose(); }}>
    <div class="dialog-head"><h2 id=${heading}>${title}</h2>
      <button type="button" class="plain" onClick=${onClose} aria-label="Close">×</button></div>
    ${children}
  </dialog>`;
}

const question = new Store(null);

/**
 * confirm asks before something that cannot be taken back, and resolves to whether the person agreed.
 * @param {{title: string, text: string, items?: string[], action: string}} what items are named one by one
 * @returns {Promise<boolean>}
 */
export function confirm(what) {
  return new Promise((resolve) => {
    question.set({ ...what, answer: (yes) => { question.set(null); resolve(yes); } });
  });
}

/** Questions shows what confirm asks; the frame has it once. */
export function Questions() {
  const q = useStore(question);
  // With the session its questions end: they are not for who signs in next.
  useEffect(() => () => question.value?.answer(false), []);
  if (!q) return null;
  return html`<${Dialog} title=${q.title} onClose=${() => q.answer(false)}>
    <p>${q.text}</p>
    ${q.items && html`<ul class="items">${q.items.map((item) => html`<li key=${item}>${item}</li>`)}</ul>`}
    <div class="buttons"><button type="button" onClick=${() => q.answer(false)} autofocus>Cancel</button>
      <button type="button" class="danger" onClick=${() => q.answer(true)}>${q.action}</button></div>
  <//>`;
}

// Fields

/**
 * Field is a label with its control, a hint and an error. children is a function of {id, 'aria-describedby',
 * 'aria-invalid'}, which the control takes as it is.
 */
export function Field({ label, hint, error, required, className = '', children }) {
  const id = useId();
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(' ');
  const own = { id, 'aria-describedby': described || undefined, 'aria-invalid': error ? 'true' : undefined };
  return html`<div class="field ${className}">
    <label for=${id}>${label}${required && html`<span class="required"> (required)</span>`}</label>
    ${children(own)}
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
    ${error && html`<p class="error" id=${`${id}-error`} role="alert">${error}</p>`}
  </div>`;
}

/** errorAt returns the text of a failure for one argument, "" when it is about another one. */
export function errorAt(failure, argument) {
  if (!failure) return '';
  const same = (a) => a && a.toLowerCase() === argument.toLowerCase();
  // At its field a refusal need not begin with the keyword: durationseconds "soon" is not right.
  const bare = (text) => (text.toLowerCase().startsWith(`${argument.toLowerCase()} "`) ? text.slice(argument.length + 1) : text);
  const several = (failure.errors || []).filter((e) => same(e.argument)).map((e) => bare(e.detail));
  if (several.length) return several.join('. ');
  return same(failure.argument) ? [bare(failure.message), failure.hint].filter(Boolean).join('. ') : '';
}

/** Fold hides more behind a summary that says what is inside. */
export function Fold({ summary, open, children, onToggle }) {
  return html`<details class="fold" open=${open} onToggle=${onToggle && ((e) => onToggle(e.currentTarget.open))}>
    <summary>${summary}</summary><div class="fold-body">${children}</div></details>`;
}

// Tables

/**
 * Table is a table with a caption, in a region that scrolls by itself when it is too wide.
 * @param {{caption: string, columns: {name: string, title: any, cell: (row: any) => any, number?: boolean, className?: string, header?: boolean}[],
 *   rows: any[], rowKey: (row: any) => string, empty?: string, rowClass?: (row: any) => string, hideCaption?: boolean}} props
 */
export function Table({ caption, columns, rows, rowKey, empty = 'Nothing here', rowClass, hideCaption }) {
  const style = (c) => [c.number && 'number', c.className].filter(Boolean).join(' ') || undefined;
  return html`<div class="scroll" role="region" aria-label=${caption} tabindex="0"><table>
    <caption class=${hideCaption ? 'unseen' : undefined}>${caption}</caption>
    <thead><tr>${columns.map((c) => html`<th key=${c.name} scope="col" class=${style(c)}>${c.title}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${rowKey(row)} class=${rowClass && rowClass(row)}>
      ${columns.map((c) => h(c.header ? 'th' : 'td', { key: c.name, scope: c.header ? 'row' : undefined, class: style(c) }, c.cell(row)))}</tr>`)}
      ${rows.length === 0 && html`<tr class="empty"><td colspan=${columns.length}>${empty}</td></tr>`}
    </tbody></table></div>`;
}

// Menus

/** MenuButton opens a list of links and buttons below it. Escape, a choice, or leaving it closes it. */
export function MenuButton({ label, className = '', children }) {
  const [open, setOpen] = useState(false);
  const around = useRef(null);
  const button = useRef(null);
  const id = useId();
  useEffect(() => {
    if (!open) return undefined;
    const outside = (e) => { if (!around.current.contains(e.target)) setOpen(false); };
    document.addEventListener('pointerdown', outside);
    return () => document.removeEventListener('pointerdown', outside);
  }, [open]);
  // Where the window ends beside it, the list moves until it is whole.
  useLayoutEffect(() => {
    if (!open) return undefined;
    const list = around.current.querySelector('ul');
    const place = () => {
      list.style.translate = '';
      const { left, right } = list.getBoundingClientRect();
      list.style.translate = `${Math.max(12 - left, Math.min(0, document.documentElement.clientWidth - 12 - right))}px`;
    };
    place();
    addEventListener('resize', place);
    return () => removeEventListener('resize', place);
  }, [open]);
  const key = (e) => {
    if (e.key === 'Escape' && open) { setOpen(false); button.current.focus(); }
    if (!open || (e.key !== 'ArrowDown' && e.key !== 'ArrowUp')) return;
    e.preventDefault();
    const items = [...around.current.querySelectorAll('ul a, ul button')];
    const at = items.indexOf(document.activeElement) + (e.key === 'ArrowDown' ? 1 : -1);
    items[(at + items.length) % items.length]?.focus();
  };
  return html`<div class="menu ${className}" ref=${around} onKeyDown=${key}
      onFocusOut=${(e) => { if (e.relatedTarget && !around.current.contains(e.relatedTarget)) setOpen(false); }}>
    <button type="button" ref=${button} aria-expanded=${open ? 'true' : 'false'} aria-controls=${id} onClick=${() => setOpen(!open)}>
      ${label}<span class="arrow" aria-hidden="true"></span></button>
    <ul id=${id} hidden=${!open} onClick=${() => setOpen(false)}>${children}</ul>
  </div>`;
}

/** Tabs are links to the parts of a view. items: {href, title, current}. */
export function Tabs({ label, items }) {
  return html`<nav class="tabs" aria-label=${label}><ul>${items.map((item) => html`<li key=${item.href}>
    <a href=${item.href} aria-current=${item.current ? 'page' : undefined}>${item.title}</a></li>`)}</ul></nav>`;
}

/** Loading is shown while something is fetched; it says what. */
export const Loading = ({ what }) => html`<p class="loading" role="status">Loading ${what}…</p>`;

/**
 * NotLoaded stands where a part of the page should be whose module did not come. A browser may keep the failure for as long
 * as the page is there, so the page is loaded anew; but not while nobody answers, which would leave the browser's own error.
 */
export function NotLoaded({ title }) {
  const again = () => fetch('/', { method: 'HEAD', cache: 'no-store' }).then(() => location.reload()).catch(notifyFailure);
  return html`<h1 tabindex="-1">${title}</h1><p>This part of the page cannot be loaded. <button type="button" onClick=${again}>Try again</button></p>`;
}

/** lazy returns a component whose module is loaded when it is first drawn. */
export function lazy(load, name) {
  let component = null;
  return function Lazy(props) {
    const [, setReady] = useState(false);
    const [failure, setFailure] = useState(null);
    const drawn = component;
    useEffect(() => {
      if (!drawn) load().then((module) => { component = module[name]; setReady(true); }).catch(setFailure);
    }, []);
    if (failure) return html`<${NotLoaded} title="Not loaded" />`;
    return drawn ? h(drawn, props) : html`<${Loading} what="the page" />`;
  };
}

// Hooks

/**
 * useLoad calls load(signal) when deps change, and returns {value, failure, loading, again}. again(background) loads once
 * more and keeps what is shown until it is there.
 */
export function useLoad(load, deps) {
  const [state, setState] = useState({ value: null, failure: null, loading: true });
  const abort = useRef(null);
  const latest = useRef(load);
  latest.current = load;
  const start = async (background) => {
    abort.current?.abort();
    const own = new AbortController();
    abort.current = own;
    try {
      const value = await latest.current(own.signal, background);
      if (abort.current === own) setState({ value, failure: null, loading: false });
    } catch (err) {
      if (!aborted(err) && abort.current === own) setState((s) => ({ ...s, failure: asFailure(err), loading: false }));
    }
  };
  useEffect(() => {
    setState({ value: null, failure: null, loading: true });
    start(false);
    return () => abort.current?.abort();
  }, deps);
  return { ...state, again: start };
}

/** useSoon returns value as it was when it had not changed for some milliseconds. */
export function useSoon(value, milliseconds = 250) {
  const [later, setLater] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setLater(value), milliseconds);
    return () => clearTimeout(timer);
  }, [value, milliseconds]);
  return later;
}

/** useNow returns the time by the appliance's clock, anew each so many milliseconds while the page is seen. */
export function useNow(milliseconds = 1000) {
  const [now, setNow] = useState(serverNow());
  useEffect(() => {
    const timer = setInterval(() => { if (!document.hidden) setNow(serverNow()); }, milliseconds);
    return () => clearInterval(timer);
  }, [milliseconds]);
  return now;
}
