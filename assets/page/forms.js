// A form for any command, made from its declaration. The appliance holds the dialogue: after each change the form asks what
// it would ask, and takes choices, present settings and what is no longer asked from the answers.

import { html, useEffect, useRef, useState } from './vendor/preact.js';
import { aborted, asFailure, commandURL, Failure, post } from './api.js';
import { useRemembered } from './state.js';
import { confirm, errorAt, Fold, Loading, notify, Problem } from './ui.js';
import { Argument, secretOf, valueShown, withUnit } from './fields.js';
import { RunOutput, useRunning } from './running.js';
import { cleanLines, quoted } from './values.js';

const asks = { needed: 1, all: 2 };

// More questions than any dialogue has.
const mostQuestions = 60;

async function ask(path, args, mode, signal) {
  const answer = await post(commandURL('ask', path), { arguments: args, mode }, { signal });
  return answer.question;
}

/**
 * walk goes through a command's dialogue with the answers of a form, as far as they lead: a question that has neither
 * answer nor default, a secret and a confirmation end it.
 * @returns {Promise<{questions: Map<string, any>, reached: number, failure: any}>} reached is the index of the argument where it ended
 */
async function walk(node, answers, signal) {
  const params = node.parameters || [];
  const args = Object.fromEntries(params.filter((p) => !p.question && answers[p.name] !== undefined && p.type !== 'confirm').map((p) => [p.name, answers[p.name]]));
  const questions = new Map();
  let reached = 0;
  try {
    while (questions.size < mostQuestions) {
      const q = await ask(node.path, args, asks.all, signal);
      if (!q) return { questions, reached: params.length, failure: null };
      if (q.name in args) break; // its answer was not taken
      questions.set(q.name, q);
      reached = params.findIndex((p) => p.name === q.name);
      const text = withUnit(answers[q.name] ?? q.default ?? '', q.unit);
      if (q.type === 'confirm' || !text && (q.required || q.type === 'list' && q.choices?.length)) break;
      args[q.name] = text;
    }
    return { questions, reached, failure: null };
  } catch (err) {
    if (aborted(err)) throw err;
    return { questions, reached, failure: asFailure(err) };
  }
}

/** dropped reports whether a dialogue has passed an argument without asking for it: it has no part in what is done then. */
const dropped = (node, dialogue, p) => Boolean(p.question) && p.type !== 'confirm' && !dialogue.questions.has(p.name)
  && node.parameters.indexOf(p) < dialogue.reached;

/** lineOf returns a command with its arguments as one line. */
export function lineOf(node, args) {
  const parts = node.path.split(' ');
  for (const p of node.parameters || []) {
    if (args[p.name] === undefined) continue;
    parts.push(p.name, secretOf(p) ? 'SECRET' : quoted(String(args[p.name])));
  }
  return parts.join(' ');
}

const groupTitles = { more: 'More', expert: 'Expert' };

/** groupOf returns where a form shows an argument: "first", or folded in "more" or "expert". */
export const groupOf = (p) => p.group || 'first';

/** useSecrets keeps the elements of secrets. Their texts are in these elements and nowhere else. */
function useSecrets() {
  const elements = useRef(new Map()).current;
  const read = (name, which = 'first') => elements.get(`${name} ${which}`)?.value || '';
  return {
    keep: (name, which, element) => { if (element) elements.set(`${name} ${which}`, element); else elements.delete(`${name} ${which}`); },
    read,
    differ: (name) => elements.has(`${name} again`) && read(name, 'again') !== read(name),
    forget: () => elements.forEach((e) => { e.value = ''; }),
  };
}

/**
 * useDialogue walks through the dialogue anew after each change. leave ends a walk before the command runs, after which the
 * same answers may be refused, and returns a function by which later changes are followed again.
 */
function useDialogue(node, answers, turn) {
  const [dialogue, setDialogue] = useState({ questions: new Map(), reached: 0, failure: null, pending: true });
  const control = useRef(null);
  const left = useRef(false);
  const leave = () => {
    left.current = true;
    control.current?.abort();
    return () => { left.current = false; };
  };
  useEffect(() => {
    if (left.current) return undefined;
    const own = control.current = new AbortController();
    walk(node, answers(), own.signal).then(setDialogue).catch(() => { /* it was left */ });
    return () => own.abort();
  }, [node, turn]);
  return [dialogue, leave];
}

