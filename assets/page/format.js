// Numbers, sizes and times as people read them. Sizes have the units of the menus: 1 KB is 1024 bytes.

import { Store, useStore } from './state.js';

const grouped = new Intl.NumberFormat('en');

/** count returns 12345 as "12,345". */
export const count = (n) => (n === undefined || n === null ? 'unknown' : grouped.format(n));

/** counted returns "1 packet" or "2 packets". */
export const counted = (n, what, many = `${what}s`) => `${count(n)} ${n === 1 ? what : many}`;

/** bytes returns a size such as "1.4 MB". */
export function bytes(n) {
  if (n === undefined || n === null) return 'unknown';
  const units = ['bytes', 'KB', 'MB', 'GB', 'TB'];
  let u = 0;
  let v = n;
  while (v >= 1024 && u < units.length - 1) { v /= 1024; u++; }
  if (u === 0) return n === 1 ? '1 byte' : `${n} bytes`;
  return `${v >= 100 || Number.isInteger(v) ? Math.round(v) : v.toFixed(1)} ${units[u]}`;
}

/** rate returns bits per second, such as "1.2 Mbit/s". */
export function rate(bitsPerSecond) {
  const units = ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s'];
  let u = 0;
  let v = bitsPerSecond;
  while (v >= 1000 && u < units.length - 1) { v /= 1000; u++; }
  return `${v >= 100 || u === 0 ? Math.round(v) : v.toFixed(1)} ${units[u]}`;
}

/** duration returns seconds as "2 h 5 min", with at most two units. */
export function duration(seconds) {
  let rest = Math.max(0, Math.round(seconds));
  if (rest === 0) return seconds > 0 ? '< 1 s' : '0 s';
  const parts = [];
  for (const [unit, length] of [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]]) {
    const n = Math.floor(rest / length);
    rest -= n * length;
    if (n > 0) parts.push(`${n} ${unit}`);
  }
  return parts.slice(0, 2).join(' ');
}

/** span returns the time between two moments as text, exact below a minute. */
export function span(first, last) {
  if (!first || !last) return '';
  const seconds = (Date.parse(last) - Date.parse(first)) / 1000;
  return seconds < 60 ? `${seconds.toFixed(seconds < 10 ? 2 : 1)} s` : duration(seconds);
}

/** zone is "utc" or "local": in which zone the page shows times. */
export const zone = new Store(remembered());
function remembered() { try { return localStorage.getItem('diagsh.zone') === 'local' ? 'local' : 'utc'; } catch { return 'utc'; } }
zone.follow((value) => { try { localStorage.setItem('diagsh.zone', value); } catch { /* it is only forgotten */ } });

const two = (n) => String(n).padStart(2, '0');

/** moment returns a time as "2026-03-01 10:15:02" in the page's zone; digits are those of the fraction. */
export function moment(text, { digits = 0, date = true } = {}) {
  if (!text) return '';
  const t = new Date(text);
  if (Number.isNaN(t.getTime())) return String(text);
  const utc = zone.value === 'utc';
  const of = (name) => t[`get${utc ? 'UTC' : ''}${name}`]();
  let clock = `${two(of('Hours'))}:${two(of('Minutes'))}:${two(of('Seconds'))}`;
  // Date has milliseconds, the appliance's times up to nine digits: the fraction is the text's.
  if (digits > 0) clock += `.${((/\.(\d+)/.exec(text) || ['', ''])[1] + '000000000').slice(0, digits)}`;
  return date ? `${of('FullYear')}-${two(of('Month') + 1)}-${two(of('Date'))} ${clock}` : clock;
}

/** useMoment returns moment, and draws the view anew when the zone changes. */
export function useMoment() { useStore(zone); return moment; }

/** nanoseconds returns a time as a BigInt since 1970, exact. */
export function nanoseconds(text) {
  const fraction = ((/\.(\d+)/.exec(text) || ['', ''])[1] + '000000000').slice(0, 9);
  return BigInt(Math.floor(Date.parse(text.replace(/\.\d+/, '')) / 1000)) * 1000000000n + BigInt(fraction);
}

/** seconds returns nanoseconds as "1.234567". */
export function seconds(ns, digits = 6) {
  const negative = ns < 0n;
  const abs = negative ? -ns : ns;
  const fraction = String(abs % 1000000000n).padStart(9, '0').slice(0, digits);
  return `${negative ? '-' : ''}${abs / 1000000000n}.${fraction}`;
}
