// The conversations of a capture: who talked with whom, how much, and what went wrong.

import { useState } from './vendor/preact.js';
import { bytes, count, counted, moment, zone } from './format.js';
import { PacketHead } from './packethead.js';
import { flows as fetchFlows, pageFlows } from './packetsapi.js';
import { address } from './router.js';
import { usePayload, useStore } from './state.js';
import { html, Loading, Problem, Table, useLoad } from './ui.js';

const orders = [['largest', 'Most bytes first'], ['busiest', 'Most packets first'], ['earliest', 'Earliest first'], ['longest', 'Longest first'], ['worst', 'Most retransmissions and resets first']];

/** endOf returns an end of a conversation as text. */
export const endOf = (host, port) => (port === undefined ? host : host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);

/** Protocols of which a stream can be followed. */
const streams = new Set(['tcp', 'udp']);

/** summaryOf says what a page of conversations is a part of. */
function summaryOf(page) {
  const parts = [page.total > page.rows.length ? `${count(page.first)} to ${count(page.first + page.rows.length - 1)} of ${counted(page.total, 'conversation')}` : counted(page.total, 'conversation')];
  if (page.others) parts.push(`${counted(page.others, 'packet')} of none: not of IP, or of an incomplete datagram`);
  if (page.unlisted) parts.push(`${counted(page.unlisted, 'packet')} of conversations that were too many to list`);
  if (!page.complete) parts.push('more packets may come');
  return `${parts.join('; ')}.`;
}

/** Flows is the view #/captures/NAME/flows. */
export function Flows({ name, query }) {
  const filter = query.get('filter') || '';
  const payload = usePayload();
  useStore(zone);
  const [order, setOrder] = useState('largest');
  const [first, setFirst] = useState(1);
  const loaded = useLoad((signal) => fetchFlows(name, { filter, order, first, signal }), [name, filter, order, first]);
  const page = loaded.value;
  return html`<${PacketHead} name=${name} current="flows" filter=${filter}>
      <label class="inline">Order <select value=${order} onChange=${(e) => { setFirst(1); setOrder(e.currentTarget.value); }}>${orders.map(([v, text]) => html`<option key=${v} value=${v}>${text}</option>`)}</select></label><//>
    ${filter && html`<p>Of the packets that match <code>${filter}</code>. <a href=${address(['captures', name, 'flows'])}>Of all packets</a></p>`}
    <${Problem} failure=${loaded.failure} />
    ${loaded.loading && html`<${Loading} what="the conversations; a large file takes some seconds" />`}
    ${page && html`<section class="card"><p class="quiet" role="status">${summaryOf(page)}</p>
      <${Table} caption="Conversations" hideCaption rows=${page.rows} rowKey=${(f) => `${f.position} ${f.protocol}`} empty="No packets of IP" columns=${[
    { name: 'protocol', title: 'Protocol', cell: (f) => f.protocol.toUpperCase() },
    { name: 'client', title: 'Client', header: true, cell: (f) => html`<span class="mono">${endOf(f.client, f.clientPort)}</span>` },
    { name: 'server', title: 'Server', cell: (f) => html`<span class="mono">${endOf(f.server, f.serverPort)}</span>` },
    { name: 'sent', title: 'Sent', number: true, cell: (f) => `${count(f.packetsSent)} / ${bytes(f.bytesSent)}` },
    { name: 'received', title: 'Received', number: true, cell: (f) => `${count(f.packetsReceived)} / ${bytes(f.bytesReceived)}` },
    { name: 'first', title: 'First packet', className: 'nowrap', cell: (f) => moment(f.firstTime, { digits: 3, date: false }) },
    { name: 'seconds', title: 'Duration', number: true, cell: (f) => `${f.seconds.toFixed(3)} s` },
    { name: 'resets', title: 'Resets', number: true, cell: (f) => (f.resets ? html`<span class="badge warn">${count(f.resets)}</span>` : '0') },
    { name: 'again', title: 'Retransmissions', number: true, cell: (f) => (f.retransmissions ? html`<span class="badge warn">${count(f.retransmissions)}</span>` : '0') },
    { name: 'acts', title: html`<span class="unseen">Actions</span>`, cell: (f) => html`<div class="row">
      <a href=${address(['captures', name, 'packets', f.position], { filter: f.filter })} aria-label=${`Packets of ${f.client} and ${f.server}`}>Packets</a>
      ${payload && f.flow && html`<a href=${address(['captures', name, 'flow', f.flow])} aria-label=${`All of it: conversation ${f.flow}, drops and port log`}>All of it</a>`}
      ${payload && streams.has(f.protocol) && html`<a href=${address(['captures', name, 'follow', f.position])} aria-label=${`Follow the stream of packet ${f.position}`}>Follow</a>`}</div>` },
  ]} />
      ${page.total > pageFlows && html`<div class="buttons"><button type="button" disabled=${first === 1} onClick=${() => setFirst(Math.max(1, first - pageFlows))}>Previous</button>
        <button type="button" disabled=${first + pageFlows > page.total} onClick=${() => setFirst(first + pageFlows)}>Next</button></div>`}</section>`}`;
}
