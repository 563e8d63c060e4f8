// Lists of things that people manage: a table that refreshes itself, and the commands that make, change and remove an entry.

import { html, useState } from './vendor/preact.js';
import { Dialog, Loading, notify } from './ui.js';
import { CommandForm } from './forms.js';
import { keyBy, Refresh, useInterval, useTable } from './live.js';
import { RecordTable } from './records.js';

/**
 * Act is a button that opens the form of a command in a dialog. When the command has run, the dialog closes and onDone is
 * called; with view it stays, for what has to be read. act names the button of the form, if it is not label.
 */
export function Act({ node, label, title, act = label, fixed, preset, onDone, view, primary, danger, small }) {
  const [open, setOpen] = useState(false);
  const kind = [primary && 'primary', danger && 'danger', small && 'small'].filter(Boolean).join(' ');
  const done = (records) => {
    onDone?.(records);
    if (view) return;
    setOpen(false);
    notify(`Done: ${title || label}`);
  };
  return html`<button type="button" class=${kind} onClick=${() => setOpen(true)}>${label}</button>
    ${open && html`<${Dialog} title=${title || label} wide onClose=${() => setOpen(false)}>
      <p class="quiet">${node.help}</p>
      <${CommandForm} node=${node} fixed=${fixed} preset=${preset} view=${view} act=${act} onDone=${done} /><//>`}`;
}

/** keyOf returns the member of a record by which a command names it, such as user of userconfig edit. */
const named = (node, names) => Object.entries(names).filter(([name]) => (node.parameters || []).some((p) => p.name === name));

/**
 * Managed is such a list. list is the path of the command that lists it; news and acts are paths with labels: [path,
 * label]. names returns from a record the arguments that name it. Acts that the caller may not use are not offered.
 */
export function Managed({ title, list, args, news = [], acts = [], names, nodes, allowed, keys, columns, extra, view, seconds = 10, filter }) {
  const interval = useInterval(list, seconds);
  const { poll, rows, marks } = useTable(list, args || {}, interval, keyBy(...keys), [], filter);
  const may = ([path]) => nodes.has(path) && allowed(path);
  const offered = acts.filter(may);
  const actions = (offered.length || extra) && ((r) => html`<div class="row">${extra && extra(r)}${offered.map(([path, label]) => html`<${Act} key=${path} small danger=${/delete|remove/i.test(path)}
    node=${nodes.get(path)} label=${label} title=${`${label}: ${Object.values(names(r))[0]}`} fixed=${Object.fromEntries(named(nodes.get(path), names(r)))} onDone=${poll.again} />`)}</div>`);
  return html`<div class="buttons">${news.filter(may).map(([path, label]) => html`<${Act} key=${path} primary node=${nodes.get(path)} label=${label} onDone=${poll.again} view=${view} />`)}</div>
    <${Refresh} interval=${interval} poll=${poll} />
    ${poll.value ? html`<${RecordTable} records=${rows} label=${title} columns=${columns} marks=${marks} actions=${actions} />` : !poll.failure && html`<${Loading} what=${title.toLowerCase()} />`}`;
}
