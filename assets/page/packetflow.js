// One conversation with all that is known of it: its packets, what was sent again, what the kernel dropped, and the port log.

import { useEffect, useMemo } from './vendor/preact.js';
import { count, moment, zone } from './format.js';
import { PacketHead } from './packethead.js';
import { processName } from './packetowners.js';
import { more } from './portrecords.js';
import { RecordTable } from './records.js';
import { RunState, useRunning } from './running.js';
import { address } from './router.js';
import { tree, useStore } from './state.js';
import { html, Loading, Problem } from './ui.js';

// What the table begins with.
const mostPackets = 1000;

const words = { packet: 'packet', retransmission: 'sent again', drop: 'dropped', port: 'port log' };

const columns = [['at', 'Time'], ['what', 'What'], ['source', 'From'], ['destination', 'To'], ['about', 'What it says', 'wide'], ['processes', 'Processes']];

const end = (host, port) => (host === undefined ? '' : port === undefined ? host : `${host.includes(':') ? `[${host}]` : host}:${port}`);

/** rowOf returns a packet, a drop or a record of the port log as a row. */
function rowOf(r) {
  const p = r.port;
  if (p) {
    return { at: moment(p.time, { digits: 6, date: false }), what: `${words.port}: ${p.event}`, source: end(p.localAddress, p.localPort), destination: end(p.remoteAddress, p.remotePort),
      about: more(p), processes: p.pid ? processName(p) : '' };
  }
  return { at: moment(r.time, { digits: 6, date: false }), what: words[r.type] || r.type, source: end(r.source, r.sourcePort), destination: end(r.destination, r.destinationPort),
    about: [r.dropped?.replace(/^dropped: /, ''), r.info].filter(Boolean).join(', '), processes: [r.sender && `from ${processName(r.sender)}`, r.receiver && `to ${processName(r.receiver)}`].filter(Boolean).join(', ') };
}

/** Flow is the view #/captures/NAME/flow/NUMBER. */
export function Flow({ name, parts }) {
  const number = parts[0] || '';
  const nodes = useStore(tree);
  const zoned = useStore(zone);
  const running = useRunning();
  const { out } = running;
  const node = nodes && nodes.get('packetcapture show');
  useEffect(() => { if (node) running.begin(node, { name, flow: number, count: String(mostPackets) }); }, [node, name, number]);
  const rows = useMemo(() => (out ? out.records.map(rowOf) : []), [out, out?.records.length, zoned]);
  const report = name.endsWith('.tar.gz');
  return html`${report ? html`<p class="crumbs"><a href="#/system/reports">Reports</a> / <a href=${address(['system', 'reports', name])}>${name}</a></p><h1 tabindex="-1">Conversation ${number}</h1>`
    : html`<${PacketHead} name=${name} current="flow" filter="" />`}
    <p>Conversation ${number}, by time: its packets, and between them what the kernel dropped and what the port log has of it. ${!report && html`<a href=${address(['captures', name, 'flows'])}>All conversations</a>`}</p>
    ${!out && html`<${Loading} what="the conversation" />`}
    ${out && html`<div class="row"><${RunState} out=${out} />${out.state === 'running' && html`<button type="button" onClick=${running.stop}>Stop</button>`}</div>`}
    ${out?.failure && html`<${Problem} failure=${out.failure} />`}
    ${out && !out.failure && html`<${RecordTable} records=${rows} label=${`Conversation ${number}`} columns=${columns} none=${out.state === 'running' ? 'Nothing yet' : 'Nothing is known of it.'} />`}
    ${rows.filter((r) => !r.what.startsWith(words.port) && r.what !== words.drop).length >= mostPackets && html`<p class="quiet">The first ${count(mostPackets)} packets. <a href=${address(['commands', 'packetcapture', 'show'], { name, flow: number })}>More by the command</a></p>`}`;
}
