// The commands about packets, as the views of packets use them.

import { run } from './api.js';
import { given } from './packetowners.js';

const background = true;

// How long the appliance may read on before it answers with what it knows, in seconds: the first look at a large file
// takes longer.
const patience = '0.4';

/** The members of a row that the list and its columns have. */
const columns = 'time,interface,direction,length,source,sourcePort,destination,destinationPort,protocol,info,cutIn,fault,sender,receiver';

/**
 * packetsPage returns {rows, first, total, matched, complete, growing, firstTime, lastTime, leftOut, damaged}: at most count
 * of the packets that a filter selects, from the first-th on, or from the one at a position on. of says whose packets are
 * wanted: {process, pid, user}, each may be empty.
 */
export const packetsPage = (name, { first, at, count, filter, of = {}, signal }) => run('packetcapture packets', {
  name, count, wait: patience, columns, ...(at ? { at } : { first }), ...(filter ? { filter } : {}), ...given(of),
}, { signal, background });

/** packet returns one packet by its position: a row, and {file, inFile, headersOnly, layers, bytes}. */
export const packet = (name, position, signal) => run('packetcapture packet', { name, position }, { signal });

/** Conversations of a page: one answer. */
export const pageFlows = 200;

/** flows returns {rows, total, packets, others, unlisted, complete, first}: the conversations from the first-th on, in an order. */
export const flows = (name, { filter, order, first, signal }) => run('packetcapture flows', {
  name, order, first, count: pageFlows, ...(filter ? { filter } : {}),
}, { signal });

/** bytesOfBase64 returns the bytes that text says. */
const bytesOfBase64 = (text) => Uint8Array.from(atob(text || ''), (c) => c.charCodeAt(0));

/** streamPage returns a part of the stream that a packet belongs to; its chunks have their data as bytes. */
export async function streamPage(name, position, { after, most = 65536, signal }) {
  const page = await run('packetcapture followstream', { name, position, form: 'raw', bytes: most, ...(after ? { after } : {}) }, { signal });
  return { ...page, chunks: page.chunks.map((c) => ({ ...c, data: bytesOfBase64(c.data) })) };
}

/** streamBytes returns all that an end of a stream sent, or both in their order, as a Blob. */
export async function streamBytes(name, position, from) {
  const parts = [];
  let after = '';
  do {
    const page = await streamPage(name, position, { after, most: 1048576 });
    page.chunks.forEach((c) => { if (from === 'both' || c.from === from) parts.push(c.data); });
    after = page.next || '';
  } while (after);
  return new Blob(parts, { type: 'application/octet-stream' });
}

// A filter that selects every packet, for a line of the graph beside others.
const everyPacket = 'len >= 0';

/** The arguments of the filters of a graph's lines. */
export const graphArguments = ['filter', 'filter2', 'filter3', 'filter4', 'filter5'];

/** graph returns {from, to, intervalSeconds, series: [{packets, bytes}]}: how many packets each filter selects over time. */
export function graph(name, { filters, from, to, signal }) {
  const given = filters.length === 1 && !filters[0].trim() ? {} : Object.fromEntries(filters.map((f, n) => [graphArguments[n], f.trim() || everyPacket]));
  return run('packetcapture graph', { name, buckets: 300, ...(from ? { from } : {}), ...(to ? { to } : {}), ...given }, { signal });
}
