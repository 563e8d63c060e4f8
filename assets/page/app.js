// The frame of the page: who is signed in, the header, the view of the present address. views.js says how a view is added.

import { html, render, Component, useEffect, useRef, useState } from './vendor/preact.js';
import { get, onSignedOut, remove } from './api.js';
import { connection, hush, unhush } from './events.js';
import { zone } from './format.js';
import { route, useRoute } from './router.js';
import { forget, readTree, session, useAllowed, useStore } from './state.js';
import { dismissAll, drawClean, Loading, MenuButton, Notices, NotLoaded, notify, notifyFailure, Problem, Questions } from './ui.js';
import { BoxButton } from './boxkey.js';
import { SessionEnd } from './sessionend.js';
import { SignIn } from './signin.js';
import { onTab, tellTabs } from './tabs.js';
import { home, views } from './views.js';
import { Waiting } from './waiting.js';

/** Boundary shows a fault of a view in its place; the rest of the page stays usable. */
class Boundary extends Component {
  componentDidCatch(err) { console.error(err); this.setState({ err }); }

  componentWillReceiveProps(next) { if (next.place !== this.props.place) this.setState({ err: null }); }

  render({ children }, { err }) {
    if (!err) return children;
    return html`<h1 tabindex="-1">Something went wrong</h1>
      <p>This part of the page has a fault: ${String(err.message || err)}.</p>
      <p><button type="button" onClick=${() => this.setState({ err: null })}>Show it again</button></p>`;
  }
}

const loaded = new Map();

/** loadView loads the module of a view once. */
async function loadView(view) {
  if (!loaded.has(view.name)) loaded.set(view.name, (await view.load()).default);
}

// The view of the address is loaded while the appliance is asked who is signed in.
const opened = views.find((v) => v.name === (route.value.parts[0] || home));
if (opened) loadView(opened).catch(() => {});

/** View loads and draws the view of the present address. */
function View() {
  const { parts, query } = useRoute();
  const name = parts[0] || home;
  const view = views.find((v) => v.name === name);
  const [, setTick] = useState(0);
  const [failed, setFailed] = useState(null);
  const Shown = loaded.get(name);
  useEffect(() => {
    setFailed(null);
    if (!view || Shown) return; // not whether it is loaded by now: it was not when this was drawn
    loadView(view).then(() => setTick((n) => n + 1)).catch(() => setFailed(name));
  }, [name]);
  useEffect(() => {
    const who = session.value ? session.value.hostname : 'diagsh';
    document.title = `${view ? view.title : 'Not found'} – ${who}`;
  }, [name]);
  useHeadingFocus(`${name}/${parts.slice(1, 3).join('/')}`, Boolean(Shown));
  if (!view) return html`<h1 tabindex="-1">Not found</h1><p>There is no page at this address. <a href="#/">Go to the captures</a></p>`;
  if (failed === name) return html`<${NotLoaded} title=${view.title} />`;
  if (!Shown) return html`<${Loading} what=${view.title.toLowerCase()} />`;
  return html`<${Boundary} place=${parts.join('/')}><${Shown} parts=${parts.slice(1)} query=${query} /><//>`;
}

/** useHeadingFocus moves the focus to the heading when the place has changed, as a new page would. */
function useHeadingFocus(place, ready) {
  const before = useRef(null);
  useEffect(() => {
    if (!ready || before.current === place) return undefined;
    const first = before.current === null;
    before.current = place;
    if (first) return undefined;
    const main = document.querySelector('main');
    const arrive = () => {
      const heading = main.querySelector('h1');
      heading?.focus();
      return Boolean(heading);
    };
    if (arrive()) return undefined;
    // A part that is loaded first has its heading later. Who has gone on meanwhile is not called back.
    const watch = new MutationObserver(() => { if (document.activeElement !== document.body || arrive()) watch.disconnect(); });
    watch.observe(main, { childList: true, subtree: true });
    return () => watch.disconnect();
  }, [place, ready]);
}

/** useOffered returns the views that the caller may use something of. */
function useOffered() {
  const allowed = useAllowed();
  return views.filter((view) => !view.uses || view.uses.some(allowed));
}

async function signOut() {
  hush();
  try { await remove('/v1/login'); } catch (err) { unhush(); notifyFailure(err); return; }
  leave();
}

