// The summary of a capture's packets: who talked, by what, how large packets were, how TCP and DNS fared.

import { run } from './api.js';
import { bytes, count, duration, rate, useMoment } from './format.js';
import { joined } from './packets.js';
import { PacketHead } from './packethead.js';
import { address } from './router.js';
import { html, Loading, Problem, Table, useLoad } from './ui.js';

/** Talkers is the view #/captures/NAME/talkers. */
export function Talkers({ name, query }) {
  const filter = query.get('filter') || '';
  const moment = useMoment();
  const loaded = useLoad((signal) => run('packetcapture summary', { name, top: 20, ...(filter ? { filter } : {}) }, { signal }), [name, filter]);
  const s = loaded.value;
  const only = (more, text) => html`<a href=${address(['captures', name, 'packets'], { filter: joined(filter, 'and', more) })}>${text}</a>`;
  return html`<${PacketHead} name=${name} current="talkers" filter=${filter} />
    ${filter && html`<p>Of the packets that match <code>${filter}</code>. <a href=${address(['captures', name, 'talkers'])}>Of all packets</a></p>`}
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
