// The box for a filter: completion while it is typed, what it means in words, and where it is wrong.

import { useEffect, useId, useRef, useState } from './vendor/preact.js';
import { aborted, asFailure, commandURL, post, run } from './api.js';
import { completed } from './combobox.js';
import { session, Store, useAllowed, useStore } from './state.js';
import { Dialog, Field, html, MenuButton, notify, notifyFailure, Problem, errorAt, useSoon } from './ui.js';

/** The filters that this user keeps on the appliance; null until they are read. */
const saved = new Store(null);

session.follow((who) => { if (!who) saved.set(null); });

const readSaved = () => run('filter list', {}, { background: true }).then((list) => saved.set(list)).catch(() => saved.set([]));

/** Filters that people need often. */
export const presets = [
  { title: 'Web (HTTP, HTTPS)', filter: 'tcp port 80 or tcp port 443' },
  { title: 'Mail (SMTP)', filter: 'tcp port 25 or tcp port 465 or tcp port 587' },
  { title: 'Names (DNS)', filter: 'port 53' },
  { title: 'Addresses (DHCP)', filter: 'udp port 67 or udp port 68' },
  { title: 'Ping and errors (ICMP)', filter: 'icmp or icmp6' },
  { title: 'Neighbours (ARP, ND)', filter: 'arp or (icmp6 and ip6[40] >= 133 and ip6[40] <= 137)' },
  { title: 'Starts of TCP connections', filter: 'tcp[tcpflags] & (tcp-syn) != 0' },
  { title: 'Resets of TCP connections', filter: 'tcp[tcpflags] & (tcp-rst) != 0' },
];

/** faultAt returns the index of the character that a refusal names, -1 if it names none. */
export function faultAt(failure) {
  const found = failure && /at character (\d+)/.exec(failure.message);
  return found ? Number(found[1]) - 1 : -1;
}

/** useExplained returns what a filter means, {meaning, failure}, some time after it was last changed. */
function useExplained(filter) {
  const text = useSoon(filter.trim(), 500);
  const [known, setKnown] = useState({ text: '', meaning: '', failure: null });
  useEffect(() => {
    if (!text) { setKnown({ text, meaning: '', failure: null }); return undefined; }
    const own = new AbortController();
    run('filter explain', { expression: text }, { signal: own.signal })
      .then((e) => setKnown({ text, meaning: e.meaning, failure: null }))
      .catch((err) => { if (!aborted(err)) setKnown({ text, meaning: '', failure: asFailure(err) }); });
    return () => own.abort();
  }, [text]);
  return known.text === filter.trim() ? known : { meaning: '', failure: null };
}

/** Wrong shows a filter with the place of its fault marked. */
function Wrong({ filter, failure, id }) {
  const at = faultAt(failure);
  const end = at < 0 ? at : at + Math.max(1, /^\S*/.exec(filter.slice(at))[0].length);
  return html`<div class="error" id=${id} role="alert">
    ${at >= 0 && html`<code class="marked">${filter.slice(0, at)}<mark>${filter.slice(at, end) || ' '}</mark>${filter.slice(end)}</code>`}
    <p>${failure.message}${failure.hint && html`. ${failure.hint}`}</p></div>`;
}

/**
 * FilterBox is the input of a filter with its label.
 * @param {{label?: string, value: string, onInput: (text: string) => void, onEnter?: () => void, command?: string,
 *   failure?: any, compact?: boolean, hint?: string}} props
 *   command: of which the argument "filter" is completed; failure: the refusal of the request that had this filter
 */
