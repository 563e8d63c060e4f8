// The bytes of a packet, sixteen a line, and the tree of its fields. Each marks what the other one has chosen.

import { useEffect, useMemo, useRef, useState } from './vendor/preact.js';
import { count } from './format.js';
import { html } from './ui.js';

const perLine = 16;

// Bytes that are shown before a person asks for all: a packet may have 256 KB.
const shownAtFirst = 4096;

/** bytesOf returns the bytes that hexadecimal text says. */
export function bytesOf(hex) {
  const bytes = new Uint8Array(hex.length >> 1);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(hex.slice(i * 2, i * 2 + 2), 16);
  return bytes;
}

const pairs = Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, '0'));
const printable = (b) => (b >= 32 && b < 127 ? String.fromCharCode(b) : '.');

/** columnOf returns where the digits of a line's byte begin: there is a gap after eight bytes. */
const columnOf = (n) => n * 3 + (n >= 8 ? 1 : 0);

/** Line is sixteen bytes as digits and as characters, with some of them marked. */
function Line({ at, bytes, from, to }) {
  const line = bytes.subarray(at, at + perLine);
  const hex = Array.from(line, (b, n) => pairs[b] + (n === 7 && line.length > 8 ? '  ' : n === line.length - 1 ? '' : ' ')).join('');
  const text = Array.from(line, printable).join('');
  const a = Math.min(Math.max(from - at, 0), line.length);
  const b = Math.min(Math.max(to - at, 0), line.length);
  const cut = (whole, start, end) => (b > a ? [whole.slice(0, start), html`<mark key="m">${whole.slice(start, end)}</mark>`, whole.slice(end)] : whole);
  return html`<div class="hex-line" data-at=${at}><span class="hex-at">${at.toString(16).padStart(4, '0')}</span><span class="hex-digits">${cut(hex, columnOf(a), columnOf(b - 1) + 2)}</span><span class="hex-text">${cut(text, a, b)}</span></div>`;
}

/** byteAt returns the byte that a click is on, -1 if it is on none. */
function byteAt(e, bytes) {
  const line = e.target.closest('.hex-line');
  const part = e.target.closest('.hex-digits, .hex-text');
  if (!line || !part) return -1;
  const box = part.getBoundingClientRect();
  const characters = part.textContent.length;
  const column = Math.floor(((e.clientX - box.left) / box.width) * characters);
  let n = column;
  if (part.className === 'hex-digits') n = Math.floor((column > 24 ? column - 1 : column) / 3);
  const at = Number(line.dataset.at) + n;
  return at < bytes.length ? at : -1;
}

/** Bytes is the pane of a packet's bytes. marked is {offset, length}; onByte is told which byte a person chose. */
export function Bytes({ bytes, marked, onByte }) {
  const [all, setAll] = useState(false);
  const pane = useRef(null);
  const cursor = useRef(0);
  const from = marked ? marked.offset : 0;
  const to = marked ? marked.offset + marked.length : 0;
  useEffect(() => { setAll(false); cursor.current = 0; }, [bytes]);
  useEffect(() => {
    if (!marked || !pane.current) return;
    const line = pane.current.querySelector(`[data-at="${marked.offset - (marked.offset % perLine)}"]`);
    if (!line) return;
    const box = pane.current.getBoundingClientRect();
    const own = line.getBoundingClientRect();
    if (own.top < box.top || own.bottom > box.bottom) pane.current.scrollTop += own.top - box.top - box.height / 3;
  }, [marked]);
  const end = all ? bytes.length : Math.min(bytes.length, shownAtFirst);
  const lines = [];
  for (let at = 0; at < end; at += perLine) lines.push(html`<${Line} key=${at} at=${at} bytes=${bytes} from=${from} to=${to} />`);
  const key = (e) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: perLine, ArrowUp: -perLine }[e.key];
    if (step === undefined || e.target !== pane.current) return;
    e.preventDefault();
    cursor.current = Math.min(bytes.length - 1, Math.max(0, (marked ? (step > 0 ? to - 1 : from) : 0) + step));
    onByte(cursor.current);
  };
  return html`<div class="hex scroll" role="region" aria-label="Bytes of the packet" tabindex="0" ref=${pane} onKeyDown=${key}
      onClick=${(e) => { const at = byteAt(e, bytes); if (at >= 0) onByte(at); }}>
    ${lines}${end < bytes.length && html`<p><button type="button" class="link" onClick=${() => setAll(true)}>Show all ${count(bytes.length)} bytes</button></p>`}</div>`;
}

