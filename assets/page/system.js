// The view #/system: the appliance itself, the people on it, what they did, and what is configured.

import { useEffect, useState } from './vendor/preact.js';
import { run } from './api.js';
import { bytes, count } from './format.js';
import { address } from './router.js';
import { readTree, session, tree, useAllowed, useStore } from './state.js';
import { html, Loading, notify, Problem, Tabs } from './ui.js';
import { Audit } from './audit.js';
import { Configuration } from './configuration.js';
import { Refresh, keyBy, useInterval, usePoll, useTable } from './live.js';
import { Act, Managed } from './managed.js';
import { RecordList, RecordTable } from './records.js';
import { Reports } from './reports.js';
import { clean, span, title } from './values.js';

/** The parts of the view; a part is offered to those who may use its command. */
const sections = [
  { name: 'status', title: 'Status', path: 'status', show: Status },
  { name: 'sessions', title: 'Sessions', path: 'who', show: Sessions },
  { name: 'users', title: 'Users', path: 'userconfig list', show: Users },
  { name: 'tokens', title: 'Tokens', path: 'token list', show: Tokens },
  { name: 'audit', title: 'Audit log', path: 'auditlog', show: Audit },
  { name: 'configuration', title: 'Configuration', path: 'showconfig', show: Configuration },
  { name: 'reports', title: 'Reports', path: 'diagnostic reporting list', show: Reports },
  { name: 'certificate', title: 'Certificate', path: 'certificate show', show: Certificate },
];

/** System is the view #/system/PART. */
export default function System({ parts }) {
  const nodes = useStore(tree);
  const allowed = useAllowed();
  const [failure, setFailure] = useState(null);
  useEffect(() => { readTree().catch(setFailure); }, []);
  if (failure) return html`<h1 tabindex="-1">System</h1><${Problem} failure=${failure} />`;
  if (!nodes) return html`<h1 tabindex="-1">System</h1><${Loading} what="the commands" />`;
  const offered = sections.filter((s) => allowed(s.path));
  const here = offered.find((s) => s.name === (parts[0] || offered[0]?.name));
  const Shown = here?.show;
  return html`<h1 tabindex="-1">${here ? here.title : 'System'}</h1>
    <${Tabs} label="System" items=${[...offered.map((s) => ({ href: address(['system', s.name]), title: s.title, current: s === here })), { href: '#/password', title: 'Password' }]} />
    ${Shown ? html`<${Shown} key=${here.name} node=${nodes.get(here.path)} nodes=${nodes} allowed=${allowed} name=${parts[1]} />` : html`<p>Your role has nothing of this, or there is no such part.</p>`}`;
}

const Facts = ({ facts }) => html`<dl class="facts">${facts.map(([name, v]) => html`<div key=${name}><dt>${name}</dt><dd>${v}</dd></div>`)}</dl>`;

const runningColumns = [['name', 'Name'], ['type', 'What'], ['state', 'State'], ['sinceTime', 'Since'], ['bytes', 'Size'], ['owner', 'By'], ['detail', 'Detail']];

const serviceColumns = [['name', 'Service'], ['description', 'Description'], ['state', 'State'], ['sinceTime', 'Since'], ['memory', 'Memory'], ['restarts', 'Restarts']];

function Status({ nodes, allowed }) {
  const interval = useInterval('status');
  const poll = usePoll((options) => run('status', {}, options), interval.seconds, []);
  // What costs the appliance more is asked again less often.
  const rest = usePoll(async (options) => {
    const [services, disks] = await Promise.all([run('diagnostic services status', {}, options), run('diagnostic disk_usage', { files: 0 }, options)]);
    return { services, disks };
  }, interval.seconds && Math.max(60, interval.seconds), []);
  const again = () => { poll.again(); rest.again(); };
  const restart = nodes.get('diagnostic services restart');
  const v = poll.value;
  const more = rest.value;
  return html`<${Refresh} interval=${interval} poll=${{ ...poll, failure: poll.failure || rest.failure, again }} />
    ${!v && !poll.failure && html`<${Loading} what="the status" />`}
    ${v && html`${v.trouble && html`<p class="problem" role="alert">${clean(v.trouble)}</p>`}
      <section class="card"><h2>${clean(v.hostname)}</h2><${Facts} facts=${[['Product', v.product], ['Appliance up', span(v.applianceSeconds)], ['Machine up', span(v.machineSeconds)],
        ['Load', v.load.map((n) => n.toFixed(2)).join(' ')], ['Processors', count(v.processors)], ['Memory available', `${bytes(v.memoryAvailable)} of ${bytes(v.memory)}`],
        ['Disk free', bytes(v.disk.freeBytes)], ['In reserve', bytes(v.disk.reserveBytes)], ['Files', `${count(v.disk.files)}, ${bytes(v.disk.bytes)}`],
        ['Captures', html`<a href="#/captures">${v.captures.length} running, ${v.capturesEnded} ended</a>`], ['Sessions', html`<a href="#/system/sessions">${v.sessions.length}</a>`]]} /></section>`}
    ${v && html`<section><h2>Running</h2><${RecordTable} records=${v.running} label="All that runs" columns=${runningColumns} none="Nothing runs." /></section>`}
    ${more && html`<section><h2>Services</h2><${RecordTable} records=${more.services} label="Services" columns=${serviceColumns}
        actions=${restart && allowed(restart.path) && ((r) => html`<${Act} small danger node=${restart} label="Restart" title=${`Restart ${r.name}`} fixed=${{ name: r.name }} onDone=${again} />`)} /></section>
      <section><h2>File systems</h2><${RecordTable} records=${more.disks.fileSystems} label="File systems" /></section>`}`;
}

