// The stored files: choose some, download or delete them.

import { useState } from './vendor/preact.js';
import { download, remove, request } from './api.js';
import { bytes, count, counted, span, useMoment } from './format.js';
import { address } from './router.js';
import { useAllowed, usePayload } from './state.js';
import { confirm, html, Loading, MenuButton, notify, notifyFailure, Problem, Table } from './ui.js';

/** described returns the files with what the captures know of them, the newest first. */
function described(files, captures) {
  const known = new Map();
  captures.forEach((c) => {
    (c.filesBeside || []).forEach((f) => known.set(f.name, { capture: c }));
    (c.files || []).forEach((f) => known.set(f.name, { capture: c, file: f }));
  });
  return files.map((f) => ({ ...f, ...(known.get(f.name) || {}) }))
    .sort((a, b) => (a.modifiedTime < b.modifiedTime ? 1 : -1));
}

const isCapture = (name) => /\.pcap(ng)?$/.test(name);

/** fileAddress returns where a file is downloaded, in the form asked for, such as {format: 'pcapng'}. */
const fileAddress = (name, form = {}) => `/v1/files/${encodeURIComponent(name)}${query(form)}`;

const query = (form) => (Object.keys(form).length ? `?${new URLSearchParams(form)}` : '');

/** archiveAddress returns where a zip of files is downloaded. */
const archiveAddress = (names) => `/v1/archive?${names.map((n) => `name=${encodeURIComponent(n)}`).join('&')}`;

/**
 * allowed throws why an address has no file, such as packets in a format that has no place for them: a browser would save
 * the refusal. The answer to HEAD has no word of it.
 */
async function allowed(address) {
  try { await request('HEAD', address); } catch {
    const own = new AbortController();
    await request('GET', address, { signal: own.signal });
    own.abort(); // it can be had after all
  }
}

/** Downloads is the menu of the forms in which files are downloaded. A file has the capture that it is of, if there is one. */
export function Downloads({ files }) {
  const names = files.map((f) => f.name);
  const get = async (addresses) => {
    for (const one of addresses) {
      try { await allowed(one); download(one); } catch (err) { notifyFailure(err); return; }
    }
  };
  const each = (form) => get(names.map((name) => fileAddress(name, form)));
  const captures = files.every((f) => isCapture(f.name));
  const processes = files.every((f) => f.file && f.capture.processes);
  return html`<${MenuButton} label="Download File">
    <li><button type="button" onClick=${() => each({})}>As stored</button></li>
    ${captures && html`<li><button type="button" onClick=${() => each({ format: 'pcap' })}>As pcap</button></li>
      <li><button type="button" onClick=${() => each({ format: 'pcapng' })}>As pcapng, with notes, processes and drops</button></li>`}
    ${captures && processes && html`<li><button type="button" onClick=${() => each({ format: 'pcapng', appleblocks: 'yes' })}>As pcapng, processes in Apple's blocks too</button></li>`}
    <li><button type="button" onClick=${() => get([archiveAddress(names)])}>As one zip, with a list of contents</button></li>
  <//>`;
}

/** Files is the list of stored files. captures tells of which capture each is. */
export function Files({ files, captures }) {
  const allowed = useAllowed();
  const payload = usePayload();
  const moment = useMoment();
  const [chosen, setChosen] = useState(new Set());
  const rows = described(files.value || [], captures);
  const picked = rows.filter((f) => chosen.has(f.name));
  const operator = allowed('packetcapture delete');
  const readable = (f) => operator && (payload || !f.payload);
  const choose = (name, yes) => {
    const next = new Set(chosen);
    if (yes) next.add(name); else next.delete(name);
    setChosen(next);
  };
  const deleteChosen = async () => {
    const yes = await confirm({
      title: picked.length === 1 ? 'Delete this file?' : `Delete these ${picked.length} files?`,
      text: 'They are gone for everybody. This cannot be undone.',
      items: picked.map((f) => `${f.name} (${bytes(f.bytes)})`), action: 'Delete',
    });
    if (!yes) return;
    let gone = 0;
    for (const f of picked) {
      try { await remove(`/v1/files/${encodeURIComponent(f.name)}`); gone++; } catch (err) { notifyFailure(err); }
    }
    if (gone) notify(`${counted(gone, 'file')} deleted.`);
    setChosen(new Set());
    files.again();
  };
  const allBox = html`<input type="checkbox" aria-label="Choose all files" checked=${rows.length > 0 && picked.length === rows.length}
    indeterminate=${picked.length > 0 && picked.length < rows.length}
    onChange=${(e) => setChosen(new Set(e.currentTarget.checked ? rows.map((f) => f.name) : []))} />`;
  return html`<section class="card">
    <div class="head"><h2>Stored files</h2>
      ${operator && html`<div class="row" role="group" aria-label="Chosen files">
        <span class="quiet" role="status">${picked.length ? `${picked.length} chosen, ${bytes(picked.reduce((n, f) => n + f.bytes, 0))}` : ''}</span>
        ${picked.length > 0 && picked.every(readable) && html`<${Downloads} files=${picked} />`}
        <button type="button" class="danger" disabled=${picked.length === 0} onClick=${deleteChosen}>Delete Selected Files</button></div>`}
    </div>
    <${Problem} failure=${files.failure} />
    ${allowed('packetcapture wireshark') && html`<p class="hint">Files that name processes or drops: <a href="/v1/diagsh.lua" download="diagsh.lua">plug-in for Wireshark</a>, which makes columns of them.</p>`}
    ${files.loading && html`<${Loading} what="files" />`}
    ${files.value && html`<${Table} caption="Stored files" hideCaption rows=${rows} rowKey=${(f) => f.name} empty="There are no files. A capture's file is here when it has ended."
      rowClass=${(f) => (chosen.has(f.name) ? 'chosen' : undefined)} columns=${[
    operator && { name: 'choose', title: allBox, className: 'narrowest', cell: (f) => html`<input type="checkbox" aria-label=${`Choose ${f.name}`} checked=${chosen.has(f.name)} onChange=${(e) => choose(f.name, e.currentTarget.checked)} />` },
    { name: 'name', title: 'File', header: true, cell: (f) => html`${isCapture(f.name) && operator ? html`<a href=${address(['captures', f.name, 'packets'])}>${f.name}</a>` : f.name}${isCapture(f.name) && !f.payload ? html` <span class="badge">headers only</span>` : ''}` },
    { name: 'capture', title: 'Capture', cell: (f) => f.capture && html`<a href=${address(['captures', f.capture.name])}>${f.capture.name}</a>` },
    { name: 'time', title: 'Written', className: 'nowrap', cell: (f) => moment(f.modifiedTime) },
    { name: 'bytes', title: 'Size', number: true, cell: (f) => bytes(f.bytes) },
    { name: 'packets', title: 'Packets', number: true, cell: (f) => f.file && count(f.file.packets) },
    { name: 'span', title: 'Span', number: true, cell: (f) => f.file && span(f.file.first, f.file.last) },
    { name: 'comment', title: 'Comment', cell: (f) => f.capture && f.capture.comment },
    { name: 'case', title: 'Case', cell: (f) => f.capture && f.capture.caseNumber },
    operator && { name: 'get', title: html`<span class="unseen">Actions</span>`, cell: (f) => readable(f) && html`<a href=${fileAddress(f.name)} download=${f.name} aria-label=${`Download ${f.name}`}>Download</a>` },
  ].filter(Boolean)} />`}
  </section>`;
}
