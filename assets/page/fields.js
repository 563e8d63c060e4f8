// The control for each kind of argument.

import { html, useEffect, useId, useState } from './vendor/preact.js';
import { commandURL, post, run } from './api.js';
import { bytes } from './format.js';
import { Field, useSoon } from './ui.js';
import { Combobox, fromChoices } from './combobox.js';
import { RecordRows, rowsOf } from './endrows.js';
import { cleanLines, clean, span, title } from './values.js';

function bound(type, n) {
  if (type === 'duration' || type === 'time') return span(n);
  return type === 'size' ? bytes(n) : String(n);
}

/** rangeOf returns the bounds of a value, such as "from 1 to 64, or 0", or "". */
export function rangeOf(p) {
  const or = p.zero && !p.unlimited ? ', or 0' : '';
  if (p.min !== undefined && p.max !== undefined) return `from ${bound(p.type, p.min)} to ${bound(p.type, p.max)}${or}`;
  if (p.min !== undefined) return `at least ${bound(p.type, p.min)}${or}`;
  return p.max !== undefined ? `at most ${bound(p.type, p.max)}${or}` : '';
}

const formOf = {
  size: 'a size such as 200MB', duration: 'a time such as 90s, 5m or 2h', list: 'separated by commas', number: 'a whole number',
};

function hintOf(p, q) {
  const unit = q?.unit || p.unit;
  const form = [formOf[p.type], rangeOf(p), unit && `a bare number is ${unit}`].filter(Boolean).join(', ');
  const sentence = (q?.help || p.help || '').replace(/\.?$/, '.');
  return [sentence, form && `${form.charAt(0).toUpperCase()}${form.slice(1)}.`, !q?.default && p.default && `Otherwise ${p.default}.`]
    .filter(Boolean).join(' ');
}

/** choicesOf returns the choices of an argument as {value, label, help}: those of the dialogue's question, else of the declaration. */
export function choicesOf(p, q) {
  return q?.choices?.length ? q.choices : (p.choices || []).map((value) => ({ value }));
}

const shownChoice = (c) => clean(c.label || c.value) + (c.help ? `: ${clean(c.help)}` : '');

/** unset is what the choice is called that leaves an argument as it is. */
const unset = (p) => (p.default ? `as usual (${p.default})` : 'as set');

/**
 * kindOf returns which control an argument gets. A question whose answer may also be another one than its choices gets a
 * text with suggestions.
 */
export function kindOf(p, q) {
  const choices = choicesOf(p, q);
  switch (p.type) {
    case 'list': return choices.length ? 'boxes' : p.question ? 'text' : 'completed';
    case 'yes/no': return 'choice';
    case 'lines': case 'secret': case 'time': case 'secret lines': case 'records': return p.type;
    case 'packets': return choices.length ? 'packets' : 'text';
  }
  if (p.assisted) return 'assisted';
  if (choices.length && !q?.open) return choices.length <= 3 ? 'radio' : 'choice';
  if (choices.length || q?.suggestions?.length) return 'suggested';
  return p.type === 'text' && !p.question ? 'completed' : 'text';
}

/**
 * Argument shows one argument of a command.
 *
 * value is its text; undefined means untouched, and then the question's default is shown. set(text) is called while people
 * type, done() after a change. secret(element, twice) is told of the elements of a secret, whose text is kept nowhere else.
 */
export function Argument({ path, param: p, question: q, value, given, set, done, error, secret }) {
  const label = p.label || title(p.name);
  const told = q?.text && q.text.includes('\n') ? q.text.slice(0, q.text.lastIndexOf('\n')).trim() : '';
  const text = value ?? (q?.default ? withUnit(q.default, q.unit) : '');
  const required = Boolean(p.required || q?.required);
  const all = { path, p, q, label, text, value, set, done, error, required, given, secret };
  return html`<div>${told && html`<pre class="told">${cleanLines(told)}</pre>`}<${controls[kindOf(p, q)]} ...${all} /></div>`;
}