/** leave shows the form to sign in, here and in the other tabs of the session. */
function leave() {
  tellTabs('left');
  forget();
  session.set(false);
}

/** Header has the appliance's name, the parts of the page, help, and who is signed in. */
function Header({ who }) {
  const { parts } = useRoute();
  const state = useStore(connection);
  const inZone = useStore(zone);
  const offered = useOffered();
  const here = parts[0] || home;
  const current = (name) => (name === here ? 'page' : undefined);
  return html`<header class="top">
    <a class="brand" href="#/"><img src="icon.svg" alt="" width="22" height="22" /><span>${who.hostname}</span></a>
    <nav class="main-nav" aria-label="Main"><ul>${offered.filter((v) => v.nav).map((v) => html`<li key=${v.name}>
      <a href=${`#/${v.name}`} aria-current=${current(v.name)}>${v.title}</a></li>`)}</ul></nav>
    <div class="top-right">
      ${state === 'lost' && html`<span class="badge warn" role="status">Connection lost, trying again</span>`}
      <${BoxButton} />
      <${MenuButton} label="Help and Support" className="help-menu">
        ${offered.filter((v) => v.help).map((v) => html`<li key=${v.name}><a href=${`#/${v.name}`}>${v.help}</a></li>`)}
        <li><a href="vendor/LICENSES.txt" target="_blank" rel="noreferrer">Licences of this page</a></li>
      <//>
      <${MenuButton} label=${html`<span class="who">${who.caller.user}</span> <span class="quiet">${who.caller.role}</span>`} className="user-menu">
        <li><button type="button" onClick=${() => zone.set(inZone === 'utc' ? 'local' : 'utc')}>
          ${inZone === 'utc' ? 'Show times in local time' : 'Show times in UTC'}</button></li>
        <li><a href="#/password">Change password</a></li>
        <li><button type="button" onClick=${signOut}>Sign out</button></li>
      <//>
    </div>
  </header>`;
}

/** Signed is the page of a person who is signed in. */
function Signed({ who }) {
  useEffect(() => { readTree().catch(notifyFailure); }, []);
  const skip = (e) => { e.preventDefault(); document.querySelector('main h1')?.focus(); };
  return html`<a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <${Header} who=${who} />
    ${who.notice && html`<section class="banner" aria-label="To be done"><p>${who.notice}</p>${/passw/i.test(who.notice) && html`<a href="#/password">Change password</a>`}</section>`}
    <${Waiting} />
    <main id="main"><${View} /></main>
    <footer><span>${who.product}</span><span class="quiet">${who.welcome}</span></footer>
    <${SessionEnd} /><${Questions} />`;
}

let lastUser = null;

// It first asks whether there is a session: the refusal of a request without one would be an error in the console.
async function learnWho(signedIn) {
  try {
    const known = signedIn || (await get('/v1/login/methods', { background: true })).session;
    const who = known ? await get('/v1/session') : false;
    // Nothing that the page remembers of one user, such as the lines of the command box, may come to the next.
    if (who && lastUser && who.caller.user !== lastUser) { location.reload(); return; }
    if (who) lastUser = who.caller.user;
    session.set(who);
  } catch (err) {
    if (err.status === 401) { session.set(false); return; }
    throw err;
  }
}

function App() {
  const who = useStore(session);
  const [failure, setFailure] = useState(null);
  const begin = (signedIn) => { setFailure(null); learnWho(signedIn).catch(setFailure); };
  useEffect(() => begin(false), []);
  let content;
  if (failure) content = html`<main class="alone"><h1>No answer</h1><${Problem} failure=${failure} /><p><button type="button" onClick=${() => begin(false)}>Try again</button></p></main>`;
  else if (who === null) content = html`<main class="alone"><${Loading} what="the page" /></main>`;
  else if (who === false) content = html`<${SignIn} onSignedIn=${() => { dismissAll(); begin(true); }} />`;
  else content = html`<${Signed} who=${who} />`;
  return html`${content}<${Notices} />`;
}

const ended = () => notify('You are signed out: the session has ended.', { kind: 'info' });

onSignedOut(() => {
  if (!session.value) return;
  leave();
  ended();
});

onTab('left', () => {
  forget();
  session.set(false);
  ended();
});

drawClean();
const root = document.getElementById('app');
root.replaceChildren();
render(html`<${App} />`, root);
