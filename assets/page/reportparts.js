// The parts of a report: what a command wrote, a table of a scenario, or a file of a capture.

import { html, useState } from './vendor/preact.js';
import { address } from './router.js';
import { Records, RecordTable } from './records.js';
import { clean, cleanLines, plain } from './values.js';

/** isPackets reports whether a file of a report is one of packets, which are read where packets are. */
export const isPackets = (path) => /\.pcap(ng)?$/.test(path);

// What the folders of a report on a capture have.
const folders = { packets: 'Packets', portlog: 'Port log', changes: 'What changed meanwhile', before: 'Before', after: 'After' };

const folderOf = (path) => (path.includes('/') ? path.slice(0, path.indexOf('/')) : '');

const named = (c, path) => (path.endsWith(c.title) ? path.slice(path.lastIndexOf('/') + 1) : c.title);

/**
 * partsOf returns the contents of a report as they are read: text and records of the same are one part, {title, command,
 * result, reason, group, page, text, data}.
 */
export function partsOf(contents) {
  const parts = [];
  for (const c of contents) {
    const last = parts[parts.length - 1];
    const path = c.page ? '' : c.data || '';
    if (path.endsWith('.json') && last?.text === path.replace(/json$/, 'txt')) last.data = path;
    else if (path) parts.push({ ...c, title: named(c, path), group: folders[folderOf(path)] || (folderOf(path) ? folderOf(path) : 'The capture'), text: path.endsWith('.txt') ? path : undefined, data: path.endsWith('.txt') ? undefined : path });
    else parts.push(c);
  }
  return parts;
}

/** textOf returns the output of a page of a report: what stands between its <pre> tags. */
function textOf(page) {
  const text = page.slice(page.indexOf('<pre>') + 5, page.lastIndexOf('</pre>')).replace(/^\n/, '');
  const named = { lt: '<', gt: '>', amp: '&', quot: '"', '#34': '"', '#39': "'" };
  return text.replace(/&(lt|gt|amp|quot|#34|#39);/g, (_, name) => named[name]);
}

/** recordsOf returns the records of a file: a table, one record, or a line each. */
function recordsOf(text) {
  if (text.startsWith('[')) return JSON.parse(text);
  return text.split('\n').filter((line) => line.trim()).map((line) => JSON.parse(line));
}

/** Part shows a part of a report. files has the texts of the report that were read, by their paths. */
export function Part({ report, part, files }) {
  const [asRecords, setAsRecords] = useState(false);
  if (!part) return html`<p>The report is empty.</p>`;
  const page = part.page ? files.get(part.page) : files.get(part.text);
  const text = page !== undefined && part.page ? textOf(page) : page;
  const data = files.get(part.data);
  const both = text !== undefined && data !== undefined;
  return html`<h3>${clean(part.title)}</h3>${part.command && html`<p class="quiet"><code>${clean(part.command)}</code>${part.seconds ? `, ${plain('seconds', part.seconds)}` : ''}</p>`}
    ${part.reason && html`<p>${clean(part.reason)}</p>`}
    ${both && html`<p><button type="button" aria-pressed=${asRecords ? 'true' : 'false'} onClick=${() => setAsRecords(!asRecords)}>As records</button></p>`}
    ${data !== undefined && (asRecords || !both) ? html`<${Data} report=${report} part=${part} text=${data} />`
    : text !== undefined ? html`<pre class="scroll screen" tabindex="0" role="region" aria-label=${part.title}>${cleanLines(text)}</pre>`
    : isPackets(part.data || '') ? html`<p>Packets come with the download. While the file is there they can be seen: <a href=${address(['captures', part.title, 'packets'])}>${clean(part.title)}</a></p>`
    : !part.reason && html`<p class="quiet">It is not in the part of the report that the page reads. Download the report.</p>`}
    ${part.text === 'conversations.txt' && data !== undefined && html`<${Conversations} report=${report} text=${data} />`}`;
}

const Data = ({ part, text }) => html`<${Records} records=${recordsOf(text)} output=${text.startsWith('[') || !part.data.endsWith('.json') ? 'table' : 'object'} label=${part.title} />`;

const end = (host, port) => (port === undefined ? host : `${host.includes(':') ? `[${host}]` : host}:${port}`);

/** Conversations leads to each conversation with what the report has of it. */
function Conversations({ report, text }) {
  const { rows } = JSON.parse(text);
  const list = rows.map((f, i) => ({ number: f.flow || i + 1, protocol: f.protocol, client: end(f.client, f.clientPort), server: end(f.server, f.serverPort), firstTime: f.firstTime, packets: f.packetsSent + f.packetsReceived }));
  return html`<h4>One by one</h4><${RecordTable} records=${list} label="Conversations one by one" none="There are none." columns=${[['number', 'Number'], ['protocol', 'Protocol'], ['client', 'Client'], ['server', 'Server'], ['firstTime', 'First packet'], ['packets', 'Packets']]}
    actions=${(f) => html`<a class="button small" href=${address(['captures', report, 'flow', f.number])} aria-label=${`All of it: conversation ${f.number}, drops and port log`}>All of it</a>`} />`;
}