/** secretOf reports whether the text of an argument is a secret. */
export const secretOf = (p) => p.type === 'secret' || p.type === 'secret lines';

/** withUnit adds the unit to a bare number, as a dialogue does with an answer. */
export const withUnit = (text, unit) => (unit && /^\s*[0-9.]+\s*$/.test(text) ? text.trim() + unit : text);

function TextControl({ p, q, label, text, set, done, error, required }) {
  const unlimited = p.unlimited && text === 'unlimited';
  return html`<${Field} label=${label} hint=${hintOf(p, q)} error=${error} required=${required}>${(own) => html`<div class="beside">
    <input ...${own} type="text" autocomplete="off" spellcheck=${false} inputmode=${p.type === 'number' ? 'numeric' : undefined} required=${false}
      aria-required=${required ? 'true' : undefined} disabled=${unlimited} value=${unlimited ? '' : text}
      onInput=${(e) => set(e.target.value)} onChange=${() => done()} />
    ${p.unlimited && html`<label class="check"><input type="checkbox" checked=${unlimited} onChange=${(e) => { set(e.target.checked ? 'unlimited' : ''); done(); }} /> Unlimited</label>`}
  </div>`}<//>`;
}

function Choice({ p, q, label, value, text, set, done, error, required }) {
  const yesNo = p.type === 'yes/no' && !choicesOf(p, q).length;
  const choices = yesNo ? [{ value: 'yes' }, { value: 'no' }] : choicesOf(p, q);
  const shown = yesNo && value === undefined && q?.default ? (/^y/i.test(q.default) ? 'yes' : 'no') : text;
  return html`<${Field} label=${label} hint=${hintOf(p, q)} error=${error} required=${required}>${(own) => html`
    <select ...${own} value=${shown} onChange=${(e) => { set(e.target.value); done(); }}>
      ${(!required || !shown) && html`<option value="" selected=${shown === ''}>${required ? 'Choose' : unset(p)}</option>`}
      ${choices.map((c) => html`<option key=${c.value} value=${c.value} selected=${c.value === shown}>${shownChoice(c)}</option>`)}
    </select>`}<//>`;
}

/** Group is a field of several controls: a fieldset with its hint and error. */
function Group({ label, hint, error, required, children }) {
  const id = useId();
  return html`<fieldset class="field group" aria-describedby=${`${id}-hint${error ? ` ${id}-error` : ''}`}>
    <legend>${label}${required && html`<span class="required"> (required)</span>`}</legend>
    <div class="choices">${children}</div>
    <p class="hint" id=${`${id}-hint`}>${hint}</p>
    ${error && html`<p class="error" id=${`${id}-error`} role="alert">${error}</p>`}
  </fieldset>`;
}

function Radio({ p, q, label, text, set, done, error, required }) {
  const name = useId();
  const choices = [...(required ? [] : [{ value: '', label: unset(p) }]), ...choicesOf(p, q)];
  return html`<${Group} label=${label} hint=${hintOf(p, q)} error=${error} required=${required}>
    ${choices.map((c) => html`<label key=${c.value} class="check"><input type="radio" name=${name} value=${c.value} checked=${c.value === text}
      onChange=${() => { set(c.value); done(); }} /> ${shownChoice(c)}</label>`)}
  <//>`;
}

const alone = (v) => v === 'ALL' || v === 'NONE';

function Boxes({ p, q, label, text, set, done, error, required }) {
  const choices = choicesOf(p, q);
  const chosen = text.split(',').map((v) => v.trim()).filter(Boolean);
  const known = (v) => choices.some((c) => c.value === v);
  const others = chosen.filter((v) => !known(v));
  const choose = (v, on) => {
    const rest = chosen.filter((w) => w !== v && !(on && (alone(v) || alone(w))));
    set((on ? [...rest, v] : rest).join(','));
    done();
  };
  return html`<${Group} label=${label} hint=${hintOf(p, q)} error=${error} required=${required}>
    ${choices.map((c) => html`<label key=${c.value} class="check"><input type="checkbox" value=${c.value} checked=${chosen.includes(c.value)}
      onChange=${(e) => choose(c.value, e.target.checked)} /> ${shownChoice(c)}</label>`)}
    ${q?.open && html`<label class="check">Others, separated by commas <input type="text" autocomplete="off" value=${others.join(',')}
      onInput=${(e) => set([...chosen.filter(known), e.target.value].filter(Boolean).join(','))} onChange=${() => done()} /></label>`}
  <//>`;
}

