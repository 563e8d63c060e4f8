// A command while it runs: its records or its text as they come, interrupt, and lines for those that hear some.

import { html, useEffect, useMemo, useRef, useState } from './vendor/preact.js';
import { aborted, asFailure, commandURL, Failure, interrupt, post, request, stream } from './api.js';
import { serverNow } from './clock.js';
import { bytes, counted } from './format.js';
import { Problem } from './ui.js';
import { Records } from './records.js';
import { cleanLines, span } from './values.js';

// What is kept of an output: records of a stream, characters of text, bytes of packets. What is older than that is counted.
const keptRecords = 2000;
const keptText = 400000;
const keptBytes = 256 << 20;

const drawEvery = 100; // milliseconds

let runsOfThePage = 0;

/**
 * An Output gathers what one run writes.
 *
 * state is "running", "done", "failed" or "interrupted". number tells the runs of the page apart.
 */
class Output {
  constructor(output) {
    Object.assign(this, { output, number: ++runsOfThePage, state: 'running', records: [], forgotten: 0, text: '', cut: false, view: '', next: null, progress: '', failure: null, run: '',
      began: performance.now(), seconds: 0, size: 0, pieces: [], stopped: '', stopping: false });
  }

  record(r) {
    this.records.push(r);
    if (this.output === 'stream' && this.records.length > keptRecords * 1.1) {
      this.forgotten += this.records.length - keptRecords;
      this.records = this.records.slice(-keptRecords);
    }
  }

  add(text) {
    if (this.next !== null) { this.next += text; return; }
    this.text += text;
    if (this.text.length > keptText * 1.1) {
      this.text = this.text.slice(this.text.indexOf('\n', this.text.length - keptText) + 1);
      this.cut = true;
    }
  }

  // A view takes the place of the one before.
  bound(which) {
    if (which === 'begin') this.next = '';
    else { this.view = this.next || ''; this.next = null; }
  }

  end(failure) {
    this.seconds = (performance.now() - this.began) / 1000;
    this.failure = failure;
    this.progress = '';
    this.state = failure ? (failure.kind === 'interrupted' ? 'interrupted' : 'failed') : 'done';
    if (this.state === 'interrupted' && failure.message === 'Interrupted') this.failure = null;
  }
}

/** takeBytes reads the output of a command that writes packets, until its end or until there is no room. */
async function takeBytes(path, args, out, signal, changed) {
  const answer = await request('POST', commandURL('run', path), { body: args, signal });
  out.run = answer.headers.get('Diagsh-Run') || '';
  const reader = answer.body.getReader();
  for (;;) {
    let piece;
    try { piece = await reader.read(); } catch (err) {
      if (out.size && !aborted(err)) return; // what came is whole packets, but for the last
      throw err;
    }
    if (piece.done) return;
    out.pieces.push(piece.value);
    out.size += piece.value.length;
    changed();
    if (out.size > keptBytes) {
      out.stopped = `It was ended at ${bytes(keptBytes)}: a page keeps no more`;
      if (out.run) await interrupt(out.run);
      return;
    }
  }
}

/**
 * useRunning runs one command at a time.
 * @returns {{out: Output|null, begin: (node: any, args: object, options: {form: string, columns?: number, onRecord?: Function}) => Promise<Output>,
 *   stop: () => void, say: (line: string) => Promise<any>, ends: () => Promise<any>, clear: () => void}}
 */
export function useRunning() {
  const [, draw] = useState(0);
  const now = useRef({ out: null, control: null, timer: 0 }).current;
  const redraw = () => draw((n) => n + 1);
  const changed = () => {
    if (!now.timer) now.timer = setTimeout(() => { now.timer = 0; redraw(); }, drawEvery);
  };
  useEffect(() => {
    // A browser may keep a page that was left, for Back, and with it what the page runs.
    const leave = () => now.control?.abort();
    addEventListener('pagehide', leave);
    return () => { removeEventListener('pagehide', leave); leave(); clearTimeout(now.timer); };
  }, []);

  const begin = async (node, args, { form = 'json', columns, onRecord } = {}) => {
    now.control?.abort();
    const out = new Output(node.output);
    const control = new AbortController();
    Object.assign(now, { out, control });
    redraw();
    let failure = null;
    try {
      if (node.output === 'bytes') await takeBytes(node.path, args, out, control.signal, changed);
      else {
        await stream(node.path, args, {
          form, columns, input: 'typed', signal: control.signal,
          onRun: (id) => { out.run = id; changed(); },
          onRecord: (r) => { out.record(r); onRecord?.(r); changed(); },
          onText: (text) => { out.add(text); changed(); },
          onView: (which) => { out.bound(which); changed(); },
          onProgress: (text) => { out.progress = text; changed(); },
        });
      }
    } catch (err) {
      failure = aborted(err) ? new Failure({ kind: 'interrupted', detail: 'Interrupted' }) : asFailure(err);
    }
    out.end(failure);
    if (now.out === out) redraw();
    return out;
  };
  const stop = () => {
    const { out, control } = now;
    if (!out || out.state !== 'running') return;
    out.stopping = true;
    // Interrupted, the command still says what it has to say at its end. Before it has a name only the connection can end it.
    if (out.run) interrupt(out.run).catch(() => control.abort()); else control.abort();
  };
  const input = (said) => post(`/v1/input/${encodeURIComponent(now.out.run)}`, said);
  return {
    out: now.out, begin, stop, say: (line) => input({ line }), ends: () => input({ ends: true }),
    clear: () => { now.control?.abort(); now.out = null; redraw(); },
  };
}

