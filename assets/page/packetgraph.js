// The rate of packets over time, for up to five filters.

import { useEffect, useState } from './vendor/preact.js';
import { FilterBox } from './filterbox.js';
import { count, moment, rate, zone } from './format.js';
import { Graph } from './graph.js';
import { PacketHead } from './packethead.js';
import { graph as fetchGraph, graphArguments } from './packetsapi.js';
import { address, go } from './router.js';
import { useRemembered, useStore } from './state.js';
import { Fold, html, Loading, Problem, Table, useLoad } from './ui.js';

const mostFilters = 5;

/** Rates is the view #/captures/NAME/graph. Its filters, and the time that is seen, are in the address. */
export function Rates({ name, query }) {
  const base = query.get('filter') || '';
  const filters = query.getAll('series');
  const shownFilters = filters.length ? filters : [base];
  const from = query.get('from') || '';
  const to = query.get('to') || '';
  const [unit, setUnit] = useRemembered('graph.unit', 'packets');
  const [typed, setTyped] = useState(shownFilters);
  useStore(zone);
  useEffect(() => setTyped(shownFilters), [query.toString()]);
  const loaded = useLoad((signal) => fetchGraph(name, { filters: shownFilters, from, to, signal }), [name, query.toString()]);
  const show = (list, range = { from, to }) => go(['captures', name, 'graph'], { filter: base, series: list, ...range });
  const g = loaded.value;
  const named = (f) => f || 'every packet';
  const times = g ? g.series[0].packets.map((_, n) => Date.parse(g.from) / 1000 + n * g.intervalSeconds) : [];
  const timeOf = (seconds) => new Date(seconds * 1000).toISOString();
  const rows = times.map((at, index) => ({ at, index }));
  const value = unit === 'packets' ? (s) => s.packets.map((n) => n / g.intervalSeconds) : (s) => s.bytes.map((n) => (n * 8) / g.intervalSeconds);
  const format = unit === 'packets' ? (n) => `${count(Math.round(n * 100) / 100)}/s` : rate;
  const change = (n) => (text) => setTyped(typed.map((f, i) => (i === n ? text : f)));
  const wrong = (n) => (loaded.failure && loaded.failure.argument === graphArguments[n] && (typed[n] || '').trim() === (shownFilters[n] || '').trim() ? loaded.failure : null);
  const elsewhere = loaded.failure && !graphArguments.includes(loaded.failure.argument) ? loaded.failure : null;
  return html`<${PacketHead} name=${name} current="graph" filter=${base}>
      <label class="inline">Unit <select value=${unit} onChange=${(e) => setUnit(e.currentTarget.value)}><option value="packets">Packets per second</option><option value="bits">Bits per second</option></select></label><//>
    <section class="card">
      ${typed.map((f, n) => html`<div class="series" key=${n}><${FilterBox} label=${`Line ${n + 1}`} value=${f} onInput=${change(n)} onEnter=${() => show(typed)} command="packetcapture packets" failure=${wrong(n)} compact />
        ${typed.length > 1 && html`<button type="button" aria-label=${`Remove line ${n + 1}`} onClick=${() => show(typed.filter((_, i) => i !== n))}>Remove</button>`}</div>`)}
      <div class="buttons"><button type="button" class="primary" onClick=${() => show(typed)}>Draw</button>
        ${typed.length < mostFilters && html`<button type="button" onClick=${() => setTyped([...typed, ''])}>Add a line</button>`}
        ${(from || to) && html`<button type="button" onClick=${() => show(shownFilters, {})}>Whole time</button>`}</div>
    </section>
    <${Problem} failure=${elsewhere} />
    ${loaded.loading && html`<${Loading} what="the graph; a large file takes some seconds" />`}
    ${g && times.length === 0 && html`<p>There are no packets.</p>`}
    ${times.length > 0 && html`<section class="card"><${Graph} label=${`Rate over time of ${shownFilters.map(named).join(', ')}; the numbers are in the table below`} time height=${300}
        xs=${times} series=${g.series.map((s, n) => ({ label: named(shownFilters[n]), values: value(s) }))} format=${format}
        onRange=${(a, b) => show(shownFilters, { from: timeOf(a), to: timeOf(b) })} />
      <p class="hint">Drag over the graph to see a part of it; or choose it in the table. ${moment(g.from, { digits: 3 })} to ${moment(g.to, { digits: 3, date: false })}.</p>
      <${Fold} summary="The numbers"><${Table} caption=${`Each line is ${g.intervalSeconds} seconds`} rows=${rows} rowKey=${(r) => r.index} columns=${[
    { name: 'time', title: 'Time', header: true, className: 'nowrap', cell: (r) => moment(timeOf(r.at), { digits: 3 }) },
    ...g.series.map((s, n) => ({ name: `s${n}`, title: named(shownFilters[n]), number: true, cell: (r) => `${count(s.packets[r.index])} packets, ${count(s.bytes[r.index])} bytes` })),
    { name: 'zoom', title: html`<span class="unseen">Actions</span>`, cell: (r) => html`<button type="button" class="small" aria-label=${`See the time from ${moment(timeOf(r.at), { digits: 3, date: false })}`} onClick=${() => show(shownFilters, { from: timeOf(r.at), to: timeOf(r.at + g.intervalSeconds) })}>See</button>` },
  ]} /><//></section>`}`;
}