export function FilterBox({ label = 'Filter', value, onInput, onEnter, command = 'packetcapture start', failure, compact, hint }) {
  const id = useId();
  const input = useRef(null);
  const [offers, setOffers] = useState({ start: 0, candidates: [], value: null });
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(-1);
  const asked = useRef(null);
  const explained = useExplained(value);
  const wrong = explained.failure || failure;

  const suggest = (text) => {
    asked.current?.abort();
    const own = new AbortController();
    asked.current = own;
    post(commandURL('assist', command), { arguments: {}, argument: 'filter', text }, { signal: own.signal })
      .then((got) => { setOffers({ ...got, text, candidates: (got.candidates || []).slice(0, 40) }); setAt(-1); setOpen(true); })
      .catch((err) => { if (!aborted(err)) setOpen(false); });
  };
  const typed = (e) => {
    onInput(e.currentTarget.value);
    suggest(e.currentTarget.value.slice(0, e.currentTarget.selectionStart));
  };
  const close = () => { asked.current?.abort(); setOpen(false); setAt(-1); };
  const take = (candidate) => {
    const cursor = input.current.selectionStart;
    const now = completed(offers, candidate, value, cursor);
    if (!now) { suggest(value.slice(0, cursor)); return; }
    const { before, rest } = now;
    const joined = `${before} ${rest.trimStart()}`;
    onInput(joined);
    // The next key may come before the page is drawn.
    input.current.value = joined;
    input.current.setSelectionRange(before.length + 1, before.length + 1);
    input.current.focus();
    suggest(`${before} `);
  };
  const shown = open && offers.candidates.length > 0;
  const key = (e) => {
    if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
      e.preventDefault();
      if (!shown) { suggest(value.slice(0, e.currentTarget.selectionStart)); return; }
      const n = offers.candidates.length;
      setAt(e.key === 'ArrowDown' ? (at + 1) % n : (at <= 0 ? n : at) - 1);
    } else if (e.key === 'Escape' && shown) {
      e.preventDefault();
      e.stopPropagation();
      close();
    } else if (e.key === 'Enter') {
      if (shown && at >= 0) { e.preventDefault(); take(offers.candidates[at]); return; }
      close();
      if (onEnter) { e.preventDefault(); onEnter(); }
    }
  };
  useEffect(() => {
    if (shown && at >= 0) document.getElementById(`${id}-${at}`)?.scrollIntoView({ block: 'nearest' });
  }, [at, shown]);

  return html`<div class=${`field filterbox ${compact ? 'compact' : ''}`}>
    <label for=${id}>${label}</label>
    <div class="filter-line"><div class="filter-input">
      <input id=${id} ref=${input} class="mono" role="combobox" type="text" autocomplete="off" autocapitalize="none" spellcheck=${false}
        aria-autocomplete="list" aria-expanded=${shown ? 'true' : 'false'} aria-controls=${`${id}-list`}
        aria-activedescendant=${shown && at >= 0 ? `${id}-${at}` : undefined} aria-describedby=${`${id}-means`}
        aria-invalid=${wrong ? 'true' : undefined} placeholder="every packet" value=${value}
        onInput=${typed} onKeyDown=${key} onBlur=${close} />
      <ul id=${`${id}-list`} role="listbox" aria-label="What may follow" class="options" hidden=${!shown}>
        ${offers.candidates.map((c, n) => html`<li key=${c.text} id=${`${id}-${n}`} role="option" aria-selected=${n === at ? 'true' : 'false'}
          onPointerDown=${(e) => { e.preventDefault(); take(c); }}><code>${c.text}</code> <span class="hint">${c.help}</span></li>`)}
      </ul></div>
      <${Choices} value=${value} onChoose=${(filter) => { close(); onInput(filter); input.current.focus(); }} />
    </div>
    ${wrong ? html`<${Wrong} filter=${value} failure=${wrong} id=${`${id}-means`} />`
    : html`<p class="hint meaning" id=${`${id}-means`}>${explained.meaning || (value.trim() ? '' : hint)}</p>`}
  </div>`;
}

/** Choices is the menu of presets and of the filters that this user keeps. */
function Choices({ value, onChoose }) {
  const allowed = useAllowed();
  const may = allowed('filter save');
  const own = useStore(saved);
  const [saving, setSaving] = useState(false);
  useEffect(() => { if (may && saved.value === null) readSaved(); }, [may]);
  const forget = async (f) => {
    try { await run('filter delete', { name: f.name }); notify(`The filter ${f.name} is deleted.`); readSaved(); } catch (err) { notifyFailure(err); }
  };
  return html`<${MenuButton} label="Presets" className="presets">
    ${(own || []).map((f) => html`<li key=${`own ${f.name}`} class="own"><button type="button" onClick=${() => onChoose(f.expression)}>${f.name}<code>${f.expression}</code></button>
      <button type="button" class="plain" aria-label=${`Delete the filter ${f.name}`} onClick=${() => forget(f)}>×</button></li>`)}
    ${may && html`<li><button type="button" disabled=${!value.trim()} onClick=${() => setSaving(true)}>Save this filter…</button></li>`}
    ${presets.map((p) => html`<li key=${p.title}><button type="button" onClick=${() => onChoose(p.filter)}>${p.title}<code>${p.filter}</code></button></li>`)}
  <//>
  ${saving && html`<${Save} filter=${value.trim()} onClose=${() => setSaving(false)} />`}`;
}

/** Save asks for the name that a filter is kept by. It has no form of its own: it may stand in one. */
function Save({ filter, onClose }) {
  const [name, setName] = useState('');
  const [failure, setFailure] = useState(null);
  const save = async () => {
    try {
      await run('filter save', { name, expression: filter });
      notify(`The filter is kept as ${name}.`);
      readSaved();
      onClose();
    } catch (err) { setFailure(asFailure(err)); }
  };
  const enter = (e) => { if (e.key === 'Enter') { e.preventDefault(); save(); } };
  return html`<${Dialog} title="Save this filter" onClose=${onClose}>
    <p class="mono">${filter}</p>
    <${Field} label="Name" error=${errorAt(failure, 'name')} hint="One of the same name is replaced">${(own) => html`<input ...${own} value=${name} onInput=${(e) => setName(e.currentTarget.value)} onKeyDown=${enter} autofocus autocomplete="off" />`}<//>
    <${Problem} failure=${failure && !errorAt(failure, 'name') ? failure : null} />
    <div class="buttons"><button type="button" onClick=${onClose}>Cancel</button><button type="button" class="primary" onClick=${save}>Save</button></div>
  <//>`;
}
