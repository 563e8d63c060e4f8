// The command box: the lines of the menus, with the appliance's own completion, in a dialog over the page.

import { useEffect, useRef, useState } from './vendor/preact.js';
import { asFailure, commandURL, get, post } from './api.js';
import { go } from './router.js';
import { readTree, session } from './state.js';
import { Dialog, html, notifyFailure, Problem } from './ui.js';
import { Combobox } from './combobox.js';
import { commandAddress } from './commands.js';
import { RunOutput, Screen, useRunning } from './running.js';
import { clean, cleanLines } from './values.js';

// How many outputs stay in the box.
const keptOutputs = 20;

// Lines of this page, newest last; those of the account's earlier logins come before.
let typed = null;

const history = () => { typed ||= [...(session.value.history || [])]; return typed; };

function remember(line) {
  if (history()[history().length - 1] !== line) history().push(line);
  post('/v1/history', { line }).catch(notifyFailure);
}

/** helpOf returns the path that a line asks the help of, as in the menus: "help ping", "ping ?"; null if it asks for none. */
function helpOf(line) {
  const asked = /^\s*(?:help|\?)(?:\s+([\w\s-]+))?$/.exec(line) || /^\s*([\w\s-]*?)\s*\?\s*$/.exec(line);
  return asked && (asked[1] || '').trim();
}

const complete = (line) => post('/v1/complete', { at: [], line });

/** nodeOf returns the command of a call, in the shape that its output has with these arguments. */
function nodeOf(nodes, call) {
  const path = call.path.join(' ');
  const above = call.path.slice(0, -1).join(' ');
  const word = call.path[call.path.length - 1];
  const node = nodes.get(path) || [...nodes.values()].find((n) => n.aliases?.includes(word) && n.path.split(' ').slice(0, -1).join(' ') === above);
  return { ...(node || { parameters: [] }), path, output: call.bytes ? 'bytes' : call.stream ? 'stream' : node?.output || 'table' };
}

/** Box is the dialog. Enter runs the line, Tab completes, the arrows go through the history, Ctrl-C interrupts. */
export function Box({ onClose }) {
  const [line, setLine] = useState('');
  const [failure, setFailure] = useState(null);
  const [lines, setLines] = useState([]);
  const [back, setBack] = useState(0); // how far in the history, 0: the line that is being typed
  const input = useRef(null);
  const stops = useRef(new Set()).current;
  useEffect(() => { input.current.focus(); }, []);

  const submit = async () => {
    if (!line.trim()) return;
    if (/^\s*(exit|quit)\s*$/.test(line)) { onClose(); return; }
    setFailure(null);
    const show = (what) => {
      setLines((all) => [{ id: all.length ? all[0].id + 1 : 1, ...what }, ...all].slice(0, keptOutputs));
      setLine('');
      setBack(0);
    };
    try {
      const help = helpOf(line);
      if (help !== null) {
        const { text } = await get(commandURL('help', help));
        remember(line);
        show({ line, calls: [], text });
        return;
      }
      const [{ calls }, nodes] = await Promise.all([post('/v1/parse', { at: [], line, abbreviate: true }), readTree()]);
      if (!calls.some((c) => c.secret)) remember(line);
      const place = calls.findIndex((c) => c.menu);
      if (place >= 0 && calls.length === 1) { go(['commands', ...calls[0].path]); onClose(); return; }
      const known = calls.filter((c) => !c.menu).map((call) => ({ call, node: nodeOf(nodes, call) }));
      const shown = calls.some((c) => c.secret) ? 'A line with a secret' : line;
      show({ line: shown, calls: known });
    } catch (err) { setFailure(asFailure(err)); }
  };
  const recall = (by) => {
    const n = Math.min(Math.max(back + by, 0), history().length);
    setBack(n);
    setLine(n ? history()[history().length - n] : '');
  };
  const key = (e, list) => {
    if (e.key === 'Enter' && list.at < 0) { e.preventDefault(); list.close(); submit(); return true; }
    if (e.ctrlKey && e.key === 'c' && input.current.selectionStart === input.current.selectionEnd && stops.size) {
      e.preventDefault();
      stops.forEach((stop) => stop());
      return true;
    }
    if ((e.key === 'ArrowUp' || e.key === 'ArrowDown') && !list.open) {
      e.preventDefault();
      recall(e.key === 'ArrowUp' ? 1 : -1);
      return true;
    }
    if (e.key === 'Tab' && !e.shiftKey && list.at < 0 && (list.open || list.pending)) {
      e.preventDefault();
      list.complete();
      return true;
    }
    return false;
  };
  // A field of one line would make one command of several lines: spaces of their ends.
  const paste = (e) => {
    const pasted = e.clipboardData.getData('text/plain').split(/[\r\n]+/).map((l) => l.trim()).filter(Boolean);
    if (pasted.length < 2) return;
    e.preventDefault();
    const field = input.current;
    field.setRangeText(pasted.join('; '), field.selectionStart, field.selectionEnd, 'end');
    setLine(field.value);
  };
  return html`<${Dialog} title="Command" wide onClose=${onClose}>
    <form onSubmit=${(e) => { e.preventDefault(); submit(); }} class="row box-line">
      <div class="grow"><${Combobox} own=${{ 'aria-describedby': 'box-hint', onPaste: paste }} label="Command line" value=${line} suggest=${complete} goesOn always inputRef=${input} onInput=${setLine} onKey=${key} /></div>
      <button type="submit" class="primary">Run</button>
    </form>
    <p class="hint" id="box-hint">Tab completes, Enter runs, <kbd>;</kbd> stands between commands, the arrows go through earlier lines, Ctrl-C interrupts, Escape closes.</p>
    <${Problem} failure=${failure} />
    <div class="box-out">${lines.map((l) => html`<${Line} key=${l.id} line=${l.line} text=${l.text} calls=${l.calls} stops=${stops} onClose=${onClose} />`)}</div>
  <//>`;
}

/** Line runs the commands of one line, one after the other; those after a failure run too, as in the menus. */
function Line({ line, text, calls, stops, onClose }) {
  const [ended, setEnded] = useState(0);
  return html`<section role="group" aria-label=${clean(line)}>
    <h3 class="mono">${clean(line)}</h3>
    ${text && html`<${Screen} from="start" text=${cleanLines(text)} label=${`Help for ${clean(line)}`} />`}
    ${calls.slice(0, ended + 1).map(({ call, node }, i) => html`<${Call} key=${i} call=${call} node=${node} stops=${stops} onClose=${onClose} onEnd=${() => setEnded(i + 1)} />`)}
  </section>`;
}

function Call({ call, node, stops, onEnd, onClose }) {
  const running = useRunning();
  const element = useRef(null);
  const form = call.json ? 'json' : 'text';
  useEffect(() => {
    stops.add(running.stop);
    const columns = Math.max(40, Math.floor((element.current.clientWidth - 30) / 8));
    running.begin(node, call.arguments || {}, { form, columns }).then(() => { stops.delete(running.stop); onEnd(); });
    return () => stops.delete(running.stop);
  }, []);
  const asks = running.out?.failure && running.out.failure.kind === 'usage' && !call.secret;
  return html`<div ref=${element}><${RunOutput} node=${node} running=${running} form=${form} converses=${call.converses} />
    ${asks && html`<p><a href=${commandAddress(node.path, call.arguments)} onClick=${onClose}>Open it as a form</a></p>`}</div>`;
}
