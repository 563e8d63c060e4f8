// Tables that refresh themselves: one interval for a view, requests that never overlap, nothing asked while nobody looks.

import { html, useCallback, useEffect, useMemo, useRef, useState } from './vendor/preact.js';
import { aborted, asFailure, run } from './api.js';
import { serverNow } from './clock.js';
import { moment } from './format.js';
import { useRemembered } from './state.js';
import { Problem } from './ui.js';
import { flat } from './values.js';

/** useVisible reports whether the tab is seen. */
export function useVisible() {
  const [visible, setVisible] = useState(!document.hidden);
  useEffect(() => {
    const look = () => setVisible(!document.hidden);
    document.addEventListener('visibilitychange', look);
    return () => document.removeEventListener('visibilitychange', look);
  }, []);
  return visible;
}

/**
 * usePoll calls ask(options) now and then every so many seconds after its answer, while the tab is seen. Only the first
 * request and those of again() are acts of a person; the others do not keep the session from ending.
 * seconds 0 pauses. deps restarts it.
 * @returns {{value: any, failure: any, at: Date|null, again: () => void}}
 */
export function usePoll(ask, seconds, deps) {
  const [state, setState] = useState({ value: undefined, failure: null, at: null });
  const visible = useVisible();
  const wish = useRef(true); // the next request is a person's
  const [turn, setTurn] = useState(0);
  const fresh = useRef(false);
  useEffect(() => { wish.current = true; fresh.current = false; }, deps);
  useEffect(() => {
    const control = new AbortController();
    let timer = 0;
    const once = async () => {
      const background = !wish.current;
      wish.current = false;
      try {
        const value = await ask({ background, signal: control.signal });
        setState({ value, failure: null, at: new Date(serverNow()) });
      } catch (err) {
        if (aborted(err)) return;
        setState((s) => ({ ...s, failure: asFailure(err) }));
      }
      fresh.current = true;
      if (seconds > 0 && !control.signal.aborted) timer = setTimeout(once, seconds * 1000);
    };
    if (visible && (seconds > 0 || wish.current || !fresh.current)) once();
    return () => { control.abort(); clearTimeout(timer); };
  }, [seconds, visible, turn, ...deps]);
  const again = useCallback(() => { wish.current = true; setTurn((n) => n + 1); }, []);
  return { ...state, again };
}

const choices = [[1, '1 s'], [2, '2 s'], [5, '5 s'], [10, '10 s'], [30, '30 s'], [60, '1 min']];

/** useInterval is the interval of a view: seconds (0 while paused) and the control that sets it. */
export function useInterval(name, initial = 5) {
  const [every, setEvery] = useRemembered(`every.${name}`, initial);
  const [paused, setPaused] = useState(false);
  return { seconds: paused ? 0 : every, every, setEvery, paused, setPaused };
}

/** Refresh is the control of a view's interval, with the time of the last answer. */
export function Refresh({ interval, poll, children }) {
  const { every, setEvery, paused, setPaused } = interval;
  return html`<div class="refresh">
    <label>Refresh every <select value=${every} onChange=${(e) => setEvery(Number(e.target.value))} disabled=${paused}>
      ${choices.map(([n, text]) => html`<option key=${n} value=${n} selected=${n === every}>${text}</option>`)}</select></label>
    <button type="button" aria-pressed=${paused ? 'true' : 'false'} onClick=${() => setPaused(!paused)}>Pause</button>
    <button type="button" onClick=${poll.again}>Refresh now</button>
    <span class="quiet">${poll.at ? `As of ${moment(poll.at.toISOString(), { date: false })}` : 'Loading'}${paused ? ', paused' : ''}</span>
    ${children}
    ${poll.failure && html`<${Problem} failure=${poll.failure} />`}
  </div>`;
}

/**
 * compareRows tells rows of two answers apart by a key: which are new, changed or gone. Rows that are gone stay for one
 * answer more, so that people see them go.
 */
export function compareRows(before, now, keyOf, ignored = []) {
  const marks = new Map();
  if (!before) return { rows: now, marks };
  const old = new Map(before.map((r) => [keyOf(r), r]));
  for (const r of now) {
    const key = keyOf(r);
    const was = old.get(key);
    old.delete(key);
    if (!was) { marks.set(key, { kind: 'new' }); continue; }
    const cells = new Map(flat(was));
    const changed = new Set(flat(r).filter(([name, v]) => !ignored.includes(name) && JSON.stringify(v) !== JSON.stringify(cells.get(name))).map(([name]) => name));
    if (changed.size) marks.set(key, { kind: 'changed', changed });
  }
  for (const key of old.keys()) marks.set(key, { kind: 'gone' });
  return { rows: [...now, ...old.values()], marks };
}

/** keyBy returns a key of a record: the values of some of its members. Rows with the same are told apart by their number. */
export const keyBy = (...names) => (record) => {
  const cells = new Map(flat(record));
  return names.map((n) => String(cells.get(n) ?? '')).join('\u0000');
};

// numbered makes the keys of rows unique: two sockets may have the same ends.
function numbered(rows, keyOf) {
  const seen = new Map();
  const keys = new Map();
  for (const r of rows) {
    const key = keyOf(r);
    const n = seen.get(key) || 0;
    seen.set(key, n + 1);
    keys.set(r, `${key}\u0001${n}`);
  }
  return keys;
}

/**
 * useChanges follows the rows of a live table: it returns the rows to show, those that are gone among them, and their marks
 * as RecordTable takes them.
 */
export function useChanges(rows, keyOf, ignored) {
  const before = useRef(null);
  return useMemo(() => {
    if (!rows) return { rows: [], marks: { of: () => undefined, keyOf } };
    const keys = numbered(rows, keyOf);
    const last = before.current;
    const keyed = (r) => keys.get(r) ?? (last && last.keys.get(r));
    const { rows: shown, marks } = compareRows(last && last.rows, rows, keyed, ignored);
    before.current = { rows, keys };
    return { rows: shown, marks: { of: (r) => marks.get(keyed(r)), keyOf: keyed } };
  }, [rows]);
}

/** useTable polls a command that answers with a table, makes of it what is shown, and marks what has changed. */
export function useTable(path, args, interval, keyOf, ignored, make = (list) => list) {
  const poll = usePoll(async (options) => make(await run(path, args, options)), interval.seconds, [path, JSON.stringify(args)]);
  const { rows, marks } = useChanges(poll.value, keyOf, ignored);
  return { poll, rows, marks };
}
