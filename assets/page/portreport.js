// The report on the port log: its tables, as portlog report writes them.

import { html } from './vendor/preact.js';
import { bytes, count, counted } from './format.js';
import { CommandForm } from './forms.js';
import { RecordTable } from './records.js';
import { clean, time } from './values.js';

const figures = [['records', 'Records'], ['connections', 'Connections'], ['failures', 'Failed'], ['sent', 'Sent'], ['received', 'Received']];
const process = [['process', 'Process'], ['exe', 'File']];

/** The tables in their order: [member, title, columns, what is said without rows, a remark]. Without such a word an empty one is left out. */
const tables = [
  ['suspects', 'Names of the system, other files', [['process', 'Process'], ['pid', 'PID'], ['user', 'User'], ['exe', 'File'], ['records', 'Records'], ['reason', 'Why']], 'No process has the name of a program of the system and another file.'],
  ['interest', 'Addresses of interest', [['wanted', 'Listed as'], ['address', 'Address'], ['process', 'Process'], ['at', 'Port'], ['lastTime', 'Last'], ...figures]],
  ['failures', 'Refused, timed out and rejected', [['event', 'Event'], ['address', 'Address'], ['at', 'Port'], ...process, ['records', 'Times'], ['lastTime', 'Last']], 'Every connection came about.', 'Rejected are connections from outside to a port where nobody waits.'],
  ['listeners', 'Listeners that came or went', [['address', 'Address'], ['at', 'Port'], ...process, ['pid', 'PID'], ['user', 'User'], ['cameTime', 'Came'], ['wentTime', 'Went']], 'No listener came or went.'],
  ['once', 'Programs with one socket', [...process, ['pid', 'PID'], ['user', 'User'], ['time', 'Time'], ['event', 'Event'], ['local', 'Local'], ['remote', 'Remote']], 'No program had a single socket.'],
  ['talkers', 'Most bytes', [...process, ['address', 'Address'], ['at', 'Port'], ...figures]],
  ['ports', 'Ports', [['at', 'Port'], ...figures, ['lastTime', 'Last']]],
  ['processes', 'Processes', [...process, ...figures, ['lastTime', 'Last']]],
  ['addresses', 'Remote addresses', [['address', 'Address'], ...figures, ['lastTime', 'Last']]],
  ['users', 'Users', [['user', 'User'], ...figures, ['lastTime', 'Last']]],
  ['hours', 'Hours', [['hourTime', 'Hour'], ...figures]],
];

/** portOf names a port and its protocol, and says of one that it is at this end. */
function portOf(r, member) {
  if (!r.port) return undefined;
  const here = r.end === 'local' || member === 'listeners' || (member === 'failures' && r.event === 'rejected');
  return `${r.port}/${r.protocol}${here ? ' here' : ''}`;
}

/** rowOf returns a row as it is shown. A figure that may be too low has a +. */
const rowOf = (member) => (r) => ({ ...r, at: portOf(r, member), user: r.user ?? (r.uid === undefined ? undefined : String(r.uid)), records: r.atLeast ? `${count(r.records)}+` : r.records,
  sent: r.bytesSent === undefined ? undefined : bytes(r.bytesSent), received: r.bytesReceived === undefined ? undefined : bytes(r.bytesReceived) });

/** remarksOf says of a table what is not in it. */
function remarksOf(list, remark) {
  return [list.more > 0 && `${counted(list.more, 'more row')}; a larger number of rows of each table shows them.`, remark && list.rows.length > 0 && remark,
    list.dropped > 0 && `${counted(list.dropped, 'row')} dropped to bound the memory, with the fewest records; a figure with + may be higher.`].filter(Boolean).join(' ');
}

function Tables({ report: r }) {
  return tables.filter(([member, , , none]) => r[member].rows.length || none).map(([member, title, columns, none, remark]) => html`<section key=${member} class="card"><h2>${title}</h2>
    <${RecordTable} records=${r[member].rows.map(rowOf(member))} label=${title} columns=${columns} none=${none} />
    ${remarksOf(r[member], remark) && html`<p class="quiet">${remarksOf(r[member], remark)}</p>`}</section>`);
}

/** ReportView draws what the command wrote. */
function ReportView({ out, records }) {
  const r = records[0];
  if (!r) return null;
  const facts = [['Records', r.records ? `${count(r.records)}, from ${time(r.firstTime)} to ${time(r.lastTime)}` : 'none'], ['Missing', r.gaps ? `records in ${counted(r.gaps, 'place')}, ${counted(r.lost, 'event')} as far as they were counted` : ''],
    ['Left out', r.tornLines ? `${counted(r.tornLines, 'line')}, which ended before the record did` : ''], ['Events', r.events.map((e) => `${e.event} ${count(e.records)}`).join(', ')],
    ['Of interest, and not used', r.noInterest.join(', ')]].filter(([, v]) => v);
  return html`<section class="card"><dl class="facts details">${facts.map(([name, v]) => html`<div key=${name}><dt>${name}</dt><dd>${v}</dd></div>`)}</dl>
      ${r.page && html`<p role="status">The page is among the <a href="#/system/reports">reports</a>: <a href=${`/v1/files/${encodeURIComponent(r.page)}`} download=${r.page}>${clean(r.page)}</a></p>`}</section>
    ${out.state === 'done' && html`<${Tables} report=${r} />`}`;
}

/** PortReport is the form of the report, with what the address chooses, and the report below it. */
export function PortReport({ node, query }) {
  const preset = Object.fromEntries(node.parameters.filter((p) => query.has(p.name)).map((p) => [p.name, query.get(p.name)]));
  return html`<p class="crumbs"><a href="#/network/portlog">Port log</a></p>
    <${CommandForm} key=${query.toString()} node=${node} preset=${preset} view=${ReportView} act="Report" />`;
}
