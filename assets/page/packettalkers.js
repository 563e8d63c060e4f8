// The summary of a capture's packets: who talked, by what, how large packets were, how TCP and DNS fared.

import { run } from './api.js';
import { bytes, count, duration, rate, useMoment } from './format.js';
import { useCaptures } from './capturedata.js';
import { joined } from './packets.js';
import { PacketHead } from './packethead.js';
import { chosen, given, keepsProcesses, OfProcess, ofQuery, processName } from './packetowners.js';
import { address, go } from './router.js';
import { html, Loading, Problem, Table, useLoad } from './ui.js';

/** Talkers is the view #/captures/NAME/talkers. */
export function Talkers({ name, query }) {
  const filter = query.get('filter') || '';
  const moment = useMoment();
  const of = ofQuery(query);
  const captures = useCaptures();
  const hasProcesses = keepsProcesses(captures.value, name);
  const loaded = useLoad((signal) => run('packetcapture summary', { name, top: 20, ...(filter ? { filter } : {}), ...given(of) }, { signal }), [name, filter, JSON.stringify(of)]);
  const s = loaded.value;
  const only = (more, text) => html`<a href=${address(['captures', name, 'packets'], { filter: joined(filter, 'and', more), ...of })}>${text}</a>`;
  return html`<${PacketHead} name=${name} current="talkers" filter=${filter} of=${of} />
    ${filter && html`<p>Of the packets that match <code>${filter}</code>. <a href=${address(['captures', name, 'talkers'], of)}>Of all packets</a></p>`}
    ${(hasProcesses || chosen(of)) && html`<${OfProcess} key=${JSON.stringify(of)} of=${of} onChoose=${(one) => go(['captures', name, 'talkers'], { filter, ...one })} />`}
    <${Problem} failure=${loaded.failure} />
    ${loaded.loading && html`<${Loading} what="the summary; a large file takes some seconds" />`}
    ${s && html`<section class="card"><dl class="facts">
        ${fact('Packets', count(s.packets), 'big')}${fact('Bytes', bytes(s.bytes), 'big')}
        ${fact('Time', duration(s.seconds), 'big')}${fact('Mean rate', s.seconds > 0 ? rate((s.bytes * 8) / s.seconds) : '', 'big')}
        ${fact('First packet', moment(s.first, { digits: 6 }))}${fact('Last packet', moment(s.last, { digits: 6 }))}</dl></section>
      <div class="summary-tables">
      <section class="card"><${Table} caption="Top talkers" rows=${s.talkers} rowKey=${(t) => t.address} columns=${[
    { name: 'address', title: 'Address', header: true, cell: (t) => only(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(t.address) ? `ether host ${t.address}` : `host ${t.address}`, t.address) },
    { name: 'sent', title: 'Sent', number: true, cell: (t) => `${count(t.packetsSent)} packets, ${bytes(t.bytesSent)}` },
    { name: 'received', title: 'Received', number: true, cell: (t) => `${count(t.packetsReceived)} packets, ${bytes(t.bytesReceived)}` }]} /></section>
      <section class="card"><${Table} caption="Ports" rows=${s.ports} rowKey=${(p) => p.name} empty="No packet has a port" columns=${[
    { name: 'name', title: 'Port', header: true, cell: (p) => only(p.name.replace('/', ' port '), p.name) }, ...amounts]} /></section>
      <section class="card"><${Table} caption="Protocols" rows=${s.protocols} rowKey=${(p) => p.name} columns=${[
    { name: 'name', title: 'Protocol', header: true, cell: (p) => p.name }, ...amounts]} /></section>
      <section class="card"><${Table} caption="Sizes of packets" rows=${s.sizes} rowKey=${(z) => z.from} columns=${[
    { name: 'size', title: 'Bytes', header: true, cell: (z) => (z.to ? `${z.from} to ${z.to}` : `${z.from} and more`) },
    { name: 'packets', title: 'Packets', number: true, cell: (z) => count(z.packets) },
    { name: 'share', title: 'Share', className: 'share', cell: (z) => html`<meter max=${Math.max(1, s.packets)} value=${z.packets} aria-label=${`Share of packets of ${z.from} bytes and more`}></meter>` }]} /></section>
      ${s.processes && html`<section class="card"><${Table} caption="Processes" rows=${s.processes} rowKey=${(p) => `${p.pid} ${p.process} ${p.exe} ${p.uid}`} columns=${[
    { name: 'process', title: 'Process', header: true, cell: (p) => html`<a href=${address(['captures', name, 'packets'], { filter, pid: String(p.pid) })}>${processName(p)}</a>` },
    { name: 'user', title: 'User', cell: (p) => p.user || p.uid },
    { name: 'sent', title: 'Sent', number: true, cell: (p) => `${count(p.packetsSent)} packets, ${bytes(p.bytesSent)}` },
    { name: 'received', title: 'Received', number: true, cell: (p) => `${count(p.packetsReceived)} packets, ${bytes(p.bytesReceived)}` }]} /></section>`}
      ${s.drops && html`<section class="card"><${Table} caption="Dropped by the kernel meanwhile" rows=${s.drops} rowKey=${(d) => d.reason} columns=${[
    { name: 'reason', title: 'Reason', header: true, cell: (d) => html`${d.reason}${d.noise ? html` <span class="quiet">everyday noise</span>` : ''}` },
    { name: 'packets', title: 'Packets', number: true, cell: (d) => count(d.packets) },
    { name: 'recorded', title: 'In the file', number: true, cell: (d) => count(d.recorded) }]} /></section>`}
      ${s.tcp && html`<section class="card"><h2>TCP</h2><${Counts} of=${s.tcp} /></section>`}
      ${s.dns && html`<section class="card"><h2>DNS</h2><${Counts} of=${s.dns} /></section>`}
      </div>`}`;
}

const fact = (term, text, className) => html`<div><dt>${term}</dt><dd class=${className}>${text}</dd></div>`;

const amounts = [
  { name: 'packets', title: 'Packets', number: true, cell: (p) => count(p.packets) },
  { name: 'bytes', title: 'Bytes', number: true, cell: (p) => bytes(p.bytes) },
];

/** words returns the name of a member as people read it: outOfOrder as "out of order". */
const words = (member) => member.replace(/Seconds$/, '').replace(/([A-Z])/g, ' $1').toLowerCase();

/** Counts shows the numbers of an object. */
function Counts({ of }) {
  const numbers = Object.entries(of).filter(([, v]) => typeof v === 'number');
  return html`<dl class="facts">${numbers.map(([member, v]) => fact(words(member), member.endsWith('Seconds') ? `${v.toFixed(6)} s` : count(v)))}</dl>`;
}
