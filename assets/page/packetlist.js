// The packets of a capture or file, a page at a time: only what is looked at is fetched.

import { useEffect, useRef, useState } from './vendor/preact.js';
import { aborted, asFailure } from './api.js';
import { packetsPage } from './packetsapi.js';

/** Rows of a page: one answer. */
export const pageRows = 200;

// Looks at a capture that runs which find nothing new, until the next event is waited for.
const enoughLooks = 3;

// Pages that are kept; those that were not looked at for longest go.
const keptPages = 40;

/** PageList holds the pages of one list: of one capture, filter and choice of processes. onChange is called when it knows more. */
class PageList {
  constructor(name, filter, of, onChange) {
    Object.assign(this, { name, filter, of, onChange, pages: new Map(), asked: new Map(), length: 0, total: 0, complete: false, growing: false, firstTime: '', same: 0, remarks: [], failure: null, known: false });
  }

  close() { this.closed = true; this.asked.forEach((one) => one.abort()); }

  row(index) {
    const page = this.pages.get(Math.floor(index / pageRows));
    return (page && page[index % pageRows]) || null;
  }

  /** want fetches the pages of rows, unless they are there. */
  want(from, to) {
    const pages = [];
    for (let n = Math.floor(Math.max(0, from) / pageRows); n <= Math.floor(Math.max(0, to - 1) / pageRows); n++) pages.push(n);
    // What was asked for and has gone out of sight is not waited for.
    this.asked.forEach((one, n) => { if (!pages.includes(n)) { one.abort(); this.asked.delete(n); } });
    pages.forEach((n) => {
      const page = this.pages.get(n);
      const whole = Math.min(pageRows, this.length - n * pageRows);
      if (page) { this.pages.delete(n); this.pages.set(n, page); }
      if ((!page || page.length < whole) && !this.asked.has(n)) this.fetch(n);
    });
  }

  async fetch(n) {
    const own = new AbortController();
    this.asked.set(n, own);
    try {
      const got = await packetsPage(this.name, { first: n * pageRows + 1, count: pageRows, filter: this.filter, of: this.of, signal: own.signal });
      if (this.closed) return;
      this.take(n, got);
    } catch (err) {
      if (aborted(err) || this.closed) return;
      this.failure = asFailure(err);
      this.complete = true;
    } finally {
      if (this.asked.get(n) === own) this.asked.delete(n);
    }
    this.known = true;
    this.onChange();
  }

  take(n, got) {
    this.same = got.total === this.total ? this.same + 1 : 0;
    this.pages.delete(n);
    this.pages.set(n, got.rows);
    while (this.pages.size > keptPages) this.pages.delete(this.pages.keys().next().value);
    this.length = got.matched;
    this.total = got.total;
    this.complete = got.complete;
    this.growing = got.growing;
    this.firstTime = got.firstTime;
    this.remarks = [
      ...(got.leftOut || []).map((l) => `${l.packets} packets are left out, which cannot be filtered so: ${l.reason}.`),
      ...(got.damaged || []).map((d) => `${d.name}: ${d.reason}.`),
    ];
    this.failure = null;
  }

  /** indexOf returns the row of a position: of the first selected packet that is not before it; -1 if there is none. */
  async indexOf(position) {
    const got = await packetsPage(this.name, { at: position, count: 0, filter: this.filter, of: this.of });
    return got.first <= got.matched ? got.first - 1 : -1;
  }

  /** stir says that there is more, or soon will be. */
  stir() { this.same = 0; this.look(); }

  /** look asks whether there is more by now: it fetches the page of the end. */
  look() {
    const n = Math.floor(this.length / pageRows);
    if (!this.asked.has(n)) this.fetch(n);
  }
}

/**
 * usePackets returns the list of a capture's packets: {row, want, look, length, total, complete, failure, known}. While the
 * appliance still reads the file, it looks again by itself.
 */
export function usePackets(name, filter, of, frozen) {
  const [, tick] = useState(0);
  const list = useRef(null);
  const key = JSON.stringify([name, filter, of]);
  if (!list.current || list.current.key !== key) {
    list.current?.close();
    list.current = new PageList(name, filter, of, () => tick((n) => n + 1));
    list.current.key = key;
  }
  const now = list.current;
  useEffect(() => { now.want(0, 1); return () => {}; }, [now]);
  useEffect(() => () => list.current?.close(), []);
  // What is read on is asked for. What grows is told by events; but packets are on the disk a moment after they were
  // counted, so the list looks until it has not grown for some looks.
  const waiting = now.known && !frozen && (now.growing ? now.same < enoughLooks : !now.complete);
  useEffect(() => {
    if (!waiting) return undefined;
    const timer = setInterval(() => now.look(), 700);
    return () => clearInterval(timer);
  }, [waiting, now]);
  return now;
}
