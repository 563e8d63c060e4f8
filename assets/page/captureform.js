// The forms of captures: starting one, and the settings that captures start with. Few fields first, the rest folded.

import { useEffect, useRef, useState } from './vendor/preact.js';
import { aborted, asFailure, run, stream } from './api.js';
import { useInterfaces, useScenarios } from './capturedata.js';
import { RecordRows } from './endrows.js';
import { FilterBox } from './filterbox.js';
import { bytes, counted, duration, rate } from './format.js';
import { address, go } from './router.js';
import { useAllowed } from './state.js';
import { errorAt, Field, Fold, html, Loading, notify, Problem, useLoad } from './ui.js';

/** Start is the view #/capture-start. It begins with the settings. */
export function Start({ query }) {
  return html`<${Prepared} title="Start Capture" command="packetcapture start" action="Start Capture" start filter=${query.get('filter')}
    onDone=${(c) => { notify(c.state === 'Running' ? `Capture ${c.name} has started.` : `Capture ${c.name} is planned.`); go(['captures']); }} />`;
}

/** Settings is the view #/capture-settings. */
export function Settings() {
  return html`<${Prepared} title="Capture Settings" command="packetcapture setup" action="Save Settings"
    onDone=${() => { notify('The settings are saved. They hold for captures that start from now on.'); go(['captures']); }} />`;
}

/** Prepared draws a form when the present settings are known. */
function Prepared(props) {
  const allowed = useAllowed();
  const may = allowed(props.command);
  const present = useLoad((signal) => (may ? run('packetcapture settings', {}, { signal, background: true }) : null), [may]);
  const head = html`<p class="crumbs"><a href="#/captures">Captures</a></p><h1 tabindex="-1">${props.title}</h1>`;
  if (!may) return html`${head}<p>Your role may not do this.</p>`;
  if (present.failure) return html`${head}<${Problem} failure=${present.failure} />`;
  if (!present.value) return html`${head}<${Loading} what="settings" />`;
  return html`${head}<${Form} ...${props} present=${present.value} />`;
}

/** useTraffic returns the rates of each interface, by its name, while the form is open. */
function useTraffic() {
  const [rates, setRates] = useState({});
  useEffect(() => {
    const own = new AbortController();
    const timer = setTimeout(() => stream('netstat traffic', { each: true }, {
      signal: own.signal, background: true,
      onRecord: (r) => setRates((all) => ({ ...all, [r.interface]: r })),
    }).catch((err) => { if (!aborted(err)) setRates({}); }), 300);
    return () => { clearTimeout(timer); own.abort(); };
  }, []);
  return rates;
}

/** Interfaces are check boxes of what to capture on, with the present traffic of each. */
function Interfaces({ chosen, onChange, error }) {
  const list = useInterfaces();
  const rates = useTraffic();
  const all = chosen.includes('ALL');
  const choose = (name, yes) => onChange(yes ? [...chosen.filter((n) => n !== 'ALL'), name] : chosen.filter((n) => n !== name));
  const traffic = (name) => {
    const r = rates[name];
    if (!r) return '';
    const packets = Math.round(r.receive.packets + r.transmit.packets);
    return packets === 0 ? 'idle' : `${counted(packets, 'packet')}/s, in ${rate(r.receive.bytes * 8)}, out ${rate(r.transmit.bytes * 8)}`;
  };
  return html`<fieldset class="interfaces"><legend>Interfaces</legend>
    <label class="check"><input type="checkbox" checked=${all} onChange=${(e) => onChange(e.currentTarget.checked ? ['ALL'] : [])} /> All interfaces, also those that appear later</label>
    ${list.failure && html`<${Problem} failure=${list.failure} />`}
    ${(list.value || []).map((i) => html`<label class="check" key=${i.name}><input type="checkbox" checked=${all || chosen.includes(i.name)} disabled=${all}
      onChange=${(e) => choose(i.name, e.currentTarget.checked)} /> <span><b>${i.name}</b> <span class="quiet">${i.up ? (i.addresses || []).join(', ') : 'down'}</span> <span class="quiet traffic">${traffic(i.name)}</span></span></label>`)}
    ${error && html`<p class="error" role="alert">${error}</p>`}
  </fieldset>`;
}

/** predefined returns the expression for ports, clients and servers. */
function predefined({ ports, clients, servers }) {
  const any = (word, text) => {
    const list = text.split(/[\s,]+/).filter(Boolean).map((v) => `${word} ${v}`);
    return list.length ? `(${list.join(' or ')})` : '';
  };
  return [any('port', ports), any('host', clients), any('host', servers)].filter(Boolean).join(' and ');
}

const kinds = [['none', 'No filter: every packet'], ['predefined', 'Ports and addresses'], ['custom', 'An expression, as tcpdump takes it']];

