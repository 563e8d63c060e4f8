// Values that are lists of records with a few texts each, such as the filters of a capture by protocol and ends.

import { html } from './vendor/preact.js';
import { Field } from './ui.js';

/** rowsOf returns the records that a text has in JSON; null if it is a line that a person wrote. */
export function rowsOf(text) {
  if (!text.trim()) return [];
  try {
    const rows = JSON.parse(text);
    return Array.isArray(rows) ? rows : null;
  } catch {
    return null;
  }
}

/** textOf returns the text of records, without what is empty in them. */
export function textOf(rows) {
  return rows.length ? JSON.stringify(rows.map((row) => Object.fromEntries(Object.entries(row).filter(([, v]) => v.trim())))) : '';
}

/**
 * RecordRows shows records, with buttons to add and remove one. fields are {name, label, help}; what one record is called is
 * noun. An error that names a field, as filters[1].remotePort: does, is shown there.
 */
export function RecordRows({ fields, noun, text, set, done, error }) {
  const rows = rowsOf(text) || [];
  const change = (next, finished) => { set(textOf(next)); if (finished) done?.(); };
  const place = /\[(\d+)\](?:\.(\w+))?: (.*)$/s.exec(error || '');
  const at = (i, name) => (place && Number(place[1]) === i && place[2] === name ? place[3] : undefined);
  const elsewhere = error && !rows.some((_, i) => fields.some((f) => at(i, f.name)));
  return html`<div class="records">
    ${rows.map((row, i) => html`<fieldset key=${i} class="record"><legend>${noun} ${i + 1}</legend><div class="columns">
      ${fields.map((f) => html`<${Field} key=${f.name} label=${f.label} hint=${f.help} error=${at(i, f.name)}>${(own) => html`
        <input ...${own} type="text" autocomplete="off" spellcheck=${false} value=${row[f.name] || ''}
          onInput=${(e) => change(rows.map((r, n) => (n === i ? { ...r, [f.name]: e.target.value } : r)))} onChange=${() => done?.()} />`}<//>`)}
      </div><button type="button" onClick=${() => change(rows.filter((_, n) => n !== i), true)}>Remove ${noun.toLowerCase()} ${i + 1}</button></fieldset>`)}
    <button type="button" onClick=${() => change([...rows, {}], true)}>Add ${noun.toLowerCase()}</button>
    ${elsewhere && html`<p class="error" role="alert">${error}</p>`}
  </div>`;
}
