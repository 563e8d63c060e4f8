// The part of #/network about the port log: whether it runs, its start and end, and its records as they are written.

import { html, useEffect, useMemo, useState } from './vendor/preact.js';
import { asFailure, run } from './api.js';
import { commandAddress } from './commands.js';
import { bytes, count, counted, duration } from './format.js';
import { clean, span, time } from './values.js';
import { Field, Loading, notifyFailure, Problem } from './ui.js';
import { Act } from './managed.js';
import { Refresh, useInterval, usePoll } from './live.js';
import { RecordTable } from './records.js';
import { RunState, useRunning } from './running.js';

// What the table shows and what the list begins with.
const shownRecords = 500;
const firstRecords = 200;

const runs = (status) => status.state === 'Running' || status.state === 'Paused';

const tiers = { A: 'the kernel tells of each socket', B: 'the kernel tells of each socket, but not who calls accept', C: 'the table of sockets is read again and again' };

/** PortLog is the part of the view. */
export function PortLog({ nodes, allowed }) {
  const interval = useInterval('portlog', 2);
  const poll = usePoll((options) => run('portlog status', {}, options), interval.seconds, []);
  const may = (path) => nodes.has(path) && allowed(path);
  return html`<section class="card"><h2>State</h2><${Refresh} interval=${interval} poll=${poll} />
      ${poll.value ? html`<${State} status=${poll.value} />
        <div class="buttons">${!runs(poll.value) && may('portlog start') && html`<${Act} primary node=${nodes.get('portlog start')} label="Start" title="Start the port log" onDone=${poll.again} />`}
          ${runs(poll.value) && may('portlog stop') && html`<${Stop} again=${poll.again} />`}
          ${may('portlog setup') && html`<${Act} node=${nodes.get('portlog setup')} label="Settings" title="Settings of the port log" onDone=${poll.again} />`}
          ${may('portlog report') && html`<a class="button" href=${commandAddress('portlog report')}>Report</a>`}</div>`
      : !poll.failure && html`<${Loading} what="the port log" />`}</section>
    ${may('portlog show') && html`<section><h2>Records</h2><${Live} node=${nodes.get('portlog show')} running=${poll.value ? runs(poll.value) : undefined} /></section>`}`;
}

/** State says what the log does. */
function State({ status: s }) {
  const facts = [
    ['State', html`<span class=${`badge ${s.state === 'Running' ? 'good' : s.state === 'Paused' ? 'bad' : ''}`}>${s.state === 'NotStarted' ? 'not started' : s.state.toLowerCase()}</span>`],
    ['Problem', s.problem && clean(s.problem)],
    ['Started', s.startTime && `${time(s.startTime)} by ${clean(s.owner || '')}`],
    ['Ended', s.endTime && time(s.endTime)],
    ['Watching', s.engine && `tier ${s.engine.tier}: ${tiers[s.engine.tier] || ''}`],
    ['Sockets', s.engine && count(s.engine.sockets)],
    ['Records', s.startTime && `${count(s.records)}${s.recordsLost || s.engine?.lost ? `, ${count(s.recordsLost + (s.engine?.lost || 0))} lost` : ''}`],
    ['Files', `${counted(s.sets, 'set')}, ${bytes(s.bytes)}`],
    ['Reach', s.oldestTime && `back to ${time(s.oldestTime)}`],
  ].filter(([, v]) => v);
  return html`<dl class="facts">${facts.map(([name, v]) => html`<div key=${name}><dt>${name}</dt><dd>${v}</dd></div>`)}</dl>
    ${s.engine?.blind?.length > 0 && html`<ul class="quiet">${s.engine.blind.map((sentence) => html`<li key=${sentence}>${clean(sentence)}</li>`)}</ul>`}`;
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

const filters = [['processes', 'Processes', 'names or numbers'], ['ports', 'Ports', 'such as 25 or 8000-8080'], ['addresses', 'Addresses', 'or networks'], ['users', 'Users', ''], ['events', 'Events', 'such as connect,close']];

const columns = [['time', 'Time'], ['event', 'Event'], ['protocol', 'Protocol'], ['local', 'Local'], ['remote', 'Remote'], ['process', 'Process'], ['pid', 'PID'], ['user', 'User'], ['exe', 'File'], ['more', 'More']];

const end = (host, port) => (host ? (port ? `${host.includes(':') ? `[${host}]` : host}:${port}` : host) : port ? `*:${port}` : '');

/** more is what a record has that has no column. */
function more(r) {
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

const rowOf = (r) => ({ time: r.time, event: r.event, protocol: r.protocol, local: end(r.localAddress, r.localPort), remote: end(r.remoteAddress, r.remotePort),
  process: r.process, pid: r.pid || undefined, user: r.pid ? r.user || r.uid : undefined, exe: r.exe, more: more(r) });

/** Live shows the newest records and those that are written, chosen by what is typed. running: whether the log runs. */
function Live({ node, running: writes }) {
  const running = useRunning();
  const [typed, setTyped] = useState({});
  const { out } = running;
  const busy = out?.state === 'running';
  const begin = () => running.begin({ ...node, output: 'stream' }, { ...Object.fromEntries(Object.entries(typed).filter(([, v]) => v.trim())), count: String(firstRecords), follow: 'yes' });
  useEffect(() => { begin(); }, []);
  const records = out ? out.records : [];
  const rows = useMemo(() => records.slice(-shownRecords).reverse().map(rowOf), [out, records.length, out?.forgotten]);
  const submit = (e) => { e.preventDefault(); begin(); };
  const none = busy ? (writes === false ? 'No such record. The port log does not run' : 'No such record yet') : 'No such record';
  return html`<form class="card" onSubmit=${submit} aria-label="Which records"><div class="columns">${filters.map(([name, label, hint]) => html`<${Field} key=${name} label=${label} hint=${hint}>
      ${(field) => html`<input ...${field} type="text" autocomplete="off" spellcheck=${false} value=${typed[name] || ''} onInput=${(e) => setTyped({ ...typed, [name]: e.target.value })} />`}<//>`)}</div>
      <div class="row"><button type="submit" class="primary">Apply</button>
        ${busy ? html`<button type="button" onClick=${running.stop}>Hold</button>` : html`<button type="button" onClick=${begin}>Follow</button>`}</div></form>
    ${out && html`<${RunState} out=${out} />`}
    ${out?.failure && html`<${Problem} failure=${out.failure} />`}
    ${out && !out.failure && html`<${RecordTable} records=${rows} label="Records, the newest first" columns=${columns} none=${none} />`}
    ${(out?.forgotten > 0 || records.length > shownRecords) && html`<p class="quiet">The newest ${count(rows.length)} of ${count(records.length + out.forgotten)} records that came.</p>`}`;
}