/** FilterChoice is how the filter is given: none, by ports and addresses, or as an expression. */
function FilterChoice({ filter, onInput, failure }) {
  const [kind, setKind] = useState(filter ? 'custom' : 'none');
  const [parts, setParts] = useState({ ports: '', clients: '', servers: '' });
  const part = (name) => (e) => {
    const next = { ...parts, [name]: e.currentTarget.value };
    setParts(next);
    onInput(predefined(next));
  };
  const choose = (value) => { setKind(value); if (value === 'none') onInput(''); if (value === 'predefined') onInput(predefined(parts)); };
  return html`<fieldset><legend>What to capture</legend>
      ${kinds.map(([value, text]) => html`<label class="check" key=${value}><input type="radio" name="kind" value=${value} checked=${kind === value} onChange=${() => choose(value)} /> ${text}</label>`)}
    </fieldset>
    ${kind === 'predefined' && html`<div class="columns">
      <${Field} label="Ports" hint="Numbers or names, separated by commas">${(own) => html`<input ...${own} value=${parts.ports} onInput=${part('ports')} autocomplete="off" />`}<//>
      <${Field} label="Client addresses">${(own) => html`<input ...${own} value=${parts.clients} onInput=${part('clients')} autocomplete="off" spellcheck=${false} />`}<//>
      <${Field} label="Server addresses">${(own) => html`<input ...${own} value=${parts.servers} onInput=${part('servers')} autocomplete="off" spellcheck=${false} />`}<//></div>`}
    ${kind !== 'none' && html`<${FilterBox} value=${filter} onInput=${onInput} failure=${failure} hint="Such as: host 192.0.2.1 and port 25" />`}`;
}

// The fields of a filter by protocol and ends.
const list = 'One, a range a-b, or several with semicolons';
const ends = [
  { name: 'protocol', label: 'Protocol', help: 'TCP, UDP, ICMP or a number; empty for any' },
  { name: 'localAddress', label: 'Local addresses', help: list },
  { name: 'localPort', label: 'Local ports', help: list },
  { name: 'remoteAddress', label: 'Remote addresses', help: list },
  { name: 'remotePort', label: 'Remote ports', help: list },
];

// The fields that are folded: name of the argument, label, hint, and choices where there are any.
const yesNo = [['yes', 'Yes'], ['no', 'No']];
const files = [
  { name: 'mode', label: 'How files are written', choices: [['single', 'One file'], ['circular', 'The last of it, in ten parts'], ['ring', 'File after file'], ['append', 'Go on in the last file of the capture named']] },
  { name: 'fileBytes', label: 'Next file at this size', hint: 'Such as 100MB; for file after file' },
  { name: 'fileSeconds', label: 'Next file after this time', hint: 'Such as 10m' },
  { name: 'keepFiles', label: 'Files kept', hint: 'The oldest goes; empty keeps all' },
  { name: 'files', label: 'Stop after files', hint: 'A number' },
  { name: 'format', label: 'File format', choices: [['pcap', 'pcap'], ['pcapng', 'pcapng']] },
  { name: 'timePrecision', label: 'Time stamps', choices: [['nanosecond', 'Nanoseconds'], ['microsecond', 'Microseconds']] },
  { name: 'protect', label: 'Never delete the files to make room', choices: yesNo },
];
const packets = [
  { name: 'headersOnly', label: 'Keep headers only', choices: yesNo },
  { name: 'snapLength', label: 'Bytes kept of each packet', hint: '0 keeps all' },
  { name: 'management', label: 'Management sessions', choices: [['no', 'Leave them out'], ['yes', 'Capture them too']] },
  { name: 'direction', label: 'Direction', choices: [['both', 'In and out'], ['in', 'Only what comes in'], ['out', 'Only what goes out']] },
  { name: 'promiscuous', label: 'Packets for other machines', choices: [['yes', 'Capture them too'], ['no', 'Leave them out']] },
];
const about = [
  { name: 'process', label: 'Only of this process', hint: 'Its name, which need not run yet, or its number' },
  { name: 'processes', label: 'Keep which process each packet is of', choices: yesNo },
  { name: 'drops', label: 'Record what the kernel drops', choices: yesNo },
  { name: 'report', label: 'Make a report when it ends', choices: yesNo },
];
const long = [
  { name: 'persistent', label: 'Go on after a restart', choices: yesNo },
  { name: 'onInterfaceGone', label: 'When an interface is removed', choices: [['end', 'End'], ['wait', 'Wait for it']] },
  { name: 'ringBytes', label: 'Memory for waiting packets', hint: 'Such as 64MB; 0 has it chosen' },
  { name: 'rings', label: 'Rings for each interface', hint: '1 to 64' },
  { name: 'cpus', label: 'CPUs', hint: 'Numbers separated by commas; empty for all' },
];
const everyField = [...files, ...packets, ...about, ...long];

/** asText returns a present setting as its field shows it. */
function asText(value) {
  if (value === undefined || value === null) return '';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (Array.isArray(value)) return value.join(',');
  return String(value);
}

const sized = (n) => (n % 1048576 === 0 ? `${n / 1048576}MB` : String(n));
const timed = (n) => duration(n).replaceAll('min', 'm').replaceAll(' ', '');
const limited = (n, text) => (n > 0 ? text(n) : 'unlimited');

/** presentValues returns the values of all fields out of the present settings. */
function presentValues(present) {
  const values = { name: '', start: '', target: '', targetPath: '' };
  everyField.forEach((f) => { values[f.name] = asText(present[f.name]); });
  const { limits = {}, rotation = {} } = present;
  return {
    ...values, filter: present.filter, filters: present.filters?.length ? JSON.stringify(present.filters) : '', interfaces: present.interfaces || [], comment: present.comment, caseNumber: present.caseNumber,
    sizeBytes: limited(limits.sizeBytes, sized), durationSeconds: limited(limits.durationSeconds, timed),
    packets: limited(limits.packets, String), files: limited(limits.files, String),
    fileBytes: rotation.fileBytes ? sized(rotation.fileBytes) : '', fileSeconds: rotation.fileSeconds ? timed(rotation.fileSeconds) : '',
    scenario: present.scenario || noScenario, keepFiles: rotation.keepFiles ? String(rotation.keepFiles) : '', ringBytes: present.ringBytes ? sized(present.ringBytes) : '0',
  };
}

/** What an argument is given whose field was emptied, where the empty text is not taken. */
const emptied = { filter: 'CLEAR', filters: 'CLEAR', process: 'ALL', sizeBytes: 'unlimited', durationSeconds: 'unlimited', packets: 'unlimited', files: 'unlimited', fileBytes: '0', fileSeconds: '0', keepFiles: '0', ringBytes: '0',
  snapLength: '0', rings: '1' };

/** argumentsOf returns what a form sends: what differs from what it began with. */
function argumentsOf(values, began) {
  const args = {};
  for (const [name, value] of Object.entries(values)) {
    const text = Array.isArray(value) ? value.join(',') : value.trim();
    const before = Array.isArray(began[name]) ? began[name].join(',') : began[name];
    if (text === before) continue;
    args[name] = text === '' ? emptied[name] ?? '' : text;
  }
  return args;
}

function Option({ field, value, onInput, failure }) {
  const error = errorAt(failure, field.name);
  return html`<${Field} label=${field.label} hint=${field.hint} error=${error}>${(own) => (field.choices
    ? html`<select ...${own} name=${field.name} value=${value} onChange=${(e) => onInput(e.currentTarget.value)}>
        ${value === '' && html`<option value="">As fits</option>`}
        ${field.choices.map(([v, text]) => html`<option key=${v} value=${v}>${text}</option>`)}</select>`
    : html`<input ...${own} name=${field.name} value=${value} onInput=${(e) => onInput(e.currentTarget.value)} autocomplete="off" spellcheck=${false} />`)}<//>`;
}