/**
 * CommandForm shows a command's arguments, runs it, and shows what it writes.
 *
 * fixed are arguments that are given and not shown, preset the first values of others, only the names of those to show
 * (all without it). view draws the records. onDone is called with the records after it has run. act names the button.
 */
export function CommandForm({ node, fixed = {}, preset = {}, only, view, onDone, act = 'Run', form: wanted, onRecord }) {
  const [values, setValues] = useState(preset);
  const [turn, setTurn] = useState(0);
  const [failure, setFailure] = useState(null);
  const [wantedForm, setForm] = useRemembered('output', 'records');
  const [converses, setConverses] = useState(false);
  const running = useRunning();
  const secrets = useSecrets();
  const element = useRef(null);
  const params = node.parameters || [];
  useEffect(() => { learnWhetherItConverses(node, setConverses); }, [node]);

  const answers = () => ({ ...values, ...fixed, ...Object.fromEntries(params.filter(secretOf).map((p) => [p.name, secrets.read(p.name)]).filter(([, v]) => v)) });
  const [dialogue, leave] = useDialogue(node, answers, turn);
  // Until the dialogue is there nothing is shown: a control that becomes another one would lose what was typed.
  const shown = dialogue.pending ? [] : params.filter((p) => p.type !== 'confirm' && !(p.name in fixed) && (!only || only.includes(p.name)) && !dropped(node, dialogue, p));
  const args = () => argumentsOf(shown, values, dialogue, secrets, fixed);
  const form = wanted || (view || node.output === 'bytes' ? 'json' : wantedForm === 'screen' ? 'text' : 'json');
  const busy = running.out?.state === 'running';

  const submit = async (e) => {
    e.preventDefault();
    if (busy) return;
    setFailure(null);
    const given = args();
    const wrong = shown.find((p) => secretOf(p) && secrets.differ(p.name));
    if (wrong) { setFailure(new Failure({ kind: 'usage', detail: 'The two texts differ', hint: 'Type the same twice', argument: wrong.name })); return; }
    try {
      if (!await confirmed(node, given)) return;
    } catch (err) {
      setFailure(asFailure(err));
      return;
    }
    const follow = leave();
    const out = await running.begin(shaped(node, given), given, { form, columns: columnsIn(element.current), onRecord });
    if (out.failure && shown.some((p) => errorAt(out.failure, p.name))) { out.failure.shown = true; setFailure(out.failure); }
    follow();
    if (out.state === 'done') secrets.forget();
    // Who waits for the end has no further use for the same answers: what was made is there now.
    if (out.state === 'done' && onDone) onDone(out.records, out);
    else setTurn((n) => n + 1);
  };
  useEffect(() => { if (failure) element.current.querySelector('[aria-invalid="true"]')?.focus(); }, [failure]);
  useEffect(() => { if (!dialogue.pending) [...(element.current.closest('dialog')?.querySelectorAll('form input, form select, form textarea, form [type=submit]') || [])].find((e) => e.checkVisibility?.() ?? e.offsetParent)?.focus(); }, [dialogue.pending]);

  const argument = (p) => html`<${Argument} key=${p.name} path=${node.path} param=${p} question=${dialogue.questions.get(p.name)} value=${values[p.name]} given=${given(params, values, p)} error=${errorAt(failure, p.name)} secret=${secrets.keep}
    set=${(text) => setValues((v) => ({ ...v, [p.name]: text }))} done=${() => setTurn((n) => n + 1)} />`;
  const of = (group) => shown.filter((p) => groupOf(p) === group);
  const general = failure && !shown.some((p) => errorAt(failure, p.name)) ? failure : !failure && elsewhere(dialogue, values) ? dialogue.failure : null;
  return html`<div class="command" ref=${element}>
    <form class="card" onSubmit=${submit} noValidate aria-label=${node.path}>
      <${Problem} failure=${general} />
      ${dialogue.pending && html`<${Loading} what="the form" />`}
      <div class="columns">${of('first').map(argument)}</div>
      ${['more', 'expert'].filter((group) => of(group).length).map((group) => html`<${Fold} key=${group} summary=${groupTitles[group]} open=${(group === 'more' && !of('first').length) || of(group).some((p) => preset[p.name] !== undefined || errorAt(failure, p.name))}>
        <div class="columns">${of(group).map(argument)}</div><//>`)}
      <div class="row">
        <button type="submit" class="primary" disabled=${busy || dialogue.pending}>${act}</button>
        ${!view && !wanted && node.output !== 'bytes' && html`<label class="check"><input type="checkbox" checked=${wantedForm === 'screen'} onChange=${(e) => setForm(e.target.checked ? 'screen' : 'records')} /> Output as on the screen</label>`}
      </div>
      <${OneLine} node=${node} args=${args()} />
    </form>
    <${RunOutput} node=${shaped(node, args())} running=${running} form=${form} converses=${converses} view=${view} />
  </div>`;
}

/** shaped returns a command in the shape that its output has with these arguments. */
const shaped = (node, args) => ((node.parameters || []).some((p) => p.stream && args[p.name]) ? { ...node, output: 'stream' } : node);

// elsewhere reports whether the failure of a dialogue belongs above the form: it blames no argument, or one that was given.
const elsewhere = (dialogue, values) => dialogue.failure && dialogue.failure.kind !== 'usage' && (!dialogue.failure.argument || values[dialogue.failure.argument] !== undefined);

async function learnWhetherItConverses(node, set) {
  set(false);
  if (node.output !== 'stream') return;
  try {
    const { calls } = await post('/v1/parse', { line: node.path, explain: true });
    set(Boolean(calls[0].converses));
  } catch { /* then it has no line of input */ }
}

/** given returns the answers before an argument, which assist wants. */
const given = (params, values, until) => Object.fromEntries(params.slice(0, params.indexOf(until))
  .filter((p) => values[p.name] && !secretOf(p)).map((p) => [p.name, values[p.name]]));

/** argumentsOf returns what is sent: what was touched, and what is required and has a default. */
function argumentsOf(shown, values, dialogue, secrets, fixed) {
  const args = { ...fixed };
  for (const p of shown) {
    const q = dialogue.questions.get(p.name);
    const text = secretOf(p) ? secrets.read(p.name) : values[p.name];
    if (secretOf(p) ? text : text !== undefined && (text !== '' || clearable(p, q))) args[p.name] = text === '' ? emptied(q) : withUnit(text, q?.unit);
    else if (text === undefined && (p.required || q?.required) && valueShown(q)) args[p.name] = valueShown(q);
  }
  return args;
}

/** emptied returns what is said in the place of an empty text, which a line does not take: the word that takes a selection back, where one is offered. */
const emptied = (q) => (q?.suggestions?.some((s) => s.value === 'ALL') ? 'ALL' : '');

/** clearable reports whether an empty text says something: that what is set is taken away. */
const clearable = (p, q) => ['text', 'list', 'lines'].includes(p.type) && !p.choices && Boolean(q?.default);

/** confirmed asks what the dialogue wants confirmed, one after the other, and adds the answers. It throws what the dialogue refuses. */
async function confirmed(node, args) {
  const confirms = (node.parameters || []).filter((p) => p.type === 'confirm');
  for (let i = 0; i < confirms.length; i++) {
    const q = await ask(node.path, args, asks.needed);
    if (!q) return true;
    if (q.type !== 'confirm') {
      throw asked(q);
    }
    const text = cleanLines(q.text);
    const agreed = await confirm({ title: text.split('\n').pop(), text: [...text.split('\n').slice(0, -1), cleanLines(q.help || '')].join('\n').trim(), action: title(node) });
    if (!agreed) return false;
    args[q.name] = 'yes';
  }
  return true;
}

const title = (node) => { const word = node.path.split(' ').pop(); return word.charAt(0).toUpperCase() + word.slice(1); };

/** asked returns the failure that a question without its answer is, as the API says it. */
const asked = (q) => new Failure({ kind: 'usage', detail: 'An answer is needed here', hint: (q.help || '').replace(/\.$/, ''), argument: q.name });

/** columnsIn returns how many characters of a screen are beside each other in an element. */
function columnsIn(element) {
  const probe = document.createElement('span');
  probe.className = 'mono probe';
  probe.textContent = '0'.repeat(50);
  element.append(probe);
  const columns = Math.floor((element.clientWidth - 32) / (probe.getBoundingClientRect().width / 50));
  probe.remove();
  return Math.max(40, Math.min(columns || 80, 400));
}

/** OneLine shows the same command as it would be typed, to copy it. */
function OneLine({ node, args }) {
  const line = lineOf(node, args);
  const copy = async () => {
    try { await navigator.clipboard.writeText(line); notify('The line is copied'); } catch { notify('The browser did not let the page copy', { kind: 'error' }); }
  };
  return html`<p class="one-line"><span class="quiet">As one line: </span><code>${cleanLines(line)}</code> <button type="button" class="small" onClick=${copy}>Copy the line</button></p>`;
}