const sessionColumns = [['user', 'User'], ['role', 'Role'], ['type', 'By'], ['source', 'From'], ['startTime', 'Since'], ['idleSinceTime', 'Idle since'], ['running', 'Runs'], ['token', 'Token']];

function Sessions() {
  const interval = useInterval('sessions');
  const { poll, rows, marks } = useTable('who', {}, interval, keyBy('session'), ['idleSinceTime']);
  const [logins, setLogins] = useState(30);
  const past = usePoll((options) => run('last', { count: logins }, options), 0, [logins, poll.value?.map((s) => s.session).join()]);
  const mine = session.value?.caller.session;
  const shown = sessionColumns.filter(([name]) => name !== 'token' || rows.some((r) => r.token));
  return html`<${Refresh} interval=${interval} poll=${poll} />
    ${poll.value && html`<${RecordTable} records=${rows.map((r) => marked(r, mine))} label="Sessions" columns=${shown} marks=${follow(marks)} />`}
    <section><h2>Logins of the past</h2><${Problem} failure=${past.failure} />
      ${past.value && html`<${RecordTable} records=${past.value} label="Logins of the past" />
        ${past.value.length >= logins && html`<p><button type="button" onClick=${() => setLogins(logins * 4)}>More</button></p>`}`}</section>`;
}

// The caller's own session is named. The marks belong to the record that was read.
const marked = (r, mine) => (r.session === mine ? { ...r, user: `${r.user} (this session)`, read: r } : { ...r, read: r });

const follow = (marks) => ({ of: (r) => marks.of(r.read), keyOf: (r) => marks.keyOf(r.read) });

const userColumns = [['user', 'User'], ['fullName', 'Full name'], ['role', 'Role'], ['expiryTime', 'Expires'], ['payload', 'Packet contents'], ['password', 'Password'], ['keys', 'Keys'], ['lastLoginTime', 'Last login'], ['lastFrom', 'From'], ['lockedUntilTime', 'Locked until']];

function Users({ nodes, allowed }) {
  return html`<${Managed} title="Users" list="userconfig list" nodes=${nodes} allowed=${allowed} keys=${['user']} columns=${userColumns} news=${[['userconfig new', 'New user']]}
    acts=${[['userconfig edit', 'Edit'], ['userconfig role', 'Role'], ['userconfig password', 'Password'], ['userconfig key', 'Keys'], ['userconfig unlock', 'Unlock'], ['userconfig delete', 'Delete']]} names=${(r) => ({ user: r.user })} />`;
}

const tokenColumns = [['name', 'Name'], ['token', 'Token'], ['user', 'User'], ['role', 'Role'], ['createdTime', 'Made'], ['expiryTime', 'Expires'], ['sources', 'From'], ['paths', 'Commands'], ['lastUsedTime', 'Last used'], ['lastFrom', 'From']];

/** NewToken shows the secret of a new token, this once. It is kept nowhere: when the dialog closes, the page has forgotten it. */
function NewToken({ records }) {
  const r = records[0];
  if (!r) return null;
  const copy = async () => {
    try { await navigator.clipboard.writeText(r.secret); notify('The token is copied'); } catch { notify('The browser did not let the page copy', { kind: 'error' }); }
  };
  return html`<div class="secret-once" role="status"><p><strong>This is the token. It is shown this once.</strong></p>
      <p><code>${clean(r.secret)}</code> <button type="button" class="small" onClick=${copy}>Copy</button></p>
      <p class="hint">A program sends it as: Authorization: Bearer TOKEN</p></div>
    <${RecordList} record=${{ ...r, secret: undefined }} label="Token" />`;
}

function Tokens({ nodes, allowed }) {
  return html`<${Managed} title="Tokens" list="token list" nodes=${nodes} allowed=${allowed} keys=${['token']} columns=${tokenColumns} news=${[['token new', 'New token']]} view=${NewToken}
    acts=${[['token delete', 'Delete']]} names=${(r) => ({ token: r.token })} seconds=${30} />`;
}

/** certificatesOf returns what certificate show tells, part by part: [heading, record]. */
const certificatesOf = (all) => [['In use', all.present], ['By ACME', all.acme], ['Request, for a CA to sign', all.request],
  ...(all.others || []).map((c) => [`Another one: ${c.subject}`, c])].filter(([, c]) => c);

/** Certificate shows what clients of HTTPS are shown, and has the commands that change it. */
function Certificate({ nodes, allowed }) {
  const poll = usePoll((options) => run('certificate show', {}, options), 0, []);
  const all = poll.value;
  const offered = (n) => n.kind === 'command' && n.path.startsWith('certificate ') && n.path !== 'certificate show' && allowed(n.path)
    && (n.path !== 'certificate withdraw' || all?.request);
  const acts = [...nodes.values()].filter(offered);
  return html`<div class="buttons">${acts.map((n) => html`<${Act} key=${n.path} node=${n} label=${title(n.path.slice('certificate '.length))} title=${n.path} view=${n.output === 'object' && !/withdraw/.test(n.path) ? Written : undefined} danger=${/remove|delete|withdraw/.test(n.path)} onDone=${poll.again} />`)}
      <button type="button" onClick=${poll.again}>Refresh</button></div>
    <p class="hint">A change is pending until it is committed: <a href="#/system/configuration">Configuration</a></p>
    <${Problem} failure=${poll.failure} />
    ${all?.trouble && html`<p class="problem" role="alert">${clean(all.trouble)}</p>`}
    ${all ? certificatesOf(all).map(([name, c]) => html`<section class="card" key=${c.fingerprint || name}><h2>${clean(name)}</h2><${RecordList} record=${c} label=${name} /></section>`) : !poll.failure && html`<${Loading} what="the certificate" />`}`;
}

const Written = ({ records }) => records.map((r, i) => html`<${RecordList} key=${i} record=${r} label="Result" />`);