// What a capture that begins with no scenario says.
const noScenario = 'NONE';

/** Scenario is the choice of a bundle of options and tables, with what the chosen one has. */
function Scenario({ value, onInput, error }) {
  const known = useScenarios();
  const list = known.value || [];
  const chosen = list.find((s) => s.name === value);
  const hint = chosen ? `${chosen.description}${/[.!?]$/.test(chosen.description) ? '' : '.'} ${chosen.portLog ? 'The port log runs with it. ' : ''}What is changed in this form goes before it.` : 'A bundle of options, and of tables that are read before and after';
  const other = value !== noScenario && !chosen;
  return html`<${Field} label="Scenario" hint=${hint} error=${error}>${(own) => html`<select ...${own} name="scenario" value=${value} onChange=${(e) => onInput(e.currentTarget.value)}>
      <option value=${noScenario}>None</option>
      ${other && html`<option value=${value}>${value}</option>`}
      ${list.map((s) => html`<option key=${s.name} value=${s.name}>${s.name}</option>`)}</select>`}<//>
    <${Problem} failure=${known.failure} />`;
}

/** When is the field of the planned start, with what it is in local time. */
function When({ value, onInput, error }) {
  const parsed = value ? Date.parse(`${value.trim().replace(' ', 'T')}Z`) : NaN;
  const hint = Number.isNaN(parsed) ? 'In UTC, such as 2026-03-01 10:15; empty begins at once' : `Here that is ${new Date(parsed).toLocaleString('en-GB')}`;
  return html`<${Field} label="Begin at (UTC)" hint=${hint} error=${error}>${(own) => html`<input ...${own} name="start" value=${value} onInput=${(e) => onInput(e.currentTarget.value)} autocomplete="off" placeholder="at once" />`}<//>`;
}

