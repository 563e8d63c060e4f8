// The appliance's API as the page uses it. Everything here is a fetch of /v1: the cookie says who
// asks, and roles and audit are the appliance's.

import { heardDate } from './clock.js';

/** A Failure is an answer that is not the one asked for, as RFC 9457 has it. */
export class Failure extends Error {
  /** @param {{kind?: string, status?: number, exit?: number, argument?: string, detail?: string, hint?: string, errors?: {argument?: string, detail: string}[]}} problem */
  constructor(problem) {
    super(problem.detail || 'The appliance did not answer as expected');
    this.kind = problem.kind || 'failed';
    this.status = problem.status || 0;
    this.exit = problem.exit;
    this.argument = problem.argument || '';
    this.hint = problem.hint || '';
    this.errors = problem.errors || [];
    this.retryAfter = problem.retryAfter || 0;
  }
}

/** asFailure returns any error as a Failure. An abort stays what it is. */
export function asFailure(err) {
  if (err instanceof Failure) return err;
  return new Failure({ kind: 'unreachable', detail: 'The appliance does not answer', hint: 'Check the network, then try again' });
}

/** aborted reports whether err says that the page itself ended a request. */
export const aborted = (err) => err && err.name === 'AbortError';

let whenSignedOut = () => {};

/** onSignedOut names the function that is called when the appliance no longer knows the session. */
export function onSignedOut(f) { whenSignedOut = f; }

let whenActive = () => {};

/** onActivity names the function that is called after each request that is an act of a person. */
export function onActivity(f) { whenActive = f; }

async function failureOf(answer) {
  let body = {};
  try { body = await answer.json(); } catch { /* a proxy's page, or nothing */ }
  const told = body.error || body;
  const failure = new Failure({
    ...told,
    detail: told.detail || told.message || told.title || `The appliance answered ${answer.status}`,
    status: answer.status,
    retryAfter: Number(answer.headers.get('Retry-After')) || 0,
  });
  if (answer.status === 401 && !answer.url.endsWith('/v1/login')) whenSignedOut();
  return failure;
}

/**
 * request sends one request and returns the Response, or throws a Failure.
 *
 * background marks a request that is no act of a person: it does not count as activity.
 * @param {string} method
 * @param {string} path from /v1 on
 * @param {{body?: any, background?: boolean, signal?: AbortSignal, headers?: Record<string, string>}} [options]
 */
