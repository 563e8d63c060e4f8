// The configuration: what is pending, what holds, and the commits so far.

import { html } from './vendor/preact.js';
import { run } from './api.js';
import { useEvent } from './events.js';
import { useMoment } from './format.js';
import { Fold, Loading, Problem, useLoad } from './ui.js';
import { Act } from './managed.js';
import { clean, cleanLines } from './values.js';
import { lookForCommit } from './waiting.js';

/** Changes shows what a change takes away and what it puts there. */
export function Changes({ list, label, none = 'No changes' }) {
  if (!list.length) return html`<p class="quiet">${none}.</p>`;
  const value = (text, sign, kind) => (text === undefined || text === '' ? html`<span class="quiet">not set</span>` : html`<code class=${kind}>${sign} ${cleanLines(text)}</code>`);
  return html`<div class="scroll" role="region" tabindex="0" aria-label=${label}><table class="records"><caption class="unseen">${label}</caption>
    <thead><tr><th scope="col">Setting</th><th scope="col">Before</th><th scope="col">After</th><th scope="col">Remark</th></tr></thead>
    <tbody>${list.map((c) => html`<tr key=${c.setting}><th scope="row"><code>${clean(c.setting)}</code></th><td>${value(c.before, '-', 'before')}</td><td>${value(c.after, '+', 'after')}</td>
      <td>${c.takenBack ? 'takes back what was pending' : ''}</td></tr>`)}</tbody></table></div>`;
}

async function load(signal, background, allowed) {
  const options = { signal, background };
  const last = await lookForCommit(background);
  const pending = allowed('showchanges') ? await run('showchanges', {}, options) : null;
  const shown = await run('showconfig', pending && pending.length ? { pending: true } : {}, options);
  return { last, pending, shown, commits: await run('commitlist', {}, options) };
}

/** settings are the commands that change what is pending: their records are changes. */
const settings = (nodes) => [...nodes.values()].filter((n) => n.kind === 'command' && n.output === 'table' && (n.members || []).map((m) => m.name || m).join() === 'setting,before,after,takenBack'
  && !/^(showchanges|clearchanges|rollbackconfig|loadconfig|resetconfig)$/.test(n.path));

/** Configuration is the part of #/system about it. */
export function Configuration({ nodes, allowed }) {
  const { value, failure, again } = useLoad((signal, background) => load(signal, Boolean(background), allowed), []);
  useEvent('commits', () => again(true));
  const refresh = () => again(false);
  if (!value) return failure ? html`<${Problem} failure=${failure} />` : html`<${Loading} what="the configuration" />`;
  const act = (path, label, props) => allowed(path) && html`<${Act} node=${nodes.get(path)} label=${label} onDone=${refresh} ...${props} />`;
  return html`<${Problem} failure=${failure} />
    ${value.pending && html`<section class="card"><div class="head"><h2>Pending changes</h2>
        <div class="row">${value.pending.length > 0 && html`${act('commit', 'Commit', { primary: true, title: 'Commit the pending changes' })}${act('clearchanges', 'Drop changes', { danger: true })}`}
          <button type="button" onClick=${refresh}>Refresh</button></div></div>
      <${Changes} list=${value.pending} label="Pending changes" none="Nothing is pending" />
      ${value.pending.length > 0 && html`<p class="hint">To try a change that may cut the appliance off, give minutes at Confirm: unless you confirm in time, it is taken back.</p>`}</section>`}
    <section class="card"><div class="head"><h2>Change a setting</h2></div>
      <div class="row">${settings(nodes).filter((n) => allowed(n.path)).map((n) => html`<${Act} key=${n.path} small node=${n} label=${n.path} onDone=${refresh} />`)}
        ${['loadconfig', 'saveconfig', 'resetconfig'].map((path) => act(path, path, { small: true, danger: path === 'resetconfig' }))}
        ${!allowed('commit') && html`<span class="quiet">This needs the role administrator.</span>`}</div></section>
    <section class="card"><h2>Commits</h2><${Commits} commits=${value.commits} last=${value.last} act=${act} /></section>
    <section class="card"><h2>${value.shown.pending ? 'The configuration with what is pending' : 'The configuration that holds'}</h2>
      <pre class="scroll" tabindex="0" role="region" aria-label="Configuration">${cleanLines(yaml(value.shown.configuration)) || 'It is empty: everything is as the machine and the host configuration have it.'}</pre></section>`;
}

/** yaml writes a configuration as showconfig does: names and values, indented. */
export function yaml(tree, indent = '') {
  if (Array.isArray(tree)) return tree.map((v) => (v && typeof v === 'object' ? `${indent}-\n${yaml(v, `${indent}  `)}` : `${indent}- ${scalar(v)}\n`)).join('');
  return Object.entries(tree || {}).map(([name, v]) => (v && typeof v === 'object' ? `${indent}${name}:\n${yaml(v, `${indent}  `)}` : `${indent}${name}: ${scalar(v)}\n`)).join('');
}

const scalar = (v) => (typeof v === 'string' && !/^[\w./-][\w ./@-]*$/.test(v) ? JSON.stringify(v) : String(v));

function Commits({ commits, last, act }) {
  const when = useMoment();
  return html`<ul class="items menu-items">${commits.map((c) => html`<li key=${c.number}>
    <div class="row"><strong>${c.number}</strong> <span>${when(c.time)}</span> <span>${clean(c.user)}</span> <span>${clean(c.comment || '')}</span>
      ${c.confirmUntilTime && html`<span class="badge warn">waits for its confirmation</span>`}
      ${c.number !== last.number && c.kept && act('rollbackconfig', 'Roll back to it', { small: true, fixed: { number: String(c.number) }, title: `Roll back to commit ${c.number}` })}</div>
    ${c.changes.length > 0 && html`<${Fold} summary=${`${c.changes.length} ${c.changes.length === 1 ? 'change' : 'changes'}`}><${Changes} list=${c.changes} label=${`Changes of commit ${c.number}`} /><//>`}
  </li>`)}</ul>`;
}
