// The commands about packets, as the views of packets use them.

import { run } from './api.js';

const background = true;

// How long the appliance may read on before it answers with what it knows, in seconds: the first look at a large file
// takes longer.
const patience = '0.4';

/** The members of a row that the list and its columns have. */
const columns = 'time,interface,direction,length,source,sourcePort,destination,destinationPort,protocol,info,cutIn,fault';

/**
 * packetsPage returns {rows, first, total, matched, complete, growing, firstTime, lastTime, leftOut, damaged}: at most count
 * of the packets that a filter selects, from the first-th on, or from the one at a position on.
 */
export const packetsPage = (name, { first, at, count, filter, signal }) => run('packetcapture packets', {
  name, count, wait: patience, columns, ...(at ? { at } : { first }), ...(filter ? { filter } : {}),
}, { signal, background });

/** packet returns one packet by its position: a row, and {file, inFile, headersOnly, layers, bytes}. */
export const packet = (name, position, signal) => run('packetcapture packet', { name, position }, { signal });