/** flat returns the items of a tree that are seen: {item, level, path, parent}. */
function flat(layers, open) {
  const list = [];
  const add = (items, level, parent) => items.forEach((item, n) => {
    const path = `${parent}/${n}`;
    const children = item.fields || [];
    list.push({ item, level, path, parent, children: children.length > 0 });
    if (children.length && open(path, item, level)) add(children, level + 1, path);
  });
  add(layers, 1, '');
  return list;
}

/** fieldAt returns the innermost field that has a byte, with its path. */
export function fieldAt(layers, at) {
  let best = null;
  const look = (items, parent) => items.forEach((item, n) => {
    const path = `${parent}/${n}`;
    const has = item.offset !== undefined && item.offset <= at && at < item.offset + (item.length || 0);
    if (has && (!best || item.length <= best.item.length)) best = { item, path };
    look(item.fields || [], path);
  });
  look(layers, '');
  return best;
}

/**
 * Fields is the tree of a packet's fields.
 * @param {{layers: any[], chosen: string, onChoose: (path: string, item: any) => void}} props chosen is the path of the field that is marked
 */
export function Fields({ layers, chosen, onChoose }) {
  // Which layers are open is by their names, so it stays when another packet is shown.
  const [closed, setClosed] = useState(new Set());
  const [opened, setOpened] = useState(new Set());
  const tree = useRef(null);
  const keyOf = (path, item, level) => (level === 1 ? item.name : `${path.split('/').length}:${item.name}`);
  const isOpen = (path, item, level) => (level === 1 ? !closed.has(item.name) : opened.has(keyOf(path, item, level)) || chosen.startsWith(`${path}/`));
  const list = useMemo(() => flat(layers, isOpen), [layers, closed, opened, chosen]);
  const toggle = (one, open) => {
    const set = one.level === 1 ? closed : opened;
    const change = one.level === 1 ? setClosed : setOpened;
    const name = keyOf(one.path, one.item, one.level);
    const next = new Set(set);
    if ((one.level === 1) === open) next.delete(name); else next.add(name);
    change(next);
  };
  const focusable = list.some((one) => one.path === chosen) ? chosen : list[0]?.path;
  useEffect(() => {
    const element = tree.current && chosen && tree.current.querySelector(`[data-path="${chosen}"]`);
    if (element) element.scrollIntoView({ block: 'nearest' });
  }, [chosen, list]);
  const go = (one) => {
    if (!one) return;
    onChoose(one.path, one.item);
    requestAnimationFrame(() => tree.current?.querySelector(`[data-path="${one.path}"]`)?.focus());
  };
  const key = (e, one) => {
    const at = list.indexOf(one);
    const open = one.children && isOpen(one.path, one.item, one.level);
    const acts = {
      ArrowDown: () => go(list[at + 1]), ArrowUp: () => go(list[at - 1]), Home: () => go(list[0]), End: () => go(list[list.length - 1]),
      ArrowRight: () => (one.children && !open ? toggle(one, true) : open && go(list[at + 1])),
      ArrowLeft: () => (open ? toggle(one, false) : go(list.find((o) => o.path === one.parent))),
      Enter: () => (one.children ? toggle(one, !open) : onChoose(one.path, one.item)), ' ': () => onChoose(one.path, one.item),
    };
    if (!acts[e.key] || e.ctrlKey || e.altKey || e.metaKey) return;
    e.preventDefault();
    acts[e.key]();
  };
  return html`<div class="fields scroll" role="tree" aria-label="Fields of the packet" ref=${tree}>
    ${list.map((one) => {
    const { item, level, path, children } = one;
    const open = children && isOpen(path, item, level);
    return html`<div key=${path} data-path=${path} role="treeitem" aria-level=${level} aria-expanded=${children ? String(open) : undefined}
        aria-selected=${path === chosen ? 'true' : 'false'} tabindex=${path === focusable ? 0 : -1} class=${`tree-item level-${Math.min(level, 5)} ${path === chosen ? 'selected' : ''}`}
        onKeyDown=${(e) => key(e, one)} onClick=${() => onChoose(path, item)}>
      <span class=${`twist ${children ? (open ? 'open' : 'shut') : ''}`} aria-hidden="true" onClick=${(e) => { if (children) { e.stopPropagation(); toggle(one, !open); } }}></span>
      ${level === 1 ? html`<b>${item.label || item.name}</b> <span class="quiet">${item.summary}</span>`
    : html`<span class="field-name">${item.label || item.name}</span> <span class="mono">${item.value}</span>`}</div>`;
  })}</div>`;
}
