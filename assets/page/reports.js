// Reports: making, listing and reading them. A report is read here as its texts and records: its HTML is never shown as HTML.

import { useEffect, useState } from './vendor/preact.js';
import { asFailure, aborted, request, run } from './api.js';
import { bytes } from './format.js';
import { address } from './router.js';
import { tree, useAllowed, usePayload, useStore } from './state.js';
import { html, Loading, Problem, useLoad } from './ui.js';
import { CommandForm } from './forms.js';
import { Managed } from './managed.js';
import { RecordList } from './records.js';
import { isPackets, Part, partsOf } from './reportparts.js';
import { entries } from './tar.js';
import { clean } from './values.js';

// How much text of a report the page keeps.
const mostText = 32 << 20;

const columns = [['name', 'Report'], ['time', 'Made'], ['owner', 'By'], ['bytes', 'Size'], ['caseNumber', 'Case'], ['payload', 'Packet contents']];

const fileURL = (name) => `/v1/files/${encodeURIComponent(name)}`;

const onePage = (name) => name.endsWith('.html');

/** Reports is the part of #/system about them; with a name it reads that one. */
export function Reports({ name, nodes, allowed }) {
  const payload = usePayload();
  if (name) return html`<${Report} key=${name} name=${name} />`;
  // A report that is one page is never shown here as HTML.
  const extra = (r) => (payload || !r.payload) && html`${!onePage(r.name) && html`<a class="button" href=${address(['system', 'reports', r.name])}>Read</a>`}<a class="button" href=${fileURL(r.name)} download=${r.name}>Download</a>`;
  return html`<${Managed} title="Reports" list="diagnostic reporting list" nodes=${nodes} allowed=${allowed} keys=${['name']} columns=${columns}
    news=${[['diagnostic reporting new', 'New report'], ['supportrequest', 'New support request']]} acts=${[['diagnostic reporting delete', 'Delete']]}
    names=${(r) => ({ name: r.name })} extra=${allowed('diagnostic reporting new') && extra} />`;
}

/** read fetches a report and keeps its pages and data. It stops after the last of those that its contents name. */
async function read(name, contents, signal) {
  const answer = await request('GET', fileURL(name), { signal });
  const wanted = new Set(contents.flatMap((c) => [c.page, c.text, c.data]).filter((path) => path && !isPackets(path)));
  const inside = (path) => path.slice(path.indexOf('/') + 1);
  const found = new Map();
  let size = 0;
  for await (const { name: path, bytes: content } of entries(answer.body, (n) => wanted.has(inside(n)) && size < mostText)) {
    if (!wanted.has(inside(path))) continue;
    if (content) { size += content.length; found.set(inside(path), new TextDecoder().decode(content)); }
    wanted.delete(inside(path));
    if (!wanted.size) break;
  }
  return found;
}

function Report({ name }) {
  const { value, failure } = useLoad(async (signal) => (await run('diagnostic reporting list', {}, { signal })).find((r) => r.name === name) || false, [name]);
  const [files, setFiles] = useState(null);
  const [broken, setBroken] = useState(null);
  const [at, setAt] = useState(0);
  useEffect(() => {
    if (!value) return undefined;
    const control = new AbortController();
    if (onePage(name)) { setFiles(new Map()); return undefined; }
    read(name, partsOf(value.contents), control.signal).then(setFiles).catch((err) => { if (!aborted(err)) setBroken(asFailure(err)); });
    return () => control.abort();
  }, [value]);
  const back = html`<p><a href="#/system/reports">All reports</a></p>`;
  if (failure || broken) return html`${back}<${Problem} failure=${failure || broken} />`;
  if (value === false) return html`${back}<p>There is no report ${clean(name)}.</p>`;
  if (!value) return html`${back}<${Loading} what="the report" />`;
  const { contents: all, ...about } = value;
  const contents = partsOf(all);
  return html`${back}<h2>${clean(name)} <a class="button" href=${fileURL(name)} download=${name}>Download, ${bytes(value.bytes)}</a></h2>
    <section class="card"><${RecordList} record=${about} label="About the report" /></section>
    <div class="split">
      <nav aria-label="Contents"><ol class="items menu-items">${contents.map((c, i) => html`<li key=${i}>${c.group && c.group !== contents[i - 1]?.group && html`<p class="part">${clean(c.group)}</p>`}<button type="button" class="link" aria-current=${i === at ? 'true' : undefined} onClick=${() => setAt(i)}>${clean(c.title)}</button>
        ${c.result !== 'ok' && html` <span class="badge warn">${clean(c.result)}</span>`}</li>`)}</ol></nav>
      <section class="card">${files ? html`<${Part} key=${at} report=${name} part=${contents[at]} files=${files} />` : html`<${Loading} what="the report" />`}</section>
    </div>`;
}

/** ReportsView is the view #/reports of the menu Help and Support. */
export function ReportsView() {
  const nodes = useStore(tree);
  const allowed = useAllowed();
  return html`<h1 tabindex="-1">Reports</h1>${nodes ? html`<${Reports} nodes=${nodes} allowed=${allowed} />` : html`<${Loading} what="the reports" />`}`;
}

const Made = ({ records }) => records.map((r) => html`<p key=${r.name} role="status">The report is <a href=${address(['system', 'reports', r.name])}>${clean(r.name)}</a>, ${bytes(r.bytes)}. <a class="button" href=${fileURL(r.name)} download=${r.name}>Download</a></p>`);

/** SupportRequest is the view #/support-request. */
export function SupportRequest() {
  const nodes = useStore(tree);
  const allowed = useAllowed();
  const node = nodes && nodes.get('supportrequest');
  if (node && !allowed(node.path)) return html`<h1 tabindex="-1">Support request</h1><p>This needs the role ${node.role}.</p>`;
  return html`<h1 tabindex="-1">Support request</h1>${node ? html`<p>${node.help} ${node.details}</p><${CommandForm} node=${node} act="Make the report" view=${Made} />` : html`<${Loading} what="the form" />`}`;
}
