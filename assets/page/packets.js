// The packets of a capture or a file: list, fields and bytes.

import { useEffect, useMemo, useRef, useState } from './vendor/preact.js';
import { Bytes, bytesOf, fieldAt, Fields } from './bytespane.js';
import { useCaptures } from './capturedata.js';
import { useEvent } from './events.js';
import { FilterBox } from './filterbox.js';
import { count, moment, nanoseconds, seconds, zone } from './format.js';
import { Grid } from './grid.js';
import { usePackets } from './packetlist.js';
import { packet as fetchPacket } from './packetsapi.js';
import { PacketHead } from './packethead.js';
import { chosen as chosenProcess, keepsProcesses, OfProcess, ofQuery, processName } from './packetowners.js';
import { NoteMark, PacketNote, useNotes } from './packetnotes.js';
import { address, go } from './router.js';
import { usePayload, useRemembered, useStore } from './state.js';
import { asFailure } from './api.js';
import { html, Loading, MenuButton, notify, Problem } from './ui.js';

const everyColumn = [
  { name: 'position', title: 'No.', width: '72px', number: true },
  { name: 'time', title: 'Time', width: '170px' },
  { name: 'source', title: 'Source', width: 'minmax(130px, 1.2fr)' },
  { name: 'destination', title: 'Destination', width: 'minmax(130px, 1.2fr)' },
  { name: 'protocol', title: 'Protocol', width: '84px' },
  { name: 'length', title: 'Length', width: '68px', number: true },
  { name: 'interface', title: 'Interface', width: '90px' },
  { name: 'direction', title: 'Direction', width: '76px' },
  { name: 'sender', title: 'Process of sender', width: 'minmax(128px, 1.2fr)', processes: true },
  { name: 'receiver', title: 'Process of receiver', width: 'minmax(136px, 1.2fr)', processes: true },
  { name: 'info', title: 'Info', width: 'minmax(240px, 4fr)' },
];
const firstColumns = ['position', 'time', 'source', 'destination', 'protocol', 'length', 'sender', 'receiver', 'info'];

const timeForms = [['absolute', 'Time of day'], ['date', 'Date and time'], ['relative', 'Since the first packet'], ['delta', 'Since the packet before']];

const end = (address, port) => (port === undefined ? address : `${address}:${port}`);

/** timeOf returns the time of a packet in the form that is chosen. first and before are the times that it is relative to. */
export function timeOf(form, time, first, before) {
  if (form === 'relative') return first ? seconds(nanoseconds(time) - nanoseconds(first)) : '';
  if (form === 'delta') return before ? seconds(nanoseconds(time) - nanoseconds(before)) : seconds(0n);
  return moment(time, { digits: 6, date: form === 'date' });
}

