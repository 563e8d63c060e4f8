// One capture: everything about it, its files, and its packets below it.

import { useEffect } from './vendor/preact.js';
import { ended, reason, useCaptures, useFiles } from './capturedata.js';
import { removeCapture, stop } from './captureacts.js';
import { bytes, count, counted, duration, useMoment } from './format.js';
import { address, go } from './router.js';
import { useAllowed } from './state.js';
import { html, lazy, Loading, Problem, Table } from './ui.js';

/** facts returns what is worth saying of a capture, as pairs of a name and a text. */
function facts(c, moment) {
  const limits = c.limits || {};
  const limited = [
    limits.sizeBytes > 0 ? `${c.mode === 'circular' ? 'the last ' : ''}${bytes(limits.sizeBytes)}` : 'no size limit',
    limits.durationSeconds > 0 && duration(limits.durationSeconds),
    limits.packets > 0 && counted(limits.packets, 'packet'),
    limits.files > 0 && counted(limits.files, 'file'),
  ].filter(Boolean).join(', ');
  return [
    ['Filter', c.filter || 'none: every packet'],
    ...(c.filters ?? []).map((f, i) => [i === 0 ? 'Filters by protocol and ends' : 'or', endsOf(c, f, i)]),
    c.process && ['Process', `${c.process} and what it starts${c.processesFollowed === undefined ? '' : c.processesFollowed ? `; ${count(c.processesFollowed)} now` : '; none runs, it is waited for'}${c.processesNoRoom ? `; packets are missing: no room in the kernel for ${count(c.processesNoRoom)} of its processes, sockets and ports` : ''}`],
    ['Interfaces', (c.interfaces || []).join(', ')],
    ...(c.interfacesLeftOut || []).map((l) => [`Left out: ${l.interface}`, l.reason]),
    ['Started', `${moment(c.startTime || c.start)} by ${c.owner}`],
    c.endTime && ['Ended', moment(c.endTime)],
    ['Limits', limited],
    ['Matched the filter', c.packetsMatched === undefined ? 'unknown: a part of the capture was killed' : count(c.packetsMatched)],
    ['Received', count(c.packetsReceived)],
    ['Written', count(c.packetsWritten)],
    ['Dropped by the kernel', c.packetsDropped === undefined ? 'unknown: a part of the capture was killed' : count(c.packetsDropped)],
    c.packetsDiscarded > 0 && ['Discarded because the disk took no more', count(c.packetsDiscarded)],
    c.packetsBehindLimit > 0 && ['Came after the limit', count(c.packetsBehindLimit)],
    c.packetsSeen !== undefined && ['On the interfaces meanwhile, before the filter', count(c.packetsSeen)],
    c.filesRemoved > 0 && ['Removed for newer ones', `${counted(c.filesRemoved, 'file')}, ${counted(c.packetsRemoved, 'packet')}, ${bytes(c.bytesRemoved)}`],
    c.filesAwaitingExport > 0 && ['Files that wait to be copied', count(c.filesAwaitingExport)],
    ['Contents', c.headersOnly ? 'headers only' : c.snapLength > 0 ? `${count(c.snapLength)} bytes of each packet` : 'whole packets'],
    ['Management sessions', c.management ? 'captured too' : 'left out'],
    c.direction !== 'both' && ['Direction', c.direction === 'in' ? 'packets that come in' : 'packets that go out'],
    ['File format', `${c.format}, ${c.timePrecision}s`],
    c.processes && ['Processes', 'kept beside the file: lists of packets, summary and downloads name them'],
    ...beside(c).flatMap((f) => f.blind ?? []).map((sentence) => ['Not seen of processes', sentence]),
    c.drops && ['Dropped meanwhile, and why', dropReasons(c)],
    ...beside(c).filter((f) => f.stopped).map((f) => [`${besides[f.type] || f.type} ended early`, f.stopped]),
    c.scenario && ['Scenario', c.scenario],
    (c.report || c.reportState) && ['Report', reportOf(c)],
    ...(c.remarks ?? []).map((remark) => ['Note', remark]),
    c.persistent && ['After a restart', 'goes on in a new file'],
    c.protect && ['Protected', 'never deleted to make room'],
    c.caseNumber && ['Case', c.caseNumber],
    c.comment && ['Comment', c.comment],
  ].filter(Boolean);
}

/** endsOf says what a filter by protocol and ends matches, and how many packets it did. */
function endsOf(c, f, i) {
  const words = [f.protocol, f.localAddress && `local ${f.localAddress}`, f.localPort && `local port ${f.localPort}`,
    f.remoteAddress && `remote ${f.remoteAddress}`, f.remotePort && `remote port ${f.remotePort}`].filter(Boolean).join(', ') || 'any';
  return c.filterPackets ? `${words}: ${counted(c.filterPackets[i], 'packet')}` : words;
}

const beside = (c) => c.filesBeside ?? [];

/** What is written beside the files of a capture. */
const besides = { flows: 'Processes', drops: 'Dropped packets' };

