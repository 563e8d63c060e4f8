// Captures: what runs, what was captured, and its files.

import { run } from './api.js';
import { bytes, count, useMoment } from './format.js';
import { html, Loading, Problem, Table, useLoad } from './ui.js';

/** Captures is the view #/captures. */
export default function Captures() {
  const moment = useMoment();
  const list = useLoad((signal) => run('packetcapture list', {}, { signal, background: true }), []);
  return html`<div class="head"><h1 tabindex="-1">Packet Capture</h1></div>
    <${Problem} failure=${list.failure} />
    ${list.loading && html`<${Loading} what="captures" />`}
    ${list.value && html`<section class="card"><${Table} caption="Captures" rows=${list.value} rowKey=${(c) => c.name} empty="No capture has been started yet." columns=${[
    { name: 'name', title: 'Name', header: true, cell: (c) => c.name },
    { name: 'state', title: 'State', cell: (c) => c.state },
    { name: 'start', title: 'Started', cell: (c) => moment(c.startTime) },
    { name: 'packets', title: 'Packets', number: true, cell: (c) => count(c.packetsWritten) },
    { name: 'bytes', title: 'Size', number: true, cell: (c) => bytes(c.bytesWritten) },
  ]} /></section>`}`;
}