/** Packets is the view #/captures/NAME/packets and below it. */
export function Packets({ name, parts, query }) {
  const filter = query.get('filter') || '';
  const position = parts[0] ? Number(parts[0]) : 0;
  const of = ofQuery(query);
  const chosenOf = chosenProcess(of);
  const captures = useCaptures();
  const hasProcesses = keepsProcesses(captures.value, name);
  const [typed, setTyped] = useState(filter);
  const [form, setForm] = useRemembered('packets.time', 'absolute');
  const [columns, setColumns] = useRemembered('packets.columns', firstColumns);
  const [follow, setFollow] = useState(false);
  const [frozen, setFrozen] = useState(false);
  const [index, setIndex] = useState(-1);
  useStore(zone);
  const list = usePackets(name, filter, of, frozen);
  const notes = useNotes(name, list.complete);
  useEffect(() => { setTyped(filter); setIndex(-1); }, [filter, name, of.process, of.pid, of.user]);

  // A capture that runs has more packets with each event, and is complete after the last one.
  useEvent('captures', (data) => {
    const mine = data && (data.changed || []).find((c) => c.name === name);
    if (!frozen && list.known && (!data || data.many || (mine && (mine.packetsWritten !== list.total || mine.state !== 'Running')))) list.stir();
  });
  const running = list.growing;
  // What came while the list was frozen is looked up when it is not any more.
  useEffect(() => { if (!frozen && list.known) list.stir(); }, [frozen]);

  const apply = (text) => go(['captures', name, 'packets', ...(position ? [position] : [])], { filter: text.trim(), ...of });
  // The row that a person chose; its packet is shown as soon as the row is there.
  const chosen = useRef(-1);
  const select = (at) => { chosen.current = at; setIndex(at); };
  useEffect(() => {
    const row = chosen.current >= 0 && list.row(chosen.current);
    if (!row) return;
    chosen.current = -1;
    if (row.position !== position) go(['captures', name, 'packets', row.position], { filter, ...of }, { replace: true });
  });
  // An address with a position: its row, or where it would be among those that the filter selects.
  useEffect(() => {
    if (position && index < 0 && list.known) list.indexOf(position).then((at) => { if (at >= 0) setIndex(at); }).catch(() => {});
  }, [position, list, list.known, list.complete]);

  const offered = everyColumn.filter((c) => !c.processes || hasProcesses);
  const shown = offered.filter((c) => columns.includes(c.name));
  const marked = (r) => notes.at(r.position) && html`<${NoteMark} note=${notes.at(r.position)} />`;
  const content = (c, r) => (c.name === 'time' ? timeOf(form, r.time, list.firstTime, r.before) : c.name === 'source' ? end(r.source, r.sourcePort) : c.name === 'destination' ? end(r.destination, r.destinationPort) : c.processes ? processName(r[c.name]) : r[c.name]);
  const cells = shown.map((c, n) => ({ ...c, cell: (r) => (n === 0 ? html`${marked(r)}${content(c, r)}` : content(c, r)) }));
  const row = (at) => {
    const r = list.row(at);
    if (!r) return null;
    const before = at > 0 && list.row(at - 1);
    return before ? { ...r, before: before.time } : r;
  };
  const several = filter || chosenOf ? `${count(list.length)} of ${count(list.total)} packets` : `${count(list.length)} packets`;
  // A list that could not be read has no number of packets, and its packets say no more than it does.
  const broken = list.failure && list.failure.argument !== 'filter' ? list.failure : null;
  const counted = !list.known ? 'Reading the packets…' : `${several}${running ? (frozen ? ', frozen' : ', still being captured') : list.complete ? '' : ', still reading'}`;
  return html`<${PacketHead} name=${name} current="packets" filter=${filter} of=${of} />
    <div class="packet-bar">
      <${FilterBox} label="Show only" value=${typed} onInput=${setTyped} onEnter=${() => apply(typed)} command="packetcapture packets" failure=${list.failure && list.failure.argument === 'filter' && typed.trim() === filter ? list.failure : null} compact hint="Enter applies it" />
      <div class="row">
        <button type="button" class="primary" onClick=${() => apply(typed)}>Apply</button>
        ${filter && html`<button type="button" onClick=${() => apply('')}>Show all</button>`}
        ${running && html`<button type="button" aria-pressed=${String(follow)} onClick=${() => { setFollow(!follow); setFrozen(false); }}>Follow</button>
          <button type="button" aria-pressed=${String(frozen)} onClick=${() => { setFrozen(!frozen); setFollow(false); }}>Freeze</button>`}
        <${GoTo} onGo=${(n) => { setIndex(-1); go(['captures', name, 'packets', n], { filter, ...of }); }} />
        <label class="inline">Time <select value=${form} onChange=${(e) => setForm(e.currentTarget.value)}>${timeForms.map(([v, text]) => html`<option key=${v} value=${v}>${text}</option>`)}</select></label>
        <${MenuButton} label="Columns" className="columns-menu">${offered.map((c) => html`<li key=${c.name}><label class="check" onClick=${(e) => e.stopPropagation()}><input type="checkbox" checked=${columns.includes(c.name)}
          onChange=${(e) => setColumns(e.currentTarget.checked ? [...columns, c.name] : columns.filter((n) => n !== c.name))} /> ${c.title}</label></li>`)}<//>
        <p class="quiet counts" role="status">${broken && !list.length ? '' : counted}</p>
      </div>
      ${(hasProcesses || chosenOf) && html`<${OfProcess} key=${JSON.stringify(of)} of=${of} onChoose=${(one) => go(['captures', name, 'packets', ...(position ? [position] : [])], { filter, ...one })} />`}</div>
    <${Problem} failure=${broken} />
    ${list.remarks.map((text) => html`<p class="hint" key=${text}>${text}</p>`)}
    <div class="packet-panes"><div class="packet-list">
      <${Grid} label="Packets" columns=${cells} length=${list.length} row=${row} selected=${index} onSelect=${select} onOpen=${() => document.querySelector('.fields [tabindex="0"]')?.focus()}
        onWindow=${(from, to) => list.want(from, to)} stick=${follow} onScrolled=${() => setFollow(false)}
        empty=${list.known && !list.failure ? (filter || chosenOf ? 'No packet matches the filter.' : 'There are no packets.') : ''} /></div>
      ${position > 0 && !(broken && !list.length) && html`<${Detail} key=${name} name=${name} position=${position} notes=${notes} filter=${filter} onFilter=${(text) => { setTyped(text); apply(text); }} />`}</div>`;
}

