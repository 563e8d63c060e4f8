// The audit log: by page, the newest first, with a search that goes back as far as people want.

import { useEffect, useRef, useState } from './vendor/preact.js';
import { aborted, asFailure, run } from './api.js';
import { time } from './values.js';
import { errorAt, Field, html, Problem } from './ui.js';
import { RecordTable } from './records.js';
import { flat } from './values.js';
import { Act } from './managed.js';

const pageRows = 100;
const chunkRows = 1000;

// How many lines one search reads before it asks whether to go on.
const searchRows = 20000;

/** older returns a chunk of lines before a moment, the newest first; seen are the texts of those that have this very moment. */
async function older(filter, before, seen, count, signal) {
  const list = await run('auditlog', { ...filter, ...(before && { to: before }), count: count + seen.size }, { signal });
  return list.reverse().filter((e) => !seen.has(JSON.stringify(e)));
}

const has = (event, word) => flat(event).some(([, v]) => String(v).toLowerCase().includes(word));

/** A Reader reads the log backwards. */
class Reader {
  constructor(filter, word) { Object.assign(this, { filter, word, before: filter.to, seen: new Set(), rest: [], ended: false, reached: '' }); }

  /** page returns the next rows that have the word, and stops after searchRows lines without enough of them. */
  async page(signal) {
    const found = [];
    let read = 0;
    while (found.length < pageRows && read < searchRows) {
      if (!this.rest.length) {
        if (this.ended) break;
        const count = this.word ? chunkRows : pageRows;
        this.rest = await older(this.filter, this.before, this.seen, count, signal);
        this.ended = this.rest.length < count;
        read += this.rest.length;
        this.note(this.rest);
      }
      const e = this.rest.shift();
      if (!e) break;
      this.reached = e.time;
      if (!this.word || has(e, this.word)) found.push(e);
    }
    return found;
  }

  note(list) {
    if (!list.length) return;
    const last = list[list.length - 1].time;
    if (last !== this.before) this.seen = new Set();
    this.before = last;
    list.filter((e) => e.time === last).forEach((e) => this.seen.add(JSON.stringify(e)));
  }

  get more() { return !this.ended || this.rest.length > 0; }
}

const columns = [['time', 'Time'], ['act', 'Act'], ['user', 'User'], ['role', 'Role'], ['token', 'Token'], ['source', 'From'], ['path', 'What'], ['said', 'With'], ['result', 'Result'], ['message', 'Message'], ['seconds', 'Took'], ['session', 'Session']];

const row = (e) => ({ ...e, said: Object.entries(e.arguments || {}).map(([name, v]) => `${name} ${v}`).join(', ') });

/** Audit is the part of #/system about the log. */
export function Audit({ node, nodes, allowed }) {
  const [asked, setAsked] = useState({});
  const [state, setState] = useState({ rows: [], failure: null, busy: true, more: false, reached: '' });
  const reader = useRef(null);
  const control = useRef(null);
  const read = async (fresh) => {
    control.current?.abort();
    const own = new AbortController();
    control.current = own;
    const { word, ...filter } = asked;
    if (fresh) reader.current = new Reader(filter, (word || '').trim().toLowerCase());
    setState((s) => ({ rows: fresh ? [] : s.rows, failure: null, busy: true, more: false, reached: '' }));
    try {
      const found = await reader.current.page(own.signal);
      setState((s) => ({ rows: [...s.rows, ...found], failure: null, busy: false, more: reader.current.more, reached: reader.current.reached }));
    } catch (err) {
      if (!aborted(err)) setState((s) => ({ ...s, failure: asFailure(err), busy: false, more: true }));
    }
  };
  useEffect(() => { read(true); return () => control.current?.abort(); }, [asked]);
  const columnsHere = columns.filter(([name]) => name !== 'token' || state.rows.some((r) => r.token));
  return html`<${Search} node=${node} failure=${state.failure} onSearch=${setAsked} />
    ${allowed('auditverify') && html`<div class="buttons"><${Act} node=${nodes.get('auditverify')} label="Verify the log" view=${Verified} /></div>`}
    <p role="status" class="quiet">${state.busy ? 'Reading the log' : `${state.rows.length} lines${state.reached ? `, back to ${time(state.reached)}` : ''}${state.more ? '' : ', which is all'}`}</p>
    <${RecordTable} records=${state.rows.map(row)} label="Audit log, the newest first" columns=${columnsHere} none=${state.busy ? 'Reading' : 'The log has no such line'} all />
    ${state.more && html`<p><button type="button" onClick=${() => read(false)}>Older</button></p>`}`;
}

const Verified = ({ out, records }) => records.map((r) => html`<p key="said" class=${r.faults?.length ? 'problem' : 'card'}>${r.lines} lines in ${r.files} files. ${r.faults?.length ? 'They were changed:' : 'None was changed or taken out.'}</p>
  ${r.faults?.length > 0 && html`<${RecordTable} records=${r.faults.map((f) => (typeof f === 'string' ? { fault: f } : f))} label="Faults" />`}`);

/** Search narrows the log down by the arguments of the command, and by a word anywhere in a line. */
function Search({ node, failure, onSearch }) {
  const form = useRef(null);
  const act = node.parameters.find((p) => p.name === 'act');
  const submit = (e) => {
    e.preventDefault();
    onSearch(Object.fromEntries([...new FormData(form.current)].filter(([, v]) => v.trim())));
  };
  const field = (name, label, hint) => html`<${Field} label=${label} hint=${hint} error=${errorAt(failure, name)}>${(own) => html`<input ...${own} name=${name} type="text" autocomplete="off" spellcheck=${false} />`}<//>`;
  const elsewhere = failure && !['user', 'path', 'from', 'to'].some((name) => errorAt(failure, name));
  return html`<form class="card" ref=${form} onSubmit=${submit} role="search" aria-label="Audit log">
    <div class="columns">
      ${field('word', 'Any text', 'Anywhere in a line.')}${field('user', 'User')}${field('path', 'Command or file', 'Such as packetcapture, or a file name.')}
      <${Field} label="Act">${(own) => html`<select ...${own} name="act"><option value="">All</option>${act.choices.map((c) => html`<option key=${c} value=${c}>${c}</option>`)}</select>`}<//>
      ${field('from', 'From', 'Such as 2026-03-01 10:15, in UTC.')}${field('to', 'To')}
    </div>
    <${Problem} failure=${elsewhere ? failure : null} />
    <div class="row"><button type="submit" class="primary">Search</button><button type="reset" onClick=${() => onSearch({})}>Show all</button></div>
  </form>`;
}