const states = { running: 'Running', done: 'Done', failed: 'Failed', interrupted: 'Interrupted' };

/** RunState says how a run is, for eyes and for screen readers. */
export function RunState({ out }) {
  const n = out.records.length + out.forgotten;
  const parts = [states[out.stopping && out.state === 'done' ? 'interrupted' : out.state]];
  if (out.state !== 'running') parts[0] += ` after ${span(Math.max(out.seconds, 0.001))}`;
  if (n && out.state !== 'running') parts.push(counted(n, 'record'));
  if (out.output === 'bytes') parts.push(bytes(out.size));
  return html`<p class="run-state" role="status">${parts.join(', ')}${out.progress ? `: ${cleanLines(out.progress)}` : ''}</p>`;
}

/** InputLine sends lines to a command that hears them while it runs. */
function InputLine({ running }) {
  const [line, setLine] = useState('');
  const [failure, setFailure] = useState(null);
  const send = async (e) => {
    e.preventDefault();
    setFailure(null);
    setLine('');
    try { await running.say(line); } catch (err) { setFailure(asFailure(err)); }
  };
  return html`<form class="row say" onSubmit=${send}>
    <input type="text" aria-label="Line to send" autocomplete="off" spellcheck=${false} value=${line} onInput=${(e) => setLine(e.target.value)} />
    <button type="submit">Send line</button>
    <button type="button" onClick=${() => running.ends().catch((err) => setFailure(asFailure(err)))}>End of input</button>
    <${Problem} failure=${failure} />
  </form>`;
}

function save(name, pieces, type) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob(pieces, { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

/** fileNameOf returns a name for what a command wrote: ping-20260301-101502.json. */
function fileNameOf(path, end) {
  const at = new Date(serverNow()).toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15);
  return `${path.replaceAll(' ', '-')}-${at}.${end}`;
}

function saveOutput(node, out, form) {
  if (node.output === 'bytes') save(fileNameOf(node.path, isPcapng(out.pieces) ? 'pcapng' : 'pcap'), out.pieces, 'application/vnd.tcpdump.pcap');
  else if (form === 'text') save(fileNameOf(node.path, 'txt'), [out.text + out.view], 'text/plain');
  else save(fileNameOf(node.path, 'json'), [JSON.stringify(node.output === 'object' ? out.records[0] : out.records, null, 1)], 'application/json');
}

const isPcapng = (pieces) => pieces.length > 0 && pieces[0][0] === 0x0a && pieces[0][1] === 0x0d;

/** Screen is text as a terminal shows it; it stays at its end while more comes, unless it is read from its start. */
export function Screen({ text, label, from = 'end' }) {
  const element = useRef(null);
  const follow = useRef(from === 'end');
  useEffect(() => { if (follow.current) element.current.scrollTop = element.current.scrollHeight; }, [text]);
  const scrolled = (e) => { follow.current = e.target.scrollTop + e.target.clientHeight >= e.target.scrollHeight - 24; };
  return html`<pre class="scroll screen" ref=${element} tabindex="0" role="region" aria-label=${label} onScroll=${scrolled}>${text}</pre>`;
}

/**
 * RunOutput shows a run: its state, Interrupt, a line of input where it hears some, and what it has written. view, if given,
 * draws the records instead of a table.
 */
export function RunOutput({ node, running, form, converses, view: View }) {
  const { out } = running;
  const text = useMemo(() => (out ? cleanLines(out.text + out.view) : ''), [out, out?.text, out?.view]);
  // The output grows in place; views are drawn from what is there now.
  const records = useMemo(() => (out ? out.records.slice() : []), [out, out && out.records.length + out.forgotten]);
  if (!out) return null;
  const label = `Output of ${node.path}, run ${out.number}`;
  const runs = out.state === 'running';
  const something = Boolean(out.records.length || out.text || out.view || out.size);
  return html`<section class="output" role="group" aria-label=${`Run of ${node.path}`}>
    <div class="row">
      <${RunState} out=${out} />
      ${runs && html`<button type="button" class="danger" onClick=${running.stop}>Interrupt</button>`}
      ${!runs && something && html`<button type="button" class="small" onClick=${() => saveOutput(node, out, form)}>Save as file</button>`}
    </div>
    ${out.stopped && html`<p class="hint">${out.stopped}.</p>`}
    ${out.failure && !out.failure.shown && html`<${Problem} failure=${out.failure} />`}
    ${form === 'text' && node.output !== 'bytes' && html`${out.cut && html`<p class="hint">What came before is no longer kept here.</p>`}
      ${something ? html`<${Screen} text=${text} label=${label} />` : !runs && !out.failure && html`<p class="quiet">It wrote nothing.</p>`}`}
    ${form !== 'text' && View && html`<${View} out=${out} records=${records} />`}
    ${form !== 'text' && !View && node.output !== 'bytes' && (something || out.state === 'done') && html`
      ${out.forgotten > 0 && html`<p class="hint">${counted(out.forgotten, 'older record')} no longer kept here.</p>`}
      <${Records} records=${records} output=${node.output} label=${label} none=${runs ? 'Nothing yet' : 'Nothing to show'} />`}
    ${runs && converses && html`<${InputLine} running=${running} />`}
  </section>`;
}
