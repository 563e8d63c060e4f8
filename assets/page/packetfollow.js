// What the two ends of a stream sent each other, in their order. Bytes that are missing are named.

import { useEffect, useRef, useState } from './vendor/preact.js';
import { aborted, asFailure } from './api.js';
import { bytes, counted, useMoment } from './format.js';
import { endOf } from './packetflows.js';
import { streamBytes, streamPage } from './packetsapi.js';
import { address } from './router.js';
import { usePayload, useRemembered } from './state.js';
import { html, Loading, Problem } from './ui.js';

const forms = [['text', 'Text'], ['hex', 'Hexadecimal'], ['raw', 'Raw bytes']];
const sides = [['both', 'Both directions'], ['client', 'Only the client'], ['server', 'Only the server']];

const utf8 = new TextDecoder('utf-8');

/** printable returns bytes as text: what is no text is a dot, as in a dump. */
function printable(data) {
  return utf8.decode(data).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffd]/g, (c) => (c === '\r' ? '' : '·'));
}

const pairs = Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, '0'));

/** dump returns bytes as lines of sixteen: offset, digits, characters. */
function dump(data, offset) {
  const lines = [];
  for (let at = 0; at < data.length; at += 16) {
    const line = Array.from(data.subarray(at, at + 16));
    lines.push(`${(offset + at).toString(16).padStart(6, '0')}  ${line.map((b) => pairs[b]).join(' ').padEnd(47)}  ${line.map((b) => (b >= 32 && b < 127 ? String.fromCharCode(b) : '.')).join('')}`);
  }
  return lines.join('\n');
}

const shownAs = { text: (c) => printable(c.data), hex: (c) => dump(c.data, c.offset), raw: (c) => Array.from(c.data, (b) => pairs[b]).join('') };

/** Follow is the view #/captures/NAME/follow/POSITION. */
export function Follow({ name, parts }) {
  const position = Number(parts[0]);
  const payload = usePayload();
  const [form, setForm] = useRemembered('follow.form', 'text');
  const [side, setSide] = useState('both');
  const [state, setState] = useState({ stream: null, chunks: [], next: '', failure: null, busy: true });
  const own = useRef(null);
  const moment = useMoment();
  const read = async (next) => {
    own.current?.abort();
    own.current = new AbortController();
    setState((s) => ({ ...s, busy: true }));
    try {
      const page = await streamPage(name, position, { after: next, signal: own.current.signal });
      setState((s) => ({ stream: page, chunks: next ? [...s.chunks, ...page.chunks] : page.chunks, next: page.next || '', failure: null, busy: false }));
    } catch (err) {
      if (!aborted(err)) setState((s) => ({ ...s, failure: asFailure(err), busy: false }));
    }
  };
  useEffect(() => { if (payload && Number.isInteger(position)) read(''); return () => own.current?.abort(); }, [name, position, payload]);
  const head = html`<p class="crumbs"><a href="#/captures">Captures</a> / <a href=${address(['captures', name])}>${name}</a> / <a href=${address(['captures', name, 'flows'])}>Conversations</a></p>
    <h1 tabindex="-1">Stream of packet ${parts[0]}</h1>`;
  if (!Number.isInteger(position)) return html`${head}<p>"${parts[0]}" is not the number of a packet.</p>`;
  if (!payload) return html`${head}<p>This account may see the headers of packets only.</p>`;
  const { stream, chunks, failure, busy, next } = state;
  const shown = chunks.filter((c) => side === 'both' || c.from === side);
  const ends = stream ? [endOf(stream.client, stream.clientPort), endOf(stream.server, stream.serverPort)] : ['', ''];
  const save = async () => {
    try {
      const data = await streamBytes(name, position, side);
      const link = document.createElement('a');
      link.href = URL.createObjectURL(data);
      link.download = `${name}-stream-${position}${side === 'both' ? '' : `-${side}`}.bin`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    } catch (err) { setState((s) => ({ ...s, failure: asFailure(err) })); }
  };
  return html`${head}
    <div class="row follow-bar">
      <label class="inline">Show <select value=${side} onChange=${(e) => setSide(e.currentTarget.value)}>${sides.map(([v, text]) => html`<option key=${v} value=${v}>${text}</option>`)}</select></label>
      <label class="inline">As <select value=${form} onChange=${(e) => setForm(e.currentTarget.value)}>${forms.map(([v, text]) => html`<option key=${v} value=${v}>${text}</option>`)}</select></label>
      ${stream && html`<button type="button" onClick=${save}>Download ${side === 'both' ? 'both directions' : `what the ${side} sent`}</button>`}
    </div>
    ${stream && html`<p class="row"><span class="side side-client">Client ${ends[0]}</span> <span class="side side-server">Server ${ends[1]}</span></p>`}
    <${Problem} failure=${failure} />
    <div class="stream scroll" role="region" aria-label="Contents of the stream" tabindex="0">
      ${shown.map((c) => html`<div key=${`${c.from} ${c.offset} ${c.position}`} class=${`chunk side-${c.from}`}>
        <p class="chunk-head"><b>${c.from === 'client' ? 'Client' : 'Server'}</b> <a href=${address(['captures', name, 'packets', c.position])} aria-label=${`Packet ${c.position}`}>packet ${c.position}</a> <span class="quiet">${moment(c.time, { digits: 6, date: false })}, ${bytes(c.length)}</span></p>
        ${c.missing ? html`<p class="gap">${counted(c.length, 'byte')} missing: ${c.reason}</p>` : html`<pre>${shownAs[form](c)}</pre>`}</div>`)}
      ${!busy && shown.length === 0 && html`<p class="quiet">Nothing was sent.</p>`}
    </div>
    ${busy && html`<${Loading} what="the stream" />`}
    ${!busy && next && html`<p><button type="button" onClick=${() => read(next)}>Read on</button></p>`}`;
}
