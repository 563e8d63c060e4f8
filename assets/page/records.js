// Records of any command as tables and lists. All texts reach the page as text nodes.

import { html, useMemo, useState } from './vendor/preact.js';
import { zone } from './format.js';
import { useStore } from './state.js';
import { clean, exact, flat, plain, simple, title } from './values.js';

const firstRows = 300;

/** Value shows one value of a record; lists of objects open. */
export function Value({ name, value }) {
  if (Array.isArray(value) && value.length && !simple(value)) {
    return html`<details class="nested"><summary>${value.length} ${value.length === 1 ? 'entry' : 'entries'}</summary>
      <${RecordTable} records=${value} label=${title(name)} /></details>`;
  }
  if (Array.isArray(value)) return value.map((v) => plain(name, v)).join(', ');
  if (typeof value === 'string' && value.includes('\n')) return html`<pre class="inner" role="region" tabindex="0" aria-label=${title(name)}>${value.split('\n').map(clean).join('\n')}</pre>`;
  const more = exact(name, value);
  return more ? html`<span title=${more}>${plain(name, value)}</span>` : plain(name, value);
}

const numeric = (value) => typeof value === 'number';

// A value of seconds is shown with its unit, so the heading needs none.
const heading = (name) => title(name.replace(/([a-z])Seconds$/, '$1'));

const empty = (value) => value === null || value === undefined || value === '' || Array.isArray(value) && value.length === 0;

/** columnsOf returns the names of the members that any of the records has, in their order. */
export function columnsOf(records) {
  const names = new Set();
  for (const r of records) for (const [name, value] of flat(r)) if (!empty(value)) names.add(name);
  const order = new Map();
  for (const r of records.slice(0, 50)) flat(r).forEach(([name], i) => { if (!order.has(name)) order.set(name, i); });
  return [...names].sort((a, b) => (order.get(a) ?? 999) - (order.get(b) ?? 999));
}

function compare(a, b) {
  if (empty(a) || empty(b)) return Number(empty(a)) - Number(empty(b));
  if (numeric(a) && numeric(b)) return a - b;
  return String(a).localeCompare(String(b), 'en', { numeric: true });
}

function sorted(rows, sort) {
  if (!sort) return rows;
  return [...rows].sort((a, b) => {
    const order = compare(a.cells.get(sort.name), b.cells.get(sort.name));
    return sort.down ? -order : order;
  });
}

/**
 * RecordTable shows records as a table that can be sorted by each column.
 *
 * columns are the members to show, with their headings and, of some, the class of their cells: [name, heading, class]; without it all that are not empty. marks tells of a
 * row what has become of it since the last refresh (see live.js). actions returns what stands at the end of a row.
 */
export function RecordTable({ records, label, columns, marks, actions, none = 'Nothing to show', all: whole = false }) {
  useStore(zone);
  const [sort, setSort] = useState(null);
  const [all, setAll] = useState(whole);
  const shown = useMemo(() => columns || columnsOf(records).map((name) => [name, heading(name)]), [records, columns]);
  const rows = useMemo(() => sorted(records.map((record) => ({ record, cells: new Map(flat(record)) })), sort), [records, sort]);
  if (!records.length) return html`<p class="none">${none}</p>`;
  const by = (name) => setSort(sort && sort.name === name ? (sort.down ? null : { name, down: true }) : { name, down: false });
  const visible = all ? rows : rows.slice(0, firstRows);
  return html`<div class="scroll" role="region" tabindex="0" aria-label=${label}>
    <table class="records">
      <caption class="unseen">${label}</caption>
      <thead><tr>
        ${marks && html`<th scope="col"><span class="unseen">Change</span></th>`}
        ${shown.map(([name, text]) => html`<th key=${name} scope="col" class=${rows.some((r) => numeric(r.cells.get(name))) ? 'number' : ''} aria-sort=${sort?.name === name ? (sort.down ? 'descending' : 'ascending') : 'none'}>
          <button type="button" class="sort" onClick=${() => by(name)}>${text}<span aria-hidden="true" class="arrow">${sort?.name === name ? (sort.down ? '\u2193' : '\u2191') : ''}</span></button></th>`)}
        ${actions && html`<th scope="col"><span class="unseen">Actions</span></th>`}
      </tr></thead>
      <tbody>${visible.map((row, i) => html`<${Row} key=${marks ? marks.keyOf(row.record) : i} row=${row} shown=${shown} mark=${marks && marks.of(row.record)} marked=${Boolean(marks)} actions=${actions} />`)}</tbody>
    </table>
    ${rows.length > visible.length && html`<p><button type="button" onClick=${() => setAll(true)}>Show all ${rows.length} rows</button></p>`}
  </div>`;
}

const markWords = { new: 'new', gone: 'gone', changed: 'changed' };

function Row({ row, shown, mark, marked, actions }) {
  const changed = mark && mark.changed;
  return html`<tr class=${mark ? `is-${mark.kind}` : ''}>
    ${marked && html`<td class="mark">${mark ? markWords[mark.kind] : ''}</td>`}
    ${shown.map(([name, , kind]) => {
      const value = row.cells.get(name);
      return html`<td key=${name} class=${`${numeric(value) ? 'number' : ''} ${name.endsWith('ime') ? 'nowrap' : ''} ${kind || ''} ${changed && changed.has(name) ? 'is-new-value' : ''}`}><${Value} name=${name} value=${value} /></td>`;
    })}
    ${actions && html`<td class="actions">${actions(row.record)}</td>`}
  </tr>`;
}

/** RecordList shows one record as names and values. */
export function RecordList({ record, label, names }) {
  useStore(zone);
  const members = flat(record).filter(([name, value]) => !empty(value) && (!names || names.includes(name)));
  const short = members.filter(([, value]) => simple(value));
  const long = members.filter(([, value]) => !simple(value));
  return html`<div class="record">
    <dl aria-label=${label}>${short.map(([name, value]) => html`<div key=${name}><dt>${heading(name)}</dt><dd><${Value} name=${name} value=${value} /></dd></div>`)}</dl>
    ${long.map(([name, value]) => html`<section key=${name}><p class="part">${title(name)}</p><${RecordTable} records=${value} label=${title(name)} /></section>`)}
  </div>`;
}

/** Records shows what a command wrote: one record as a list, several as a table. */
export function Records({ records, output, label, none }) {
  if (output === 'object' && records.length === 1) return html`<${RecordList} record=${records[0]} label=${label} />`;
  return html`<${RecordTable} records=${records} label=${label} none=${none} />`;
}