function Suggested({ p, q, label, text, set, done, error, required }) {
  const all = [...choicesOf(p, q), ...(q?.suggestions || [])];
  return html`<${Field} label=${label} hint=${hintOf(p, q)} error=${error} required=${required}>${(own) => html`
    <${Combobox} own=${{ ...own, 'aria-required': required ? 'true' : undefined }} value=${text} suggest=${fromChoices(all)} onInput=${set} onChange=${() => done()} />`}<//>`;
}

/** Completed is a text that no dialogue asks for: what may stand there is what Tab offers in the menus. */
function Completed({ path, p, q, label, text, set, done, error, required }) {
  const line = `${path} ${p.name} `;
  const suggest = async (typed) => {
    if (/[\s'"\\;]/.test(typed)) return null;
    const { start, candidates } = await post('/v1/complete', { at: [], line: line + typed });
    return { start: Math.max(0, start - line.length), candidates };
  };
  return html`<${Field} label=${label} hint=${hintOf(p, q)} error=${error} required=${required}>${(own) => html`
    <${Combobox} own=${own} value=${text} suggest=${suggest} onInput=${set} onChange=${() => done()} />`}<//>`;
}

/** Assisted is a text with a language of its own, such as a filter: completed by the appliance, and explained below when people pause. */
function Assisted({ path, p, q, label, text, set, done, error, required, given }) {
  const suggest = (typed) => post(commandURL('assist', path), { arguments: given, argument: p.name, text: typed });
  return html`<${Field} label=${label} hint=${hintOf(p, q)} error=${error} required=${required}>${(own) => html`
    <${Combobox} own=${own} value=${text} suggest=${suggest} goesOn onInput=${set} onChange=${() => done()} />
    <${Explained} filter=${text} />`}<//>`;
}

/** Explained says in words what a filter takes, or where it is wrong. */
export function Explained({ filter }) {
  const soon = useSoon(filter, 400);
  const [said, setSaid] = useState(null);
  useEffect(() => {
    setSaid(null);
    if (!soon.trim() || soon === 'CLEAR') return undefined;
    const control = new AbortController();
    run('filter explain', { expression: soon }, { signal: control.signal })
      .then((r) => setSaid({ text: r.meaning }))
      .catch((e) => { if (!control.signal.aborted) setSaid({ text: [e.message, e.hint].filter(Boolean).join('. '), wrong: true }); });
    return () => control.abort();
  }, [soon]);
  return html`<p class=${`explained ${said?.wrong ? 'wrong' : ''}`} aria-live="polite">${said ? cleanLines(said.text) : ''}</p>`;
}

const dated = /^\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d:\d\d)?$/;

/** momentOf returns the moment that a typed time means, in UTC if it names no zone; null if it is none. */
export function momentOf(text) {
  const typed = text.trim();
  if (!dated.test(typed)) return null;
  const whole = typed.length === 10 ? `${typed}T00:00Z` : typed.replace(' ', 'T') + (/(Z|[+-]\d\d:\d\d)$/.test(typed) ? '' : 'Z');
  const at = new Date(whole);
  return Number.isNaN(at.getTime()) ? null : at;
}

function TimeControl({ p, q, label, text, set, done, error, required }) {
  const at = momentOf(text);
  const form = `Such as 2026-03-01 10:15 in UTC${p.after ? ', or a time from now such as 12h or 7d' : ''}.`;
  return html`<${Field} label=${label} hint=${`${hintOf(p, q)} ${form}`} error=${error} required=${required}>${(own) => html`<div class="beside">
    <input ...${own} type="text" autocomplete="off" spellcheck=${false} value=${text} onInput=${(e) => set(e.target.value)} onChange=${() => done()} />
    ${p.unlimited && html`<label class="check"><input type="checkbox" checked=${text === 'unlimited'} onChange=${(e) => { set(e.target.checked ? 'unlimited' : ''); done(); }} /> Unlimited</label>`}
    <span class="quiet" aria-live="polite">${at ? `Here: ${at.toLocaleString('en-GB')}` : ''}</span>
  </div>`}<//>`;
}

/** Secret keeps its text in the input alone: the form reads it when it sends, and empties it. */
function Secret({ p, q, label, done, error, required, secret }) {
  const old = /old|current/.test(p.name);
  const one = (text, hint, which, own) => html`<input ...${own} key=${which} ref=${(e) => secret(p.name, which, e)} type="password"
    autocomplete=${old ? 'current-password' : 'new-password'} onChange=${() => done()} />`;
  return html`<${Field} label=${label} hint=${hintOf(p, q)} error=${error} required=${required}>${(own) => one(label, '', 'first', own)}<//>
    ${q?.twice && html`<${Field} label=${`${label}, once more`}>${(own) => one(label, '', 'again', own)}<//>`}`;
}

/** SecretLines is Secret for a text of several lines, such as a private key. */
function SecretLines({ p, q, label, done, error, required, secret }) {
  return html`<${Field} label=${label} hint=${hintOf(p, q)} error=${error} required=${required}>${(own) => html`
    <textarea ...${own} class="masked" rows="8" spellcheck=${false} autocomplete="off" ref=${(e) => secret(p.name, 'first', e)} onChange=${() => done()}></textarea>`}<//>`;
}

function Lines({ p, q, label, text, set, done, error, required }) {
  return html`<${Field} label=${label} hint=${hintOf(p, q)} error=${error} required=${required}>${(own) => html`
    <textarea ...${own} rows="8" spellcheck=${false} value=${text} onInput=${(e) => set(e.target.value)} onChange=${() => done()}></textarea>`}<//>`;
}

/** PacketsControl chooses one of the captures and files. */
function PacketsControl({ p, q, label, text, set, done, error, required }) {
  const captures = choicesOf(p, q);
  const files = (q?.suggestions || []).filter((s) => !captures.some((c) => c.value === s.value));
  const option = (c) => html`<option key=${c.value} value=${c.value} selected=${c.value === text}>${clean(c.label || c.value)}</option>`;
  const other = text && ![...captures, ...files].some((c) => c.value === text);
  return html`<${Field} label=${label} hint=${hintOf(p, q)} error=${error} required=${required}>${(own) => html`
    <select ...${own} value=${text} onChange=${(e) => { set(e.target.value); done(); }}>
      ${!text && html`<option value="" selected>Choose</option>`}
      ${other && option({ value: text })}
      ${captures.length > 0 && html`<optgroup label="Captures">${captures.map(option)}</optgroup>`}
      ${files.length > 0 && html`<optgroup label="Files">${files.map(option)}</optgroup>`}
    </select>`}<//>`;
}

/** RecordsControl shows records by their fields. A text that is no JSON of them, as a line has it, stays a text. */
function RecordsControl({ p, q, label, text, set, done, error, required, ...rest }) {
  if (!rowsOf(text)) return html`<${TextControl} ...${{ p, q, label, text, set, done, error, required, ...rest }} />`;
  return html`<${Group} label=${label} hint=${hintOf(p, q)} required=${required}>
    <${RecordRows} fields=${p.fields} noun="Filter" text=${text} set=${set} done=${done} error=${error} /><//>`;
}

const controls = {
  text: TextControl, choice: Choice, radio: Radio, boxes: Boxes, suggested: Suggested, completed: Completed, assisted: Assisted, time: TimeControl,
  secret: Secret, 'secret lines': SecretLines, lines: Lines, packets: PacketsControl, records: RecordsControl,
};

/** valueShown returns what a person sees of an argument that was not touched: the default of its question. */
export const valueShown = (q) => (q?.default ? withUnit(q.default, q.unit) : '');

