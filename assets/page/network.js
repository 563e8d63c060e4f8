// The view #/network: the network as the appliance sees it now, and tests of it.

import { useEffect, useMemo, useState } from './vendor/preact.js';
import { readTree, tree, useAllowed, useStore } from './state.js';
import { html, Loading, Problem, Tabs } from './ui.js';
import { CommandForm } from './forms.js';
import { Refresh, keyBy, useInterval, useTable } from './live.js';
import { Interfaces } from './interfaces.js';
import { Dns, Smtp, TrafficView, PingView, TraceView } from './probes.js';
import { DropsView } from './drops.js';
import { PortLog } from './portlog.js';
import { RecordTable } from './records.js';
import { time } from './values.js';

const end = (address, port, name) => (port ? `${name || (address?.includes(':') ? `[${address}]` : address)}:${port}` : name || address || '');

// Columns that are there while somebody watches sockets.
const past = [['since', 'Since'], ['openedBy', 'Opened by'], ['acceptedBy', 'Accepted by']];

const who = (p) => p && `${p.pid}/${p.process || '?'}`;

/** pastOf returns what was seen of a socket, as it is shown. Of one that is older than the watch only that is known. */
const pastOf = (h) => h && { since: h.sinceTime && `${h.older ? 'before ' : ''}${time(h.sinceTime)}`, openedBy: who(h.openedBy), acceptedBy: who(h.acceptedBy) };

/** A live table of a command: args from its settings, row makes of a record what is shown, key tells rows apart. */
const tables = {
  sockets: {
    title: 'Sockets', path: 'netstat sockets',
    settings: [{ name: 'protocol', label: 'Protocol', choices: ['tcp', 'udp', 'raw', 'packet', 'all'] }, { name: 'names', label: 'Names of hosts' }, { name: 'listening', label: 'Listening too', on: true }],
    args: (s) => ({ protocol: s.protocol || 'tcp', numeric: !s.names, processes: true, history: true }),
    keep: (r, s) => s.listening || r.state !== 'LISTEN',
    row: (r) => ({ ...r, local: end(r.localAddress, r.localPort, r.localName), remote: r.state === 'LISTEN' ? '' : end(r.remoteAddress, r.remotePort, r.remoteName), ...pastOf(r.history) }),
    columns: [['protocol', 'Protocol'], ['local', 'Local'], ['remote', 'Remote'], ['state', 'State'], ['recvQ', 'Recv-Q'], ['sendQ', 'Send-Q'], ['process', 'Process'], ['pid', 'PID'], ['user', 'User'], ...past],
    keyOf: keyBy('protocol', 'type', 'local', 'remote', 'pid', 'interface'),
  },
  routes: {
    title: 'Routes', path: 'netstat routes',
    settings: [{ name: 'tables', label: 'Tables', choices: ['main', 'all', 'rules'] }, { name: 'family', label: 'Family', choices: ['all', 'ipv4', 'ipv6'] }],
    args: (s) => ({ numeric: true, tables: s.tables || 'main', family: s.family || 'all' }),
    keyOf: keyBy('family', 'destination', 'from', 'gateway', 'interface', 'table', 'metric', 'type'), ignored: ['expiresInSeconds'],
  },
  arp: {
    title: 'ARP', path: 'diagnostic network arpshow', keyOf: keyBy('address', 'interface'), ignored: ['confirmed', 'used', 'updated', 'expiresInSeconds'],
    columns: [['address', 'Address'], ['linkAddress', 'Link address'], ['interface', 'Interface'], ['state', 'State'], ['expiresInSeconds', 'Expires in'], ['own', 'Own']],
  },
  ndp: {
    title: 'NDP', path: 'diagnostic network ndpshow', keyOf: keyBy('address', 'interface'), ignored: ['confirmed', 'used', 'updated', 'expiresInSeconds'],
    columns: [['address', 'Address'], ['linkAddress', 'Link address'], ['interface', 'Interface'], ['state', 'State'], ['router', 'Router'], ['expiresInSeconds', 'Expires in'], ['own', 'Own']],
  },
  services: {
    title: 'TCP services', path: 'tcpservices', settings: [{ name: 'udp', label: 'UDP too' }], args: (s) => ({ udp: Boolean(s.udp) }),
    row: (r) => ({ ...r, at: end(r.address, r.port) }),
    columns: [['command', 'Process'], ['pid', 'PID'], ['user', 'User'], ['node', 'Protocol'], ['at', 'Waits at'], ['service', 'Service'], ['description', 'Description']],
    keyOf: keyBy('command', 'pid', 'node', 'at', 'interface'),
  },
  queues: {
    title: 'Listen queues', path: 'netstat queues', args: () => ({ numeric: true }),
    row: (r) => ({ ...r, at: end(r.localAddress, r.localPort) }),
    columns: [['protocol', 'Protocol'], ['at', 'Waits at'], ['queued', 'Queued'], ['incomplete', 'Incomplete'], ['maximum', 'Maximum'], ['interface', 'Interface']],
    keyOf: keyBy('protocol', 'at', 'interface'),
  },
};

