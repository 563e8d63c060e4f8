// The part of #/network about the port log: whether it runs, its start and end, and its records as they are written.

import { html, useEffect, useMemo, useState } from './vendor/preact.js';
import { asFailure, run } from './api.js';
import { bytes, count, counted } from './format.js';
import { clean, time } from './values.js';
import { errorAt, Field, Loading, notifyFailure, Problem } from './ui.js';
import { Act } from './managed.js';
import { Refresh, useInterval, usePoll } from './live.js';
import { PortReport } from './portreport.js';
import { end, more } from './portrecords.js';
import { RecordTable } from './records.js';
import { address } from './router.js';
import { RunState, useRunning } from './running.js';

// What the table shows and what the list begins with.
const shownRecords = 500;
const firstRecords = 200;

const runs = (status) => status.state === 'Running' || status.state === 'Paused';

const tiers = { A: 'the kernel tells of each socket', B: 'the kernel tells of each socket, but not who calls accept', C: 'the table of sockets is read again and again' };

const reasons = { StoppedByUser: 'by a user', Shutdown: 'by a shutdown of the appliance', Interrupted: 'since the appliance was interrupted' };

const formats = { ndjson: 'JSON lines', portreporter: "Port Reporter's files", both: "JSON lines and Port Reporter's files" };

/** selection says what a log writes of all. */
const selection = (s) => filters.filter(([name]) => s[name]?.length).map(([name, label]) => `${label.toLowerCase()} ${s[name].join(', ')}`).join('; ') || 'everything';

const reportAddress = (given) => address(['network', 'portlog', 'report'], given);

/** PortLog is the part of the view, or the report on the log below it. */
export function PortLog({ nodes, allowed, name, query }) {
  if (name === 'report' && nodes.has('portlog report') && allowed('portlog report')) return html`<${PortReport} node=${nodes.get('portlog report')} query=${query} />`;
  return html`<${Log} nodes=${nodes} allowed=${allowed} />`;
}

function Log({ nodes, allowed }) {
  const interval = useInterval('portlog', 2);
  const poll = usePoll((options) => run('portlog status', {}, options), interval.seconds, []);
  const may = (path) => nodes.has(path) && allowed(path);
  return html`<section class="card"><h2>State</h2><${Refresh} interval=${interval} poll=${poll} />
      ${poll.value ? html`<${State} status=${poll.value} />
        <div class="buttons">${!runs(poll.value) && may('portlog start') && html`<${Act} primary node=${nodes.get('portlog start')} label="Start" title="Start the port log" onDone=${poll.again} />`}
          ${runs(poll.value) && may('portlog stop') && html`<${Stop} again=${poll.again} />`}
          ${may('portlog setup') && html`<${Act} node=${nodes.get('portlog setup')} label="Settings" title="Settings of the port log" act="Save settings" onDone=${poll.again} />`}
          ${may('portlog report') && html`<a class="button" href=${reportAddress()}>Report</a>`}</div>`
      : !poll.failure && html`<${Loading} what="the port log" />`}</section>
    ${may('portlog show') && html`<section><h2>Records</h2><${Live} node=${nodes.get('portlog show')} may=${may} running=${poll.value ? runs(poll.value) : undefined} answered=${poll.at} /></section>`}`;
}

/** State says what the log does. */
function State({ status: s }) {
  const facts = [
    ['State', html`<span class=${`badge ${s.state === 'Running' ? 'good' : s.state === 'Paused' ? 'bad' : ''}`}>${s.state === 'NotStarted' ? 'not started' : s.state.toLowerCase()}</span>${reasons[s.stopReason] ? ` ${reasons[s.stopReason]}` : ''}`],
    ['Problem', s.problem && clean(s.problem)],
    ['Started', s.startTime && `${time(s.startTime)} by ${clean(s.owner || '')}`],
    ['Ended', s.endTime && time(s.endTime)],
    ['Selects', s.startTime && selection(s)],
    ['Keeps', s.startTime && `${bytes(s.sizeBytes)}${s.days > 0 ? `, ${counted(s.days, 'day')}` : ''}`],
    ['Written as', s.startTime && `${formats[s.format] || s.format}${s.coalesce ? ', one line a connection' : ''}`],
    ['After a restart', s.startTime && (s.persistent ? 'goes on' : 'does not go on')],
    ['Watching', s.engine && `tier ${s.engine.tier}: ${tiers[s.engine.tier] || ''}`],
    ['Cgroup', s.engine?.cgroup && clean(s.engine.cgroup)],
    ['Sockets', s.engine && count(s.engine.sockets)],
    ['Events', s.engine && `${count(s.engine.events)}, ${count(s.engine.lost)} lost`],
    ['Records', s.startTime && `${count(s.records)}, ${count(s.recordsLost)} lost, ${counted(s.gapsWritten, 'gap')}`],
    ['Files', `${counted(s.sets, 'set')}, ${bytes(s.bytes)}`],
    ['Reach', s.oldestTime && `back to ${time(s.oldestTime)}`],
    ['Writing', runs(s) && s.file && clean(s.file)],
  ].filter(([, v]) => v);
  return html`<dl class="facts">${facts.map(([name, v]) => html`<div key=${name}><dt>${name}</dt><dd>${v}</dd></div>`)}</dl>
    ${s.engine?.blind?.length > 0 && html`<p class="quiet">Not seen:</p><ul class="quiet">${s.engine.blind.map((sentence) => html`<li key=${sentence}>${clean(sentence)}</li>`)}</ul>`}`;
}

