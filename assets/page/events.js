// What happens on the appliance, as it happens: one event stream a tab, closed while nobody sees the tab.

import { useEffect, useRef } from './vendor/preact.js';
import { aborted, request } from './api.js';
import { session, Store } from './state.js';

/** connection is "live", "connecting", or "lost" after the stream broke. */
export const connection = new Store('connecting');

const handlers = new Map();
let running = null;

/** onEvent calls handler(data) for each event of a name, and handler(null) when some may have been missed. It returns the function that ends it. */
export function onEvent(name, handler) {
  if (!handlers.has(name)) handlers.set(name, new Set());
  handlers.get(name).add(handler);
  return () => handlers.get(name).delete(handler);
}

/** useEvent is onEvent for a view. */
export function useEvent(name, handler) {
  const latest = useRef(handler);
  latest.current = handler;
  useEffect(() => onEvent(name, (data) => latest.current(data)), [name]);
}

function tell(name, data) {
  if (name === 'missed') tellAll();
  handlers.get(name)?.forEach((handler) => handler(data));
}

function tellAll() { handlers.forEach((all) => all.forEach((handler) => handler(null))); }

/** parse hands on the events of a text/event-stream that comes in pieces. */
function parser(hand) {
  let rest = '';
  let event = { name: 'message', data: [] };
  return (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (line === '') {
        if (event.data.length) hand(event.name, JSON.parse(event.data.join('\n')));
        event = { name: 'message', data: [] };
      } else if (line.startsWith('event:')) event.name = line.slice(6).trim();
      else if (line.startsWith('data:')) event.data.push(line.slice(5));
    }
  };
}

async function listen(signal) {
  const answer = await request('GET', '/v1/events', { background: true, signal, headers: { Accept: 'text/event-stream' } });
  connection.set('live');
  tellAll();
  const add = parser((name, data) => { if (name === 'missed') tellAll(); else tell(name, data); });
  const decoder = new TextDecoder();
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    add(decoder.decode(value, { stream: true }));
  }
}

async function keepListening(signal) {
  let wait = 1000;
  for (;;) {
    try {
      await listen(signal);
      wait = 1000;
    } catch (err) {
      if (aborted(err) || signal.aborted) return;
      if (err.status === 401) return;
    }
    if (signal.aborted) return;
    connection.set('lost');
    await new Promise((resolve) => { setTimeout(resolve, wait); });
    wait = Math.min(wait * 2, 15000);
  }
}

/** hush ends the stream, until unhush or until something changes whether it is wanted: before the session that it belongs to ends. */
export function hush() {
  running?.abort();
  running = null;
}

function decide() {
  const wanted = Boolean(session.value) && !document.hidden;
  if (wanted && !running) {
    running = new AbortController();
    connection.set('connecting');
    const own = running;
    keepListening(own.signal).finally(() => { if (running === own) running = null; });
  } else if (!wanted && running) {
    running.abort();
    running = null;
  }
}

/** unhush begins the stream again: the session goes on. */
export const unhush = decide;

session.follow(decide);
document.addEventListener('visibilitychange', decide);
