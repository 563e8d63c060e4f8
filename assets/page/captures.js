// Captures: what runs, what was captured, and the files.

import { removeCapture, stop } from './captureacts.js';
import { ended, reason, useCaptures, useFiles } from './capturedata.js';
import { CaptureDetails } from './capture.js';
import { Files } from './files.js';
import { bytes, count, duration, useMoment } from './format.js';
import { address } from './router.js';
import { useAllowed } from './state.js';
import { html, lazy, Loading, Problem, Table, useNow } from './ui.js';

/** The views of a capture's packets, each loaded when it is first opened. */
const below = {
  packets: lazy(() => import('./packets.js'), 'Packets'),
  flows: lazy(() => import('./packetflows.js'), 'Flows'),
  flow: lazy(() => import('./packetflow.js'), 'Flow'),
  follow: lazy(() => import('./packetfollow.js'), 'Follow'),
  talkers: lazy(() => import('./packettalkers.js'), 'Talkers'),
  graph: lazy(() => import('./packetgraph.js'), 'Rates'),
};

/** Captures is the view #/captures, and all below it. */
export default function Captures({ parts, query }) {
  const Below = below[parts[1]];
  if (Below) return html`<${Below} key=${`${parts[0]} ${parts[1]}`} name=${parts[0]} parts=${parts.slice(2)} query=${query} />`;
  if (parts.length > 0) return html`<${CaptureDetails} name=${parts[0]} />`;
  return html`<${Overview} />`;
}

function Overview() {
  const allowed = useAllowed();
  const captures = useCaptures();
  const files = useFiles();
  const all = captures.value || [];
  return html`<div class="head"><h1 tabindex="-1">Packet Capture</h1>
      <div class="row">
        ${allowed('packetcapture setup') && html`<a class="button" href="#/capture-settings">Edit Settings</a>`}
        ${allowed('packetcapture start') && html`<a class="button primary" href="#/capture-start">Start Capture</a>`}
      </div></div>
    <${Problem} failure=${captures.failure} />
    ${captures.loading && html`<${Loading} what="captures" />`}
    ${captures.value && html`<${Active} captures=${all.filter((c) => !ended(c))} />
      <${Files} files=${files} captures=${all} />
      <${Ended} captures=${all.filter(ended)} />`}`;
}

/** Active shows the captures that run, and those that wait for their time. */
function Active({ captures }) {
  return html`<section><h2>Running</h2>
    ${captures.length === 0 && html`<p class="card quiet">No capture is running.</p>`}
    <div class="actives">${captures.map((c) => html`<${ActiveCapture} key=${c.name} capture=${c} />`)}</div></section>`;
}

/** nearest returns how far a running capture is on the way to its nearest limit, from 0 to 1, and what is left; null without limits. */
function nearest(c, now) {
  const limits = c.limits || {};
  const ways = [];
  if (limits.durationSeconds > 0) {
    const gone = (now - Date.parse(c.startTime)) / 1000;
    ways.push({ done: gone / limits.durationSeconds, left: `${duration(Math.max(0, limits.durationSeconds - gone))} left` });
  }
  if (limits.sizeBytes > 0 && c.mode === 'single') ways.push({ done: c.bytesWritten / limits.sizeBytes, left: `${bytes(Math.max(0, limits.sizeBytes - c.bytesWritten))} left` });
  if (limits.packets > 0) ways.push({ done: c.packetsWritten / limits.packets, left: `${count(Math.max(0, limits.packets - c.packetsWritten))} packets left` });
  ways.sort((a, b) => b.done - a.done);
  return ways[0] || null;
}

/** timeLeft returns the time until a capture ends by itself, in words. */
function timeLeft(c, now) {
  const seconds = (c.limits || {}).durationSeconds;
  if (!(seconds > 0)) return 'no limit';
  return duration(Math.max(0, seconds - (now - Date.parse(c.startTime)) / 1000));
}