const form = (path, props) => ({ node }) => html`<${CommandForm} key=${path} node=${node} act="Start" ...${props} />`;

const live = (name) => () => html`<${LiveTable} key=${name} name=${name} ...${tables[name]} />`;

/** The parts of the view; a part is offered to those who may use its command. */
const sections = [
  { name: 'interfaces', title: 'Interfaces', path: 'netstat interfaces', show: Interfaces },
  ...['sockets', 'services', 'routes', 'arp', 'ndp', 'queues'].map((name) => ({ name, title: tables[name].title, path: tables[name].path, show: live(name) })),
  { name: 'traffic', title: 'Traffic', path: 'netstat traffic', show: form('netstat traffic', { view: TrafficView }) },
  { name: 'ping', title: 'Ping', path: 'ping', show: form('ping', { view: PingView }) },
  { name: 'traceroute', title: 'Traceroute', path: 'traceroute', show: form('traceroute', { view: TraceView, preset: { watch: 'yes' } }) },
  { name: 'dns', title: 'DNS', path: 'dnsstatus', show: Dns },
  { name: 'drops', title: 'Drops', path: 'netstat drops', show: form('netstat drops', { view: DropsView, preset: { every: '2s' } }) },
  { name: 'portlog', title: 'Port log', path: 'portlog status', show: PortLog },
  { name: 'smtp', title: 'SMTP test', path: 'diagnostic network smtpping', show: Smtp },
];

/** Network is the view #/network/PART. */
export default function Network({ parts, query }) {
  const nodes = useStore(tree);
  const allowed = useAllowed();
  const [failure, setFailure] = useState(null);
  useEffect(() => { readTree().catch(setFailure); }, []);
  if (failure) return html`<h1 tabindex="-1">Network</h1><${Problem} failure=${failure} />`;
  if (!nodes) return html`<h1 tabindex="-1">Network</h1><${Loading} what="the commands" />`;
  const offered = sections.filter((s) => allowed(s.path));
  const here = offered.find((s) => s.name === (parts[0] || offered[0]?.name));
  const Shown = here?.show;
  return html`<h1 tabindex="-1">${here ? here.title : 'Network'}</h1>
    <${Tabs} label="Network" items=${offered.map((s) => ({ href: `#/network/${s.name}`, title: s.title, current: s === here }))} />
    ${Shown ? html`<${Shown} key=${here.name} node=${nodes.get(here.path)} nodes=${nodes} allowed=${allowed} name=${parts[1]} query=${query} />` : html`<p>Your role has nothing of this, or there is no such part.</p>`}`;
}

/** LiveTable shows a command's table, refreshes it and marks what has changed. */
function LiveTable({ title, path, settings = [], args = () => ({}), row, columns, keyOf, ignored, keep = () => true }) {
  const [chosen, setChosen] = useState(() => Object.fromEntries(settings.map((s) => [s.name, s.choices ? s.choices[0] : Boolean(s.on)])));
  return html`<div class="row">${settings.map((s) => html`<${Setting} key=${s.name} setting=${s} value=${chosen[s.name]} set=${(v) => setChosen({ ...chosen, [s.name]: v })} />`)}</div>
    <${Rows} key=${JSON.stringify(chosen)} title=${title} path=${path} args=${args(chosen)} keep=${(r) => keep(r, chosen)} row=${row} columns=${columns} keyOf=${keyOf} ignored=${ignored} />`;
}

function Setting({ setting: s, value, set }) {
  if (!s.choices) return html`<label class="check"><input type="checkbox" checked=${value} onChange=${(e) => set(e.target.checked)} /> ${s.label}</label>`;
  return html`<label class="row">${s.label} <select value=${value} onChange=${(e) => set(e.target.value)}>
    ${s.choices.map((c) => html`<option key=${c} value=${c} selected=${c === value}>${c}</option>`)}</select></label>`;
}

function Rows({ title, path, args, keep, row, columns, keyOf, ignored }) {
  const interval = useInterval('network');
  const [word, setWord] = useState('');
  const make = (list) => list.filter(keep).map((r) => (row ? row(r) : r));
  const { poll, rows, marks } = useTable(path, args, interval, keyOf, ignored, make);
  const present = useMemo(() => columns && columns.filter((c) => !past.includes(c) || rows.some((r) => r[c[0]])), [columns, rows]);
  const wanted = word.trim().toLowerCase();
  const shown = wanted ? rows.filter((r) => Object.values(r).join(' ').toLowerCase().includes(wanted)) : rows;
  return html`<${Refresh} interval=${interval} poll=${poll}><label class="row">Only rows with <input type="search" value=${word} onInput=${(e) => setWord(e.target.value)} /></label><//>
    ${poll.value ? html`<p class="quiet" role="status">${wanted ? `${shown.length} of ${rows.length} rows` : ''}</p><${RecordTable} records=${shown} label=${title} columns=${present} marks=${marks} />`
    : !poll.failure && html`<${Loading} what=${title.toLowerCase()} />`}`;
}
