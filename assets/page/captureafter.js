// What can be made of a capture that has ended: a report of all that belongs to it, and copies on other hosts.

import { html } from './vendor/preact.js';
import { run } from './api.js';
import { useEvent } from './events.js';
import { Act } from './managed.js';
import { RecordTable } from './records.js';
import { tree, useAllowed, useStore } from './state.js';
import { confirm, notifyFailure, Problem, useLoad } from './ui.js';

const columns = [['file', 'File'], ['target', 'Target'], ['state', 'State'], ['sent', 'Sent'], ['bytes', 'Size'], ['bytesPerSecond', 'Bytes a second'], ['secondsLeft', 'Time left'],
  ['tries', 'Tries'], ['error', 'Last failure']];

/** useBackground loads the table of a command, which is no act of a person. */
const useBackground = (path, deps) => useLoad((signal) => run(path, {}, { signal, background: true }), deps);

// What can be done to a copy in each state: the command and what its button says.
const acts = {
  waiting: [['pause', 'Pause'], ['again', 'Try Now'], ['cancel', 'Cancel']],
  sending: [['pause', 'Pause'], ['cancel', 'Cancel']],
  paused: [['resume', 'Resume'], ['cancel', 'Cancel']],
  failed: [['again', 'Try Again'], ['cancel', 'Cancel']],
  cancelled: [['again', 'Try Again']],
};

/** CopyActs are the buttons of a copy. A copy that failed for good keeps no file, so that there is nothing to cancel. */
function CopyActs({ copy: e, onDone }) {
  const allowed = useAllowed();
  const act = async (verb) => {
    if (verb === 'cancel' && !await confirm({ title: `Cancel the copy of ${e.file} to ${e.target}?`, text: 'Its file may be deleted then to make room.', action: 'Cancel Copy' })) return;
    try {
      await run(`packetcapture copies ${verb}`, { target: e.target, file: e.file });
    } catch (err) { notifyFailure(err); }
    onDone();
  };
  return html`<div class="row">${(acts[e.state] || []).filter(([verb]) => allowed(`packetcapture copies ${verb}`) && (verb !== 'cancel' || e.state !== 'failed' || e.held))
    .map(([verb, text]) => html`<button key=${verb} type="button" class="small" aria-label=${`${text}: copy of ${e.file} to ${e.target}`} onClick=${() => act(verb)}>${text}</button>`)}</div>`;
}

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
    ${mine.length > 0 && html`<${RecordTable} records=${mine} label="Copies" columns=${columns} actions=${(e) => html`<${CopyActs} copy=${e} onDone=${() => copies.again(true)} />`} />`}</section>`;
}