function Form({ command, action, start, present, filter, onDone }) {
  const began = useRef(presentValues(present)).current;
  const [values, setValues] = useState({ ...began, filter: filter || began.filter });
  const [failure, setFailure] = useState(null);
  const [busy, setBusy] = useState(false);
  const form = useRef(null);
  // What was refused is no longer said of a field that has changed since.
  const set = (name) => (value) => {
    setValues((all) => ({ ...all, [name]: value }));
    if (errorAt(failure, name)) setFailure(null);
  };
  const submit = async (e) => {
    e.preventDefault();
    setBusy(true);
    setFailure(null);
    try {
      onDone(await run(command, argumentsOf(values, began)));
    } catch (err) {
      setFailure(asFailure(err));
      setBusy(false);
      // A field that is folded is unfolded where its error is.
      requestAnimationFrame(() => form.current?.querySelector('[aria-invalid="true"]')?.focus());
    }
  };
  const at = (name) => errorAt(failure, name);
  const known = ['name', 'start', 'target', 'targetPath', 'filter', 'filters', 'interfaces', 'sizeBytes', 'durationSeconds', 'packets', 'comment', 'caseNumber', 'scenario', ...everyField.map((f) => f.name)];
  const elsewhere = failure && !known.some((name) => at(name)) ? failure : null;
  const text = (name, label, hint) => html`<${Field} label=${label} hint=${hint} error=${at(name)}>${(own) => html`<input ...${own} name=${name} value=${values[name]} onInput=${(e) => set(name)(e.currentTarget.value)} autocomplete="off" spellcheck=${name === 'comment'} />`}<//>`;
  const group = (summary, fields, before) => html`<${Fold} summary=${summary} open=${fields.some((f) => at(f.name)) || (before && at('scenario')) || undefined}><div class="columns">
    ${before}${fields.map((f) => html`<${Option} key=${f.name} field=${f} value=${values[f.name]} onInput=${set(f.name)} failure=${failure} />`)}</div><//>`;
  return html`<form class="card" onSubmit=${submit} ref=${form}>
      ${start && html`<div class="columns">${text('name', 'Name', 'Empty: one is made')}</div>`}
      <${FilterChoice} filter=${values.filter} onInput=${set('filter')} failure=${at('filter') ? failure : null} />
      <${Fold} summary="Protocol, local and remote ends" open=${Boolean(values.filters || at('filters')) || undefined}>
        <p class="hint">Both directions of a conversation match. A packet is captured that one of these filters matches, and the filter above if there is one.</p>
        <${RecordRows} fields=${ends} noun="Filter" text=${values.filters} set=${set('filters')} error=${at('filters')} /><//>
      <${Interfaces} chosen=${values.interfaces} onChange=${set('interfaces')} error=${at('interfaces')} />
      <h2>Stop after</h2>
      <div class="columns">
        ${text('durationSeconds', 'Time', 'Such as 60s, 5m or 4h, or unlimited')}
        ${text('sizeBytes', 'Size', 'Such as 200MB, or unlimited')}
        ${text('packets', 'Packets', 'A number, or unlimited')}
      </div>
      <${Fold} summary=${start ? 'Case, comment and time of the start' : 'Case and comment'} open=${Boolean(at('start') || at('comment') || at('caseNumber')) || undefined}><div class="columns">
        ${text('caseNumber', 'Case number', 'Goes into pcapng files')}${text('comment', 'Comment', 'Goes into pcapng files')}
        ${start && html`<${When} value=${values.start} onInput=${set('start')} error=${at('start')} />`}</div><//>
      ${start && html`<${Fold} summary="Copies to a target" open=${Boolean(at('target') || at('targetPath')) || undefined}><div class="columns">
        ${text('target', 'Target', 'Files are copied there as they close; empty: only to targets that get every capture')}
        ${text('targetPath', 'Place at the target', 'Such as 2026/03/web.cap; empty: the name of the file')}</div><//>`}
      ${group('Files', files)}
      ${group('Which packets, and how much of them', packets)}
      ${group('Processes, drops, scenario and report', about, html`<${Scenario} value=${values.scenario} onInput=${set('scenario')} error=${at('scenario')} />`)}
      ${group('Long captures and fast links', long)}
      <${Problem} failure=${elsewhere} />
      <div class="buttons"><button class="primary" type="submit" disabled=${busy}>${action}</button><a class="button" href=${address(['captures'])}>Cancel</a></div>
    </form>`;
}
