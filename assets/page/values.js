// How values of records and of arguments are shown: as text, whatever strangers put into them.

import { bytes, moment, zone } from './format.js';

// What could move a cursor, hide text or turn its direction: control and format characters, separators of lines, halves of
// pairs. The menus escape the same (menu.Clean).
const harmful = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029\ufffd]/gu;
const harmfulInLines = /[^\P{Cc}\n\t]|[\p{Cf}\p{Cs}\u2028\u2029]/gu;

function escaped(c) {
  const n = c.codePointAt(0);
  if (n < 0x100) return `\\x${n.toString(16).padStart(2, '0')}`;
  return `\\u${n.toString(16).padStart(4, '0')}`;
}

/** clean returns a text in which nothing is hidden: control characters are shown as \x1b or \u202e. */
export const clean = (text) => String(text).replace(harmful, escaped);

/** cleanLines is clean for a text of several lines. */
export const cleanLines = (text) => String(text).replace(harmfulInLines, escaped);

/** words splits a name such as limits.sizeBytes or packets_sent into words: "Limits size bytes". */
export function words(name) {
  const text = name.replace(/([a-z0-9])([A-Z])/g, '$1 $2').replace(/([A-Z]+)([A-Z][a-z])/g, '$1 $2')
    .replace(/[._-]+/g, ' ').toLowerCase();
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const acronyms = new Map(Object.entries({
  acme: 'ACME', ca: 'CA', pem: 'PEM', id: 'ID', ip: 'IP', tcp: 'TCP', udp: 'UDP', dns: 'DNS', mac: 'MAC', mtu: 'MTU', mx: 'MX', tls: 'TLS', ttl: 'TTL',
  rtt: 'RTT', pid: 'PID', url: 'URL', sha256: 'SHA-256', cpus: 'CPUs', vlan: 'VLAN', edns: 'EDNS', nsid: 'NSID', pids: 'PIDs', helo: 'HELO',
}));

/** title returns a name for people: words, with the abbreviations of the field in capitals. */
export const title = (name) => words(name).split(' ').map((w) => acronyms.get(w.toLowerCase()) || w).join(' ')
  .replace(/^./, (c) => c.toUpperCase());

/** span returns seconds as text: 340 µs, 4 ms, 12 s, 3 min 4 s, 2 h 5 min, 3 d 4 h. */
export function span(seconds) {
  const s = Math.abs(seconds);
  if (s === 0) return '0 s';
  if (s < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (s < 1) return `${(seconds * 1000).toFixed(s < 0.1 ? 2 : 0)} ms`;
  if (s < 60) return `${Number(seconds.toFixed(s < 10 && !Number.isInteger(s) ? 1 : 0))} s`;
  const whole = Math.round(s);
  const pick = (big, bigName, small, smallName) => {
    const rest = Math.floor((whole % big) / small);
    return `${Math.floor(whole / big)} ${bigName}${rest ? ` ${rest} ${smallName}` : ''}`;
  };
  if (whole < 3600) return pick(60, 'min', 1, 's');
  if (whole < 86400) return pick(3600, 'h', 60, 'min');
  return pick(86400, 'd', 3600, 'h');
}

/** time returns a moment (RFC 3339) in the page's zone, and says which one it is. */
export const time = (text) => `${moment(text)}${zone.value === 'utc' ? ' UTC' : ''}`;

const number = new Intl.NumberFormat('en-US', { maximumFractionDigits: 3 });

const isBytes = (name) => /(^|\.)(bytes|bytesPerSecond|bytesLeft|memory|memoryAvailable|captured|used|available|ringBytes)$|Bytes$/.test(name);
const isSeconds = (name) => /(^|\.)(seconds|secondsLeft)$|Seconds$/.test(name);
const isTime = (name) => /(^|\.)(time|first|last)$|Time$/.test(name);

/** plain returns the text of a simple value, for the member of that name. */
export function plain(name, value) {
  if (value === null || value === undefined || value === '') return '';
  switch (typeof value) {
    case 'boolean': return value ? 'yes' : 'no';
    case 'number':
      if (isSeconds(name)) return span(value);
      if (isBytes(name) && value >= 1024) return bytes(value);
      return /port|pid|number|id|vlan|index/i.test(name) ? String(value) : number.format(value);
    case 'string':
      if (isTime(name) && /^\d{4}-\d\d-\d\dT/.test(value)) return value.startsWith('0001-') ? '' : time(value);
      return clean(value);
    default: return clean(JSON.stringify(value));
  }
}

/** exact returns what plain rounded or converted, for a title; empty where plain says all. */
export function exact(name, value) {
  if (typeof value === 'number' && (isBytes(name) || isSeconds(name))) return `${value} ${isBytes(name) ? 'bytes' : 's'}`;
  if (typeof value === 'string' && isTime(name) && /^\d{4}-\d\d-\d\dT/.test(value)) return value;
  return '';
}

/** simple reports whether a value has a text of its own: it is no object and no list of objects. */
export const simple = (value) => value === null || typeof value !== 'object' || Array.isArray(value) && value.every(simple);

/**
 * flat returns the members of a record with those of its objects beside them: limits.sizeBytes. Lists of objects stay.
 * @returns {[string, any][]}
 */
export function flat(record, above = '') {
  return Object.entries(record).flatMap(([name, value]) => {
    const full = above + name;
    return value && typeof value === 'object' && !Array.isArray(value) ? flat(value, `${full}.`) : [[full, value]];
  });
}

/** quoted returns a word as a line has it (menu.Quote). */
export function quoted(word) {
  if (word !== '' && !/[;'"\\\s]/.test(word)) return word;
  if (!word.includes("'")) return `'${word}'`;
  return `"${word.replace(/[\\"]/g, '\\$&')}"`;
}