function ActiveCapture({ capture: c }) {
  const allowed = useAllowed();
  const moment = useMoment();
  const now = useNow(1000);
  const running = c.state === 'Running';
  const way = running && nearest(c, now);
  const fact = (name, value, className) => html`<div><dt>${name}</dt><dd class=${className}>${value}</dd></div>`;
  return html`<article class="card active" aria-label=${`Capture ${c.name}`}>
    <div class="head"><h3><a href=${address(['captures', c.name])}>${c.name}</a> <span class=${`badge ${running ? 'good' : ''}`}>${running ? 'Running' : 'Planned'}</span></h3>
      <div class="row">
        ${running && allowed('packetcapture show') && html`<a class="button" href=${address(['captures', c.name, 'packets'])}>Packets</a>`}
        ${allowed('packetcapture stop') && html`<button type="button" onClick=${() => stop(c.name)} aria-label=${`${running ? 'Stop' : 'Cancel'} capture ${c.name}`}>${running ? 'Stop Capture' : 'Cancel'}</button>`}
      </div></div>
    ${running ? html`<dl class="facts">
      ${fact('Packets', count(c.packetsWritten), 'big packets')}
      ${fact('Size', bytes(c.bytesWritten), 'big')}
      ${fact('Dropped', count(c.packetsDropped), c.packetsDropped ? 'big lost' : 'big')}
      ${fact('Time left', timeLeft(c, now), 'big')}
      ${fact('Running for', duration((now - Date.parse(c.startTime)) / 1000))}
      ${fact('Interfaces', (c.interfaces || []).join(', '))}
      ${fact('Started by', c.owner)}
    </dl>` : html`<p>Starts at ${moment(c.start)}, in ${duration((Date.parse(c.start) - now) / 1000)}. Planned by ${c.owner}.</p>`}
    ${way && html`<div class="way"><progress max="1" value=${Math.min(1, Math.max(0, way.done))} aria-label=${`Way to the limit of ${c.name}`}></progress><span class="quiet">${way.left}</span></div>`}
    ${c.process && html`<p>Only of the process ${c.process} and what it starts.</p>`}
    ${c.scenario && html`<p>By the scenario ${c.scenario}.</p>`}
    <p class="mono filter-of">${c.filter || html`<span class="quiet">every packet${c.process ? ' of it' : ''}</span>`}</p>
  </article>`;
}

/** Ended lists the captures that have ended, with the reason. */
function Ended({ captures }) {
  const allowed = useAllowed();
  const moment = useMoment();
  const took = (c) => (c.startTime && c.endTime ? duration((Date.parse(c.endTime) - Date.parse(c.startTime)) / 1000) : '');
  return html`<section class="card"><${Table} caption="Captures that have ended" rows=${captures} rowKey=${(c) => c.name} empty="No capture has ended yet." columns=${[
    { name: 'name', title: 'Capture', header: true, cell: (c) => html`<a href=${address(['captures', c.name])}>${c.name}</a>` },
    { name: 'reason', title: 'Why it ended', cell: (c) => (c.state === 'Error' ? html`<span class="badge bad">Error</span> ${reason(c)}` : reason(c)) },
    { name: 'start', title: 'Started', cell: (c) => moment(c.startTime || c.start), className: 'nowrap' },
    { name: 'took', title: 'Ran for', cell: took, number: true },
    { name: 'packets', title: 'Packets', number: true, cell: (c) => count(c.packetsWritten) },
    { name: 'dropped', title: 'Dropped', number: true, cell: (c) => (c.packetsDropped ? html`<span class="badge warn">${count(c.packetsDropped)}</span>` : count(c.packetsDropped)) },
    { name: 'bytes', title: 'Size', number: true, cell: (c) => bytes(c.bytesWritten) },
    { name: 'owner', title: 'By', cell: (c) => c.owner },
    { name: 'acts', title: html`<span class="unseen">Actions</span>`, cell: (c) => html`<div class="row">
      ${allowed('packetcapture delete') && html`<button type="button" class="small" aria-label=${`Delete capture ${c.name}`} onClick=${() => removeCapture(c)}>Delete</button>`}</div>` },
  ]} /></section>`;
}
