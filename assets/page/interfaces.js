// Interfaces with their rates: counters read again and again, and what came between.

import { html, useMemo, useRef } from './vendor/preact.js';
import { run } from './api.js';
import { serverNow } from './clock.js';
import { count, rate } from './format.js';
import { Loading } from './ui.js';
import { Graph } from './graph.js';
import { keyBy, Refresh, useChanges, useInterval, usePoll } from './live.js';
import { RecordTable } from './records.js';
import { clean } from './values.js';

const keptSamples = 120;

const perSecond = (now, before, seconds) => (seconds > 0 && now >= before ? (now - before) / seconds : null);

/**
 * Rates keeps the last samples of each interface: at is a time of day, and taken is of a clock that nobody sets. A counter
 * that went back, because the interface was made anew, is a gap.
 */
class Rates {
  constructor() { this.before = new Map(); this.samples = new Map(); }

  add(list, at, taken) {
    for (const i of list) {
      const was = this.before.get(i.name);
      this.before.set(i.name, { taken, receive: i.receive, transmit: i.transmit });
      if (!was) continue;
      const seconds = taken - was.taken;
      const sample = { at,
        receive: perSecond(i.receive.bytes, was.receive.bytes, seconds), transmit: perSecond(i.transmit.bytes, was.transmit.bytes, seconds),
        packetsIn: perSecond(i.receive.packets, was.receive.packets, seconds), packetsOut: perSecond(i.transmit.packets, was.transmit.packets, seconds) };
      this.samples.set(i.name, [...(this.samples.get(i.name) || []), sample].slice(-keptSamples));
    }
  }
}

const columns = [['name', 'Interface'], ['linkAddress', 'Link address'], ['mtu', 'MTU'], ['receive.packets', 'Packets in'], ['receive.bytes', 'Bytes in'], ['receive.errors', 'Errors in'], ['receive.dropped', 'Dropped in'],
  ['transmit.packets', 'Packets out'], ['transmit.bytes', 'Bytes out'], ['transmit.errors', 'Errors out'], ['transmit.dropped', 'Dropped out'], ['transmit.collisions', 'Collisions']];

/** Interfaces is the part of #/network with a card for each interface, and a table of their counters. */
export function Interfaces() {
  const interval = useInterval('network');
  const rates = useRef(null);
  rates.current ||= new Rates();
  const poll = usePoll(async (options) => {
    const list = await run('netstat interfaces', { interface: 'ALL' }, options);
    rates.current.add(list, serverNow() / 1000, performance.now() / 1000);
    return list;
  }, interval.seconds, []);
  const { rows, marks } = useChanges(poll.value, keyBy('name'));
  return html`<${Refresh} interval=${interval} poll=${poll} />
    ${!poll.value && !poll.failure && html`<${Loading} what="the interfaces" />`}
    <div class="interfaces">${(poll.value || []).map((i) => html`<${Card} key=${i.name} of=${i} samples=${rates.current.samples.get(i.name) || []} />`)}</div>
    ${poll.value && html`<${RecordTable} records=${rows} label="Counters of the interfaces" columns=${columns} marks=${marks} />`}`;
}

const number = (n) => (n === null || n === undefined ? 'unknown' : count(Math.round(n)));

function Card({ of: i, samples }) {
  const last = samples[samples.length - 1];
  const shown = (bytes) => (bytes === null || bytes === undefined ? 'not known yet' : rate(bytes * 8));
  const [xs, series] = useMemo(() => [samples.map((s) => s.at), [
    { label: 'In', values: samples.map((s) => s.receive === null ? null : s.receive * 8) },
    { label: 'Out', values: samples.map((s) => s.transmit === null ? null : s.transmit * 8) }]], [samples]);
  return html`<article class="card" aria-label=${clean(i.name)}>
    <div class="row"><h2>${clean(i.name)}</h2> <span class=${`badge ${i.running ? 'good' : ''}`}>${i.up ? (i.running ? 'up' : 'up, no link') : 'down'}</span></div>
    <p class="quiet">${i.addresses.map(clean).join(', ') || 'No address'}</p>
    <dl class="facts"><div><dt>In</dt><dd>${shown(last?.receive)}</dd></div><div><dt>Out</dt><dd>${shown(last?.transmit)}</dd></div>
      ${last && html`<div><dt>Packets a second</dt><dd>${number(last.packetsIn)} in, ${number(last.packetsOut)} out</dd></div>`}</dl>
    ${i.up && samples.length > 1 && html`<${Graph} label=${`Rates of ${i.name}: now ${shown(last.receive)} in and ${shown(last.transmit)} out`} xs=${xs} series=${series} format=${rate} time height=${110} />`}
  </article>`;
}
