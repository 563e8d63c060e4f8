// Every command of the menus: a way through the tree, and the form of a command.

import { useEffect, useMemo, useState } from './vendor/preact.js';
import { commandURL, get } from './api.js';
import { address } from './router.js';
import { mayUse, readTree, session, tree, useStore } from './state.js';
import { Fold, html, Loading, Problem, useLoad } from './ui.js';
import { CommandForm } from './forms.js';
import { secretOf } from './fields.js';
import { cleanLines } from './values.js';

/** commandAddress returns where the form of a command, or a menu, is; args are first values. */
export const commandAddress = (path, args) => address(['commands', ...path.split(' ').filter(Boolean)], args);

/** Commands is the view #/commands/PATH: a menu with its items, or a command with its form. */
export default function Commands({ parts, query }) {
  const nodes = useStore(tree);
  const who = useStore(session);
  const [failure, setFailure] = useState(null);
  useEffect(() => { readTree().catch(setFailure); }, []);
  const path = parts.join(' ');
  const node = nodes && nodes.get(path);
  if (failure) return html`<h1 tabindex="-1">Commands</h1><${Problem} failure=${failure} />`;
  if (!nodes) return html`<h1 tabindex="-1">Commands</h1><${Loading} what="the commands" />`;
  if (path && !node) return html`<h1 tabindex="-1">No such command</h1><p>There is no command <code>${path}</code>. <a href="#/commands">All commands</a></p>`;
  return html`<${Trail} parts=${parts} />
    ${node?.kind === 'command' ? html`<${Command} key=${`${path}?${query}`} node=${node} query=${query} who=${who} />` : html`<${Menu} key=${path} path=${path} node=${node} nodes=${nodes} who=${who} />`}`;
}

/** Trail leads back up through the menus. */
function Trail({ parts }) {
  if (!parts.length) return null;
  return html`<nav class="trail" aria-label="Menus above"><ol>
    <li><a href="#/commands">Commands</a></li>
    ${parts.slice(0, -1).map((word, i) => html`<li key=${i}><a href=${commandAddress(parts.slice(0, i + 1).join(' '))}>${word}</a></li>`)}
  </ol></nav>`;
}

function Command({ node, query, who }) {
  const preset = useMemo(() => Object.fromEntries((node.parameters || []).filter((p) => !secretOf(p) && query.has(p.name)).map((p) => [p.name, query.get(p.name)])), [node]);
  return html`<h1 tabindex="-1">${node.path}</h1>
    <p>${node.help} ${node.details && html`<span class="quiet">${node.details}</span>`}</p>
    ${mayUse(who, node.role) ? html`<${CommandForm} node=${node} preset=${preset} />`
    : html`<p class="card">This needs the role ${node.role}; yours is ${who.caller.role}.</p>`}
    <${Help} path=${node.path} />`;
}

/** Help is the text that help and ? show in the menus. */
function Help({ path }) {
  const [open, setOpen] = useState(false);
  const { value, failure } = useLoad(async (signal) => (open ? (await get(commandURL('help', path), { signal })).text : null), [path, open]);
  return html`<${Fold} summary="Help" onToggle=${setOpen}>
    <${Problem} failure=${failure} />
    ${value ? html`<pre class="scroll card" tabindex="0" role="region" aria-label=${`Help of ${path}`}>${cleanLines(value)}</pre>` : open && !failure && html`<${Loading} what="the help" />`}
  <//>`;
}

/** below returns the commands under a path that a word is found in. */
function below(nodes, path, word, who) {
  const wanted = word.trim().toLowerCase();
  return [...nodes.values()].filter((n) => n.kind === 'command' && mayUse(who, n.role) && (!path || n.path.startsWith(`${path} `))
    && `${n.path} ${n.help}`.toLowerCase().includes(wanted));
}

function Menu({ path, node, nodes, who }) {
  const [word, setWord] = useState('');
  const { value, failure } = useLoad((signal) => get(commandURL('menu', path), { signal }), [path]);
  const found = word.trim() ? below(nodes, path, word, who) : null;
  const items = found ? found.map((n) => ({ path: n.path, shown: n.path, help: n.help }))
    : (value?.items || []).map((i) => ({ path: `${path} ${i.keyword}`.trim(), shown: i.keyword, help: i.help, menu: i.menu }));
  return html`<h1 tabindex="-1">${path || 'Commands'}</h1>
    <p>${node ? node.help : 'Everything that the menus can do.'}</p>
    <p class="row"><label class="row">Find a command <input type="search" value=${word} onInput=${(e) => setWord(e.target.value)} /></label>
      <span class="quiet" role="status">${found ? `${found.length} found` : ''}</span></p>
    <${Problem} failure=${failure} />
    ${value?.status && !found && html`<pre class="scroll card" tabindex="0" role="region" aria-label="Status">${cleanLines(value.status)}</pre>`}
    ${value || found ? html`<ul class="items menu-items">${items.map((i) => html`<li key=${i.path}><a href=${commandAddress(i.path)}>${i.shown}${i.menu ? ' \u203a' : ''}</a> <span class="quiet">${i.help}</span></li>`)}</ul>`
    : !failure && html`<${Loading} what="the menu" />`}`;
}
