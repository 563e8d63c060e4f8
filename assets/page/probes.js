// Tests of the network with what they find drawn live: ping, traceroute, DNS, a conversation with a mail server, traffic.

import { html, useMemo, useState } from './vendor/preact.js';
import { run } from './api.js';
import { count, rate } from './format.js';
import { Fold, Loading } from './ui.js';
import { CommandForm } from './forms.js';
import { Graph } from './graph.js';
import { Refresh, useInterval, usePoll } from './live.js';
import { RecordList, RecordTable } from './records.js';
import { clean, cleanLines, span } from './values.js';

const keptPoints = 300;

const Facts = ({ facts }) => html`<dl class="facts">${facts.filter(([, v]) => v !== undefined && v !== '').map(([name, v]) => html`<div key=${name}><dt>${name}</dt><dd>${v}</dd></div>`)}</dl>`;

/** figures returns what has come of a ping so far, or its statistics when it has ended. */
function figures(records) {
  const last = records[records.length - 1];
  if (last?.event === 'statistics') {
    return [['Sent', count(last.transmitted)], ['Received', count(last.received)], ['Lost', `${last.lossPercent.toFixed(1).replace(/\.0$/, '')} %`],
      ...(last.received ? [['Shortest', span(last.minimum)], ['Average', span(last.average)], ['Longest', span(last.maximum)], ['Deviation', span(last.deviation)]] : [])];
  }
  const times = records.filter((r) => r.rttSeconds !== undefined).map((r) => r.rttSeconds);
  if (!times.length) return [['Received', '0']];
  return [['Received', count(times.length)], ['Last', span(times[times.length - 1])], ['Shortest', span(Math.min(...times))],
    ['Average', span(times.reduce((a, b) => a + b, 0) / times.length)], ['Longest', span(Math.max(...times))]];
}

/** byNumber returns the round trips by sequence number; null where no answer came. */
function byNumber(records) {
  const times = new Map(records.filter((r) => r.sequence !== undefined).map((r) => [r.sequence, r.rttSeconds ?? null]));
  if (!times.size) return [[], []];
  const to = Math.max(...times.keys());
  const from = Math.max(Math.min(...times.keys()), to - keptPoints + 1);
  const xs = Array.from({ length: to - from + 1 }, (_, i) => from + i);
  return [xs, xs.map((n) => times.get(n) ?? null)];
}

const whole = (n) => (Number.isInteger(n) ? String(n) : '');

/** PingView draws the round trips of a ping. */
export function PingView({ records }) {
  const [xs, series] = useMemo(() => { const [x, values] = byNumber(records); return [x, [{ label: 'Round trip', values }]]; }, [records]);
  const facts = figures(records);
  return html`<div class="card"><${Facts} facts=${facts} />
      ${xs.length > 0 && html`<${Graph} label=${`Round trips: ${facts.map(([name, v]) => `${name} ${v}`).join(', ')}`} xs=${xs} series=${series} format=${span} formatX=${whole} kind="points" height=${180} />`}</div>
    <${RecordTable} records=${useMemo(() => records.filter((r) => r.event !== 'statistics').slice(-200).reverse(), [records])} label="Answers, the newest first" none="No answer yet" />`;
}

/** hopOf returns a hop of either form of traceroute: with the probes of a trace, or with the sums of one that is watched. */
function hopOf(r) {
  if (!r.probes) return { ...r, routers: (r.routers || []).map((x) => x.name && x.name !== x.address ? `${x.name} (${x.address})` : x.address) };
  const times = r.probes.filter((p) => p.rttSeconds !== undefined).map((p) => p.rttSeconds);
  const routers = [...new Set(r.probes.filter((p) => p.address).map((p) => p.name && p.name !== p.address ? `${p.name} (${p.address})` : p.address))];
  return { hop: r.hop, routers, sent: r.probes.length, received: times.length, lossPercent: 100 - 100 * times.length / r.probes.length,
    best: times.length ? Math.min(...times) : undefined, worst: times.length ? Math.max(...times) : undefined,
    average: times.length ? times.reduce((a, b) => a + b, 0) / times.length : undefined, mark: [...new Set(r.probes.map((p) => p.mark).filter(Boolean))].join(' ') };
}

const timeOrNone = (r, name) => (r.received && r[name] !== undefined ? span(r[name]) : '');

const hopColumns = [['hop', 'Hop'], ['routers', 'Router'], ['loss', 'Lost'], ['sent', 'Sent'], ['last', 'Last'], ['average', 'Average'], ['best', 'Best'], ['worst', 'Worst'], ['mark', 'Remark']];

/** TraceView draws the hops of a traceroute: how long each takes, and what it loses. */
export function TraceView({ records }) {
  const hops = useMemo(() => [...new Map(records.filter((r) => r.hop).map((r) => [r.hop, hopOf(r)])).values()].sort((a, b) => a.hop - b.hop), [records]);
  const rows = hops.map((h) => ({ hop: h.hop, routers: h.routers.length ? h.routers : 'no answer', loss: `${Math.round(h.lossPercent)} %`, sent: h.sent,
    last: timeOrNone(h, 'last'), average: timeOrNone(h, 'average'), best: timeOrNone(h, 'best'), worst: timeOrNone(h, 'worst'), mark: h.mark }));
  const value = (name) => hops.map((h) => (h.received ? h[name] ?? null : null));
  const [xs, series] = useMemo(() => [hops.map((h) => h.hop), [{ label: 'Average', values: value('average') }, { label: 'Best', values: value('best') }, { label: 'Worst', values: value('worst') }]], [hops]);
  return html`${hops.length > 1 && html`<div class="card"><${Graph} label="Round trip to each hop; the table below has the numbers" xs=${xs} series=${series} format=${span} formatX=${whole} kind="points" height=${180} /></div>`}
    <${RecordTable} records=${rows} label="Hops" columns=${hopColumns} none="No hop yet" />`;
}

