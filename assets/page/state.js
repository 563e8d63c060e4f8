// What the whole page knows: small stores, and hooks that read them.

import { useEffect, useState } from './vendor/preact.js';
import { get } from './api.js';

/** A Store is a value that views follow. */
export class Store {
  constructor(value) { this.value = value; this.followers = new Set(); }

  set(value) {
    if (Object.is(value, this.value)) return;
    this.value = value;
    [...this.followers].forEach((f) => f(value));
  }

  follow(f) { this.followers.add(f); return () => this.followers.delete(f); }
}

/** useStore returns a store's value, and draws the view anew when it changes. */
export function useStore(store) {
  const [value, setValue] = useState(store.value);
  useEffect(() => {
    setValue(() => store.value);
    return store.follow((v) => setValue(() => v));
  }, [store]);
  return value;
}

/**
 * session is null before it is known, false when nobody is signed in, else what GET /v1/session answers:
 * {hostname, product, welcome, notice, idleSeconds, caller: {user, role, source, payload}}.
 */
export const session = new Store(null);

/** The appliance's commands by their path, {path, kind, help, details, role, output, members, parameters}; null until they are read. */
export const tree = new Store(null);

let reading = null;

/** readTree reads the tree of commands once. */
export function readTree() {
  reading ||= get('/v1/tree').then((nodes) => {
    tree.set(new Map(nodes.map((node) => [node.path || '', node])));
    return tree.value;
  }).catch((err) => { reading = null; throw err; });
  return reading;
}

/** forget forgets what a person who signed out has seen. */
export function forget() { reading = null; tree.set(null); }

const ranks = { readonly: 1, support: 2, operator: 2, administrator: 3 };

/** mayUse reports whether the caller's role includes what a command requires. It hides what would be refused; the appliance decides. */
export function mayUse(who, required) {
  return Boolean(who) && (ranks[who.caller.role] || 0) >= (ranks[required] || 3);
}

/** useAllowed returns a function that tells whether the caller may use the command at a path. While the tree is unknown nothing is allowed. */
export function useAllowed() {
  const who = useStore(session);
  const nodes = useStore(tree);
  useEffect(() => { readTree().catch(() => {}); }, []);
  return (path) => {
    const node = nodes && nodes.get(path);
    return Boolean(node) && mayUse(who, node.role);
  };
}

/** usePayload reports whether the caller may see more of packets than headers. */
export function usePayload() {
  const who = useStore(session);
  return Boolean(who) && who.caller.payload === true;
}

/** A choice that this browser remembers, such as the format of times. Nothing of the appliance's is kept in the browser. */
export function useRemembered(name, initial) {
  const [value, setValue] = useState(() => {
    try { return JSON.parse(localStorage.getItem(`diagsh.${name}`)) ?? initial; } catch { return initial; }
  });
  const set = (v) => {
    setValue(v);
    try { localStorage.setItem(`diagsh.${name}`, JSON.stringify(v)); } catch { /* it is only forgotten */ }
  };
  return [value, set];
}
