// What the kernel drops: the newest table of netstat drops, as it goes on.

import { html, useMemo } from './vendor/preact.js';
import { RecordTable } from './records.js';
import { address } from './router.js';

const columns = [['packets', 'Packets'], ['packetsPerSecond', 'Packets/s'], ['reason', 'Reason'], ['place', 'Place'], ['interface', 'Interface'], ['what', 'Protocol'], ['source', 'Source'], ['destination', 'Destination'],
  ['process', 'Process'], ['pid', 'PID'], ['user', 'User'], ['meaning', 'Meaning', 'wide']];

const end = (address, port) => (address && port ? `${address.includes(':') ? `[${address}]` : address}:${port}` : address);

const rowOf = (r) => ({ ...r, what: r.protocol || r.etherTypeName, source: end(r.sourceAddress, r.sourcePort), destination: end(r.destinationAddress, r.destinationPort) });

/** newest returns the records of the last table that came: those of the same time as the last one. */
const newest = (records) => (records.length ? records.slice(records.findLastIndex((r) => r.time !== records[records.length - 1].time) + 1) : records);

/** DropsView shows them. Columns that no row has anything for are left out. */
export function DropsView({ out, records }) {
  const rows = useMemo(() => newest(records).map(rowOf), [records]);
  const shown = useMemo(() => columns.filter(([name]) => rows.some((r) => r[name] !== undefined && r[name] !== '')), [rows]);
  const none = out.state === 'running' ? 'No such packet was dropped yet.' : 'No such packet was dropped.';
  return html`<${RecordTable} records=${rows} label="What the kernel dropped since this began, the most packets first" columns=${shown} none=${none} />
    <p class="hint">Everyday noise is left out unless All is yes. As text, <a href=${address(['commands', 'netstat', 'drops'])}>the command</a> says how much that is, and what is not seen.</p>`;
}
