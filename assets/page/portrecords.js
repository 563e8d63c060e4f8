// Records of the port log as they are shown, wherever they stand.

import { bytes, counted, duration } from './format.js';
import { span } from './values.js';

/** end returns an end of a socket: an address, a port, both, or neither. */
export const end = (host, port) => (host ? (port ? `${host.includes(':') ? `[${host}]` : host}:${port}` : host) : port ? `*:${port}` : '');

/** more returns what a record has that has no column. */
export function more(r) {
  const parts = [];
  if (r.state) parts.push(r.state);
  if (r.bytesSent !== undefined) parts.push(`${bytes(r.bytesSent)} sent`);
  if (r.bytesReceived !== undefined) parts.push(`${bytes(r.bytesReceived)} received`);
  if (r.durationSeconds !== undefined) parts.push(r.durationSeconds < 60 ? span(r.durationSeconds) : duration(r.durationSeconds));
  for (const [member, what] of [['openedBy', 'opened'], ['acceptedBy', 'accepted'], ['lastUsedBy', 'last used']]) if (r[member]) parts.push(`${what} by ${r[member]}`);
  if (r.lost) parts.push(`${counted(r.lost, 'event')} missing here`);
  if (r.reason) parts.push(r.reason);
  return parts.join(', ');
}