/** reportOf says how far the report of a capture is. */
function reportOf(c) {
  switch (c.reportState) {
    case 'made': return html`<a href=${address(['system', 'reports', c.reportFile])}>${c.reportFile}</a>`;
    case 'making': return 'being made';
    case 'failed': return `none: ${c.reportError}`;
    default: return ended(c) ? 'waits to be made' : 'made when the capture ends';
  }
}

/** dropReasons says why the kernel dropped packets while a capture ran. */
function dropReasons(c) {
  return beside(c).flatMap((f) => f.reasons ?? [])
    .map((r) => `${r.reason} ${count(r.packets)}${r.noise ? ', everyday noise' : `, ${count(r.recorded)} in the file`}`).join('; ') || 'nothing';
}

/** FileOrNothing leads to the packets of a file that is of no capture, to which no more than they belongs. */
function FileOrNothing({ name }) {
  const files = useFiles();
  const found = files.value?.some((f) => f.name === name);
  useEffect(() => { if (found) go(['captures', name, 'packets'], {}, { replace: true }); }, [found]);
  if (files.loading || found) return html`<${Loading} what="the file" />`;
  return html`<p>There is no capture and no file of this name. <a href="#/captures">All captures</a></p>`;
}

/**
 * Beside lists what was written beside a capture. A file of it is fetched when it is whole, which is when the capture has
 * ended.
 */
function Beside({ capture: c, over }) {
  if (!beside(c).length) return null;
  return html`<section class="card"><${Table} caption="Beside the files" rows=${beside(c)} rowKey=${(f) => f.name} columns=${[
    { name: 'name', title: 'File', header: true, cell: (f) => (over && f.type === 'drops' ? html`<a href=${address(['captures', f.name, 'packets'])}>${f.name}</a>` : f.name) },
    { name: 'type', title: 'What', cell: (f) => besides[f.type] || f.type },
    { name: 'bytes', title: 'Size', number: true, cell: (f) => bytes(f.bytes) },
  ]} /></section>`;
}

/** What can be made of a capture that has ended, with the forms of its commands, which the page needs only then. */
const Afterwards = lazy(() => import('./captureafter.js'), 'Afterwards');

// How often it is looked for what no event tells of, in milliseconds.
const looks = 2000;

/**
 * useUntold lists the captures anew, as long as somebody sees it, while of one there is something that events do not tell of:
 * its processes, what was dropped, and that its report is made.
 */
function useUntold(c, again) {
  const awaited = Boolean(c) && (ended(c) ? c.reportState === 'waiting' || c.reportState === 'making' : c.state === 'Running');
  useEffect(() => {
    if (!awaited) return undefined;
    const timer = setInterval(() => { if (!document.hidden) again(); }, looks);
    return () => clearInterval(timer);
  }, [awaited]);
}

/** CaptureDetails is the view #/captures/NAME. */
export function CaptureDetails({ name }) {
  const moment = useMoment();
  const allowed = useAllowed();
  const captures = useCaptures();
  const c = captures.value && captures.value.find((one) => one.name === name);
  useUntold(c, captures.again);
  if (captures.loading) return html`<h1 tabindex="-1">${name}</h1><${Loading} what="the capture" />`;
  if (!c) {
    return html`<h1 tabindex="-1">${name}</h1><${Problem} failure=${captures.failure} />
      ${!captures.failure && html`<${FileOrNothing} name=${name} />`}`;
  }
  const over = ended(c);
  return html`<p class="crumbs"><a href="#/captures">Captures</a></p>
    <div class="head"><h1 tabindex="-1">${c.name} <span class=${`badge ${c.state === 'Running' ? 'good' : c.state === 'Error' ? 'bad' : ''}`}>${over ? reason(c) : c.state === 'Running' ? 'Running' : 'Planned'}</span></h1>
      <div class="row">
        ${allowed('packetcapture show') && (c.files || []).length > 0 && html`<a class="button primary" href=${address(['captures', c.name, 'packets'])}>Packets</a>`}
        ${!over && allowed('packetcapture stop') && html`<button type="button" onClick=${() => stop(c.name)}>Stop Capture</button>`}
        ${over && allowed('packetcapture delete') && html`<button type="button" class="danger" onClick=${async () => { if (await removeCapture(c)) go(['captures']); }}>Delete Capture</button>`}
      </div></div>
    <section class="card"><dl class="facts details">${facts(c, moment).map(([term, text]) => html`<div key=${term}><dt>${term}</dt><dd>${text}</dd></div>`)}</dl></section>
    <section class="card"><${Table} caption="Files" rows=${c.files || []} rowKey=${(f) => f.name} columns=${[
    { name: 'name', title: 'File', header: true, cell: (f) => f.name },
    { name: 'bytes', title: 'Size', number: true, cell: (f) => bytes(f.bytes) },
    { name: 'packets', title: 'Packets', number: true, cell: (f) => count(f.packets) },
    { name: 'first', title: 'First packet', cell: (f) => moment(f.first), className: 'nowrap' },
    { name: 'last', title: 'Last packet', cell: (f) => moment(f.last), className: 'nowrap' },
  ]} /></section>
    <${Beside} capture=${c} over=${over} />
    ${over && allowed('packetcapture report') && html`<${Afterwards} capture=${c} onReport=${captures.again} />`}`;
}