export async function request(method, path, { body, background, signal, headers } = {}) {
  const all = { ...headers };
  if (body !== undefined) all['Content-Type'] = 'application/json';
  if (background) all['Diagsh-Background'] = 'true';
  const sent = Date.now();
  let answer;
  try {
    answer = await fetch(path, { method, headers: all, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (err) {
    throw aborted(err) ? err : asFailure(err);
  }
  heardDate(answer.headers.get('Date'), sent, Date.now());
  if (!answer.ok) throw await failureOf(answer);
  if (!background) whenActive();
  return answer;
}

async function json(method, path, options) {
  const answer = await request(method, path, options);
  const text = await answer.text();
  return text ? JSON.parse(text) : null;
}

export const get = (path, options) => json('GET', path, options);
export const post = (path, body, options) => json('POST', path, { ...options, body });
export const remove = (path, options) => json('DELETE', path, options);

/** commandURL returns the URL at which a verb (run, ask, assist, menu, help) takes the command or menu "a b c". */
export const commandURL = (verb, path) => `/v1/${verb}/${path.split(' ').filter(Boolean).map(encodeURIComponent).join('/')}`;

/** run runs the command at path, such as "packetcapture start", and returns its table or object. */
export const run = (path, args = {}, options) => json('POST', commandURL('run', path), { ...options, body: args });

/**
 * stream runs a command and hands on its records as they come. It returns when the command has ended, and throws the
 * Failure that it ended with. Aborting the signal ends the command.
 *
 * It reads frames (docs/api): so the last one has the error also after the first record.
 * @param {string} path
 * @param {object} args
 * @param {{signal?: AbortSignal, background?: boolean, onRecord?: (record: any) => void, onText?: (text: string) => void,
 *   onProgress?: (text: string) => void, onRun?: (id: string) => void, onView?: (bound: 'begin'|'end') => void,
 *   form?: 'json'|'text', input?: 'typed', columns?: number}} options input says that lines will be said to it, columns how
 *   wide text may be; the text between the bounds of a view takes the place of the view before
 */
export async function stream(path, args, { signal, background, onRecord, onText, onProgress, onRun, onView, form = 'json', input, columns } = {}) {
  const query = new URLSearchParams({ form, ...(input && { input }), ...(columns && { columns }) });
  const answer = await request('POST', `${commandURL('run', path)}?${query}`, {
    body: args, signal, background, headers: { Accept: 'application/vnd.diagsh.frames' },
  });
  onRun?.(answer.headers.get('Diagsh-Run') || '');
  const lines = new LineSplitter(onRecord || (() => {}));
  const texts = new TextDecoder();
  let last;
  for await (const { head, bytes } of frames(answer)) {
    if (head.progress) onProgress?.(head.progress);
    if (head.view) onView?.(head.view);
    if (bytes.length && form === 'json') lines.add(bytes);
    if (bytes.length && form === 'text') onText?.(texts.decode(bytes, { stream: true }));
    if (head.exit !== undefined) last = head;
  }
  lines.end();
  if (!last) throw new Failure({ kind: 'unreachable', detail: 'The connection broke before the command had ended' });
  if (last.error) throw new Failure({ ...last.error, detail: last.error.detail || last.error.message });
}

/** interrupt asks a run to end as Ctrl-C does: it still says what it has to say at its end. */
export const interrupt = (id) => post(`/v1/interrupt/${encodeURIComponent(id)}`, {});

/** say sends a line of input to a run that hears lines. */
export const say = (id, line) => post(`/v1/input/${encodeURIComponent(id)}`, { line });

/** frames yields the frames of an answer: a line of JSON, and as many bytes as it says. */
async function* frames(answer) {
  const source = new Bytes(answer.body.getReader());
  for (;;) {
    const line = await source.until(10);
    if (line === null) return;
    const head = JSON.parse(new TextDecoder().decode(line));
    yield { head, bytes: head.bytes ? await source.take(head.bytes) : new Uint8Array(0) };
  }
}

/** Bytes reads a body by lines and by lengths. */
class Bytes {
  constructor(reader) { this.reader = reader; this.rest = new Uint8Array(0); }

  async more() {
    let got;
    try { got = await this.reader.read(); } catch (err) { throw aborted(err) ? err : asFailure(err); }
    if (got.done) return false;
    const joined = new Uint8Array(this.rest.length + got.value.length);
    joined.set(this.rest);
    joined.set(got.value, this.rest.length);
    this.rest = joined;
    return true;
  }

  async until(byte) {
    for (;;) {
      const at = this.rest.indexOf(byte);
      if (at >= 0) return this.cut(at, at + 1);
      if (!await this.more()) return null;
    }
  }

  async take(count) {
    while (this.rest.length < count) {
      if (!await this.more()) throw new Failure({ kind: 'unreachable', detail: 'The connection broke before the command had ended' });
    }
    return this.cut(count, count);
  }

  cut(length, skip) {
    const piece = this.rest.subarray(0, length);
    this.rest = this.rest.subarray(skip);
    return piece;
  }
}

/** LineSplitter hands on each line of JSON of a text that comes in pieces. A table is the lines of its array. */
export class LineSplitter {
  constructor(hand) { this.hand = hand; this.decoder = new TextDecoder(); this.rest = ''; }

  add(bytes) {
    const lines = (this.rest + this.decoder.decode(bytes, { stream: true })).split('\n');
    this.rest = lines.pop();
    lines.forEach((line) => this.line(line));
  }

  end() { this.line(this.rest); this.rest = ''; }

  line(line) {
    const text = line.endsWith(',') ? line.slice(0, -1) : line;
    if (text !== '' && text !== '[' && text !== ']') this.hand(JSON.parse(text));
  }
}

/**
 * lines reads a GET that answers with a line of JSON a record, such as an NDJSON resource.
 * @param {string} path
 * @param {{signal?: AbortSignal, background?: boolean, onRecord: (record: any) => void}} options
 */
export async function lines(path, { signal, background, onRecord }) {
  const answer = await request('GET', path, { signal, background, headers: { Accept: 'application/x-ndjson' } });
  const reader = answer.body.getReader();
  const splitter = new LineSplitter(onRecord);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    splitter.add(value);
  }
  splitter.end();
}

/** download has the browser save what a URL of this appliance answers. */
export function download(path) {
  const link = document.createElement('a');
  link.href = path;
  link.setAttribute('download', '');
  link.hidden = true;
  document.body.append(link);
  link.click();
  link.remove();
}