function Stop({ again }) {
  const [busy, setBusy] = useState(false);
  const stop = async () => {
    setBusy(true);
    try { await run('portlog stop', {}); } catch (err) { notifyFailure(asFailure(err)); }
    setBusy(false);
    again();
  };
  return html`<button type="button" disabled=${busy} onClick=${stop}>Stop</button>`;
}

const filters = [['processes', 'Processes', 'names or numbers'], ['ports', 'Ports', 'such as 25 or 8000-8080'], ['addresses', 'Addresses', 'or networks'], ['users', 'Users', 'names or numbers'], ['events', 'Events', 'such as connect,close']];

// When the records are of, which the log itself does not select.
const bounds = [['from', 'From (UTC)', 'such as 2026-03-01 10:15'], ['to', 'To (UTC)', 'ends there, and follows nothing']];

const all = [...filters, ...bounds];

const columns = [['time', 'Time'], ['event', 'Event'], ['protocol', 'Protocol'], ['local', 'Local'], ['remote', 'Remote'], ['process', 'Process'], ['pid', 'PID'], ['user', 'User'], ['exe', 'File'], ['more', 'More', 'wide']];

const rowOf = (r) => ({ time: r.time, event: r.event, protocol: r.protocol, local: end(r.localAddress, r.localPort), remote: end(r.remoteAddress, r.remotePort),
  process: r.process, pid: r.pid || undefined, user: r.pid ? r.user || String(r.uid) : undefined, exe: r.exe, more: more(r) });

/** Live shows the newest records and those that are written, chosen by what is typed. running: whether the log runs; answered: when the appliance answered last. */
function Live({ node, may, running: writes, answered }) {
  const running = useRunning();
  const [typed, setTyped] = useState({});
  const { out } = running;
  const busy = out?.state === 'running';
  const given = Object.fromEntries(Object.entries(typed).map(([name, v]) => [name, v.trim()]).filter(([, v]) => v));
  const begin = () => running.begin({ ...node, output: 'stream' }, { ...given, count: String(firstRecords), ...(given.to ? {} : { follow: 'yes' }) });
  useEffect(() => { begin(); }, []);
  // Where the connection broke, the log is followed again when the appliance answers.
  useEffect(() => { if (out?.failure?.kind === 'unreachable') begin(); }, [answered]);
  const records = out ? out.records : [];
  const rows = useMemo(() => records.slice(-shownRecords).reverse().map(rowOf), [out, records.length, out?.forgotten]);
  const submit = (e) => { e.preventDefault(); begin(); };
  const at = (name) => errorAt(out?.failure, name);
  const elsewhere = out?.failure && !all.some(([name]) => at(name)) ? out.failure : null;
  const none = busy ? (writes === false ? 'No such record. The port log does not run' : 'No such record yet') : 'No such record';
  return html`<form class="card" onSubmit=${submit} aria-label="Which records"><div class="columns">${all.map(([name, label, hint]) => html`<${Field} key=${name} label=${label} hint=${hint} error=${at(name)}>
      ${(field) => html`<input ...${field} type="text" autocomplete="off" spellcheck=${false} value=${typed[name] || ''} onInput=${(e) => setTyped({ ...typed, [name]: e.target.value })} />`}<//>`)}</div>
      <div class="row"><button type="submit" class="primary">Apply</button>
        ${busy ? html`<button type="button" onClick=${running.stop}>Hold</button>` : html`<button type="button" onClick=${begin}>Follow</button>`}
        ${may('portlog report') && html`<a class="button" href=${reportAddress(given)}>Report on these</a>`}</div></form>
    ${out && html`<${RunState} out=${out} />`}
    ${elsewhere && html`<${Problem} failure=${elsewhere} />`}
    ${out && (!out.failure || rows.length > 0) && html`<${RecordTable} records=${rows} label="Records, the newest first" columns=${columns} none=${none} />`}
    ${(out?.forgotten > 0 || records.length > shownRecords) && html`<p class="quiet">The newest ${count(rows.length)} of ${count(records.length + out.forgotten)} records that came.</p>`}`;
}
