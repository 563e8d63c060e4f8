// What can be made of a capture that has ended: a report of all that belongs to it, and copies on other hosts.

import { html } from './vendor/preact.js';
import { run } from './api.js';
import { useEvent } from './events.js';
import { Act } from './managed.js';
import { RecordTable } from './records.js';
import { tree, useAllowed, useStore } from './state.js';
import { Problem, useLoad } from './ui.js';

const columns = [['file', 'File'], ['target', 'Target'], ['state', 'State'], ['sent', 'Sent'], ['bytes', 'Size'], ['tries', 'Tries'], ['error', 'Last failure']];

/** useBackground loads the table of a command, which is no act of a person. */
const useBackground = (path, deps) => useLoad((signal) => run(path, {}, { signal, background: true }), deps);

/** Afterwards has the buttons, and the copies that were asked for. onReport is called when a report is made. */
export function Afterwards({ capture: c, onReport }) {
  const nodes = useStore(tree);
  const allowed = useAllowed();
  const targets = useBackground('packetcapture target list', []);
  const copies = useBackground('packetcapture exports', [c.name]);
  useEvent('targets', () => targets.again(true));
  useEvent('exports', () => copies.again(true));
  const mine = (copies.value || []).filter((e) => e.capture === c.name);
  const awaited = c.reportState === 'making' || c.reportState === 'waiting';
  return html`<section class="card"><h2>Report and copies</h2><div class="buttons">
      ${!awaited && html`<${Act} node=${nodes.get('packetcapture report')} label="Make report" title=${`Report on ${c.name}`} fixed=${{ name: c.name }} onDone=${onReport} />`}
      ${(targets.value || []).length > 0 && allowed('packetcapture export') && html`<${Act} node=${nodes.get('packetcapture export')} label="Copy to target" title=${`Copy ${c.name} to a target`} fixed=${{ name: c.name }} onDone=${() => copies.again(true)} />`}</div>
    ${targets.value?.length === 0 && html`<p class="hint">There is no target to copy to; packetcapture target new makes one.</p>`}
    <${Problem} failure=${targets.failure || copies.failure} />
    ${mine.length > 0 && html`<${RecordTable} records=${mine} label="Copies" columns=${columns} />`}</section>`;
}
