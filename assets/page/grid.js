// A list of any length of which only what is seen is in the document: a grid for keyboards and screen readers.

import { useEffect, useId, useLayoutEffect, useRef, useState } from './vendor/preact.js';
import { html } from './ui.js';
import { clean } from './values.js';

/** Height of a row in pixels; app.css has the same. */
export const rowHeight = 24;

// Browsers bound the height of an element. Longer lists are scrolled by a scale.
const mostPixels = 8000000;

// Rows that are drawn beyond the seen ones, above and below.
const more = 4;

/** Cell is one value of a row. A text that is cut off can be read by pointing at it. */
const Cell = ({ column, content }) => html`<span role="gridcell" class=${column.number ? 'number' : undefined} title=${typeof content === 'string' && content ? clean(content) : undefined}>${content}</span>`;

/** layout returns how a list of a length is scrolled in a window of some pixels. */
export function layout(length, window) {
  const whole = length * rowHeight;
  const height = Math.min(whole, mostPixels);
  const fit = Math.max(1, Math.floor(window / rowHeight));
  const room = height - window;
  return {
    height, fit,
    /** The first row that is seen, with its fraction, at a scroll position. */
    rowAt: (top) => (whole <= mostPixels ? top / rowHeight : (room <= 0 ? 0 : (top / room) * Math.max(0, length - fit))),
    /** The scroll position at which a row is the first one. */
    topOf: (row) => (whole <= mostPixels ? row * rowHeight : (length <= fit ? 0 : (Math.min(row, length - fit) / (length - fit)) * room)),
  };
}

/**
 * Grid shows rows 0 to length - 1.
 * @param {{label: string, columns: {name: string, title: string, width: string, number?: boolean, cell: (row: any) => any}[],
 *   length: number, row: (index: number) => any, selected: number, onSelect: (index: number) => void, onOpen?: (index: number) => void,
 *   onWindow: (first: number, last: number) => void, rowClass?: (row: any) => string, stick?: boolean, onScrolled?: () => void, empty?: any}} props
 *   row: what is known of a row, null while it is fetched; onWindow: which rows are seen; stick: keep the end in sight;
 *   onScrolled: a person scrolled
 */
export function Grid({ label, columns, length, row, selected, onSelect, onOpen, onWindow, rowClass, stick, onScrolled, empty }) {
  const id = useId();
  const body = useRef(null);
  const [window, setWindow] = useState({ top: 0, height: 400 });
  const own = useRef(-1); // the scroll position that this component set itself
  const how = layout(length, window.height);

  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => setWindow((w) => ({ ...w, height: Math.max(rowHeight, body.current.clientHeight - rowHeight) })));
    observer.observe(body.current);
    return () => observer.disconnect();
  }, []);

  const scrollTo = (top) => {
    body.current.scrollTop = top;
    own.current = body.current.scrollTop;
    setWindow((w) => ({ ...w, top: body.current.scrollTop }));
  };
  const scrolled = () => {
    const { scrollTop } = body.current;
    if (Math.abs(scrollTop - own.current) > 1 && onScrolled) onScrolled();
    own.current = scrollTop;
    setWindow((w) => ({ ...w, top: scrollTop }));
  };
  // Where the end is kept in sight, new rows move the list.
  useLayoutEffect(() => { if (stick) scrollTo(how.height); }, [stick, length]);

  const first = Math.max(0, Math.floor(how.rowAt(window.top)));
  const from = Math.max(0, first - more);
  const to = Math.min(length, first + how.fit + more + 1);
  useEffect(() => { onWindow(from, to); }, [from, to, length]);

  const reveal = (index) => {
    const seen = how.rowAt(body.current.scrollTop);
    if (index < seen) scrollTo(how.topOf(index));
    else if (index > seen + how.fit - 1) scrollTo(how.topOf(index - how.fit + 1));
  };
  const shownBefore = useRef(-1);
  useEffect(() => {
    if (selected >= 0 && selected < length && shownBefore.current !== selected) { shownBefore.current = selected; if (!stick) reveal(selected); }
  }, [selected, length > 0]);

  const key = (e) => {
    if (e.ctrlKey || e.altKey || e.metaKey || length === 0) return;
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: how.fit - 1, PageUp: 1 - how.fit, Home: -length, End: length }[e.key];
    if (step !== undefined) {
      e.preventDefault();
      const next = selected < 0 ? (step > 0 && e.key !== 'End' ? first : e.key === 'End' ? length - 1 : 0) : Math.min(length - 1, Math.max(0, selected + step));
      onScrolled?.();
      onSelect(next);
      reveal(next);
    } else if (e.key === 'Enter' && selected >= 0 && onOpen) {
      e.preventDefault();
      onOpen(selected);
    }
  };

  const template = columns.map((c) => c.width).join(' ');
  const shift = how.height < length * rowHeight ? window.top - (how.rowAt(window.top) - from) * rowHeight : from * rowHeight;
  const rows = [];
  for (let index = from; index < to; index++) {
    const data = row(index);
    rows.push(html`<div key=${index} id=${`${id}-${index}`} role="row" aria-rowindex=${index + 2} aria-selected=${index === selected ? 'true' : 'false'}
        class=${`grid-row ${index === selected ? 'selected' : ''} ${data && rowClass ? rowClass(data) : ''}`} style=${{ gridTemplateColumns: template }}
        onClick=${() => { onSelect(index); onScrolled?.(); }} onDblClick=${() => onOpen?.(index)}>
      ${columns.map((c) => html`<${Cell} key=${c.name} column=${c} content=${data ? c.cell(data) : c === columns[0] ? '…' : ''} />`)}</div>`);
  }
  const active = selected >= from && selected < to ? `${id}-${selected}` : undefined;
  return html`<div class="grid" role="grid" aria-label=${label} aria-rowcount=${length + 1} aria-colcount=${columns.length} tabindex="0"
      aria-activedescendant=${active} ref=${body} onKeyDown=${key} onScroll=${scrolled}>
    <div class="grid-row grid-head" role="row" aria-rowindex="1" style=${{ gridTemplateColumns: template }}>
      ${columns.map((c) => html`<span key=${c.name} role="columnheader" class=${c.number ? 'number' : undefined}>${c.title}</span>`)}</div>
    <div class="grid-spacer" role="rowgroup" style=${{ height: `${how.height}px` }}>
      <div class="grid-window" role="presentation" style=${{ transform: `translateY(${shift}px)` }}>${rows}</div></div>
    ${length === 0 && empty && html`<p class="quiet grid-empty">${empty}</p>`}</div>`;
}