function GoTo({ onGo }) {
  const [value, setValue] = useState('');
  const submit = (e) => {
    e.preventDefault();
    if (/^\d+$/.test(value.trim())) onGo(Number(value));
    else if (value.trim()) notify(`"${value.trim()}" is not the number of a packet`, { kind: 'error', hint: 'It is a whole number, such as 42' });
  };
  return html`<form class="goto" onSubmit=${submit}><label class="inline">Go to <input class="number" inputmode="numeric" size="8" aria-label="Go to packet number" value=${value} onInput=${(e) => setValue(e.currentTarget.value)} /></label></form>`;
}

/** joined returns a filter together with another one. */
export function joined(filter, word, more) {
  if (!filter) return word === 'and not' ? `not (${more})` : more;
  const whole = /\bor\b/.test(filter) ? `(${filter})` : filter;
  return word === 'and not' ? `${whole} and not (${more})` : `${whole} and ${/\bor\b/.test(more) ? `(${more})` : more}`;
}

/** Detail is the chosen packet: fields, and bytes for whoever may see them. */
function Detail({ name, position, notes, filter, onFilter }) {
  const payload = usePayload();
  const [shown, setShown] = useState({ packet: null, failure: null });
  const [chosen, setChosen] = useState({ path: '', item: null });
  const wanted = useRef(0);
  useEffect(() => {
    const own = new AbortController();
    wanted.current = position;
    fetchPacket(name, position, own.signal).then((packet) => { setShown({ packet, failure: null }); setChosen({ path: '', item: null }); })
      .catch((err) => { if (err.name !== 'AbortError') setShown({ packet: null, failure: asFailure(err) }); });
    return () => own.abort();
  }, [name, position]);
  const { packet, failure } = shown;
  const bytes = useMemo(() => (packet && packet.bytes ? bytesOf(packet.bytes) : null), [packet]);
  if (failure) return html`<div class="packet-detail"><${Problem} failure=${failure} /></div>`;
  if (!packet) return html`<div class="packet-detail"><${Loading} what="the packet" /></div>`;
  const { item } = chosen;
  const marked = item && item.offset !== undefined && item.length > 0 ? { offset: item.offset, length: item.length } : null;
  const pick = (at) => { const found = fieldAt(packet.layers, at); setChosen(found || { path: '', item: { offset: at, length: 1 } }); };
  const use = (word) => onFilter(word === 'only' ? item.filter : joined(filter, word, item.filter));
  return html`<section class="packet-detail" aria-label=${`Packet ${packet.position}`}>
    <div class="detail-bar row"><h2>Packet ${packet.position}</h2>
      <span class="quiet">${count(packet.length)} bytes${packet.captured < packet.length ? `, ${count(packet.captured)} captured` : ''}</span>
      ${packet.sender && html`<span>From ${processName(packet.sender)}${packet.sender.user ? `, ${packet.sender.user}` : ''}</span>`}
      ${packet.receiver && html`<span>To ${processName(packet.receiver)}${packet.receiver.user ? `, ${packet.receiver.user}` : ''}</span>`}
      ${payload && !packet.headersOnly && (packet.layers || []).some((l) => l.name === 'TCP' || l.name === 'UDP') && html`<a class="button small" href=${address(['captures', name, 'follow', position])}>Follow stream</a>`}
      ${item && item.filter && html`<span class="row" role="group" aria-label="Use the field as filter"><button type="button" class="small" onClick=${() => use('only')}>Use as filter</button>
        <button type="button" class="small" onClick=${() => use('and')}>And</button><button type="button" class="small" onClick=${() => use('and not')}>And not</button><code>${item.filter}</code></span>`}
    </div>
    ${notes.may && html`<${PacketNote} name=${name} position=${packet.position} note=${notes.at(packet.position)} onChanged=${notes.again} />`}
    <div class="detail-panes"><${Fields} layers=${packet.layers || []} chosen=${chosen.path} onChoose=${(path, one) => setChosen({ path, item: one })} />
      ${payload && bytes && html`<${Bytes} bytes=${bytes} marked=${marked} onByte=${pick} />`}</div>
  </section>`;
}