/** TrafficView draws the rates that netstat traffic reports. */
export function TrafficView({ records }) {
  const [xs, series] = useMemo(() => {
    const last = records.slice(-keptPoints);
    return [last.map((r) => Date.parse(r.time) / 1000), [{ label: 'In', values: last.map((r) => r.receive.bytes * 8 / r.seconds) }, { label: 'Out', values: last.map((r) => r.transmit.bytes * 8 / r.seconds) }]];
  }, [records]);
  const now = (s) => (s.values.length ? rate(s.values[s.values.length - 1]) : 'not known yet');
  return html`<div class="card"><${Facts} facts=${series.map((s) => [s.label, now(s)])} />
      ${xs.length > 1 && html`<${Graph} label=${`Traffic: now ${now(series[0])} in, ${now(series[1])} out`} xs=${xs} series=${series} format=${rate} time height=${180} />`}</div>
    <${RecordTable} records=${useMemo(() => records.slice(-100).reverse(), [records])} label="Intervals, the newest first" none="Nothing yet" />`;
}

const stepTitles = { resolve: 'Resolve', connect: 'Connect', mx: 'Look up MX', tls: 'TLS', banner: 'Greeting', statistics: 'Statistics' };

/** SmtpView shows a conversation with a mail server: what was sent, what it answered, and how long each took. */
function SmtpView({ records }) {
  return html`<ol class="conversation">${records.map((r, i) => html`<li key=${i}>
    <div class="row"><strong>${stepTitles[r.step] || clean(r.step || '')}</strong>
      ${r.server && html`<span>${clean(r.server)}${r.address && r.address !== r.server ? ` (${clean(r.address)})` : ''}</span>`}
      ${r.seconds !== undefined && html`<span class="quiet">${span(r.seconds)}</span>`}
      ${r.error && html`<span class="badge bad">failed</span>`}</div>
    ${r.sent && html`<pre class="sent"><span class="quiet">sent </span>${cleanLines(r.sent)}</pre>`}
    ${(r.reply || r.code) && html`<pre class=${r.code >= 400 ? 'reply before' : 'reply'}><span class="quiet">reply </span>${r.code ? `${r.code} ` : ''}${cleanLines(r.reply || '')}</pre>`}
    ${r.error && html`<p class="before">${clean(r.error)}</p>`}
    ${r.remark && html`<p class="hint">${clean(r.remark)}</p>`}
    ${r.tls && html`<${RecordList} record=${r.tls} label="TLS" />`}
    ${r.tests !== undefined && html`<${RecordList} record=${r} label="Statistics" names=${['test', 'tests', 'minimum', 'median', 'maximum']} />`}
  </li>`)}</ol>`;
}

/** Smtp is the part of #/network that tests a mail server. */
export function Smtp({ node }) {
  return html`<${CommandForm} node=${node} view=${SmtpView} act="Start" />`;
}

/** DigView shows an answer of a name server by its sections. */
function DigView({ records }) {
  const r = records[0];
  if (!r) return null;
  const { answer, authority, additional, ...rest } = r;
  const part = (name, list) => list?.length > 0 && html`<section><h3>${name}</h3><${RecordTable} records=${list} label=${name} /></section>`;
  return html`<div class="card"><div class="row"><span class=${`badge ${r.status === 'NOERROR' ? 'good' : 'warn'}`}>${clean(r.status || 'no answer')}</span> <span class="quiet">from ${clean(r.server || 'no server')}</span></div>
    ${part('Answer', answer)}${part('Authority', authority)}${part('Additional', additional)}
    <${Fold} summary="The whole message"><${RecordList} record=${rest} label="Message" /><//></div>`;
}

/** Dns is the part of #/network about names: the servers in use, and look-ups. */
export function Dns({ nodes, allowed }) {
  const interval = useInterval('network');
  const poll = usePoll((options) => run('dnsstatus', {}, options), interval.seconds, []);
  const [which, setWhich] = useState('dig');
  const offered = ['dig', 'nslookup'].filter(allowed);
  return html`<section class="card"><h2>Name servers</h2><${Refresh} interval=${interval} poll=${poll} />
      ${poll.value ? html`<${RecordList} record=${poll.value} label="Name servers" />` : !poll.failure && html`<${Loading} what="the name servers" />`}</section>
    ${offered.length > 0 && html`<section><h2>Look up</h2>
      <p class="row">${offered.map((path) => html`<button key=${path} type="button" aria-pressed=${which === path ? 'true' : 'false'} onClick=${() => setWhich(path)}>${path}</button>`)}</p>
      <${CommandForm} key=${which} node=${nodes.get(which)} view=${which === 'dig' ? DigView : undefined} act="Look up" /></section>`}`;
}
