// Signing in: name and password, and other ways where the appliance offers them.

import { useEffect, useRef, useState } from './vendor/preact.js';
import { Failure, get, post } from './api.js';
import { Field, html, Problem } from './ui.js';

/** Why a sign-in elsewhere led to nothing, by the word in the address that it came back to. */
const refusals = {
  unavailable: { detail: 'The other way to sign in is not available now', hint: 'Sign in with a password, or try again later' },
  denied: { detail: 'You were not let in', hint: 'An administrator says which groups of the provider have a role here' },
};

/** refusedElsewhere returns what the address says of a sign-in that failed, and takes it out of the address. */
function refusedElsewhere() {
  const why = new URLSearchParams(location.search).get('signin');
  if (!why) return null;
  history.replaceState(null, '', location.pathname + location.hash);
  return new Failure(refusals[why] || refusals.unavailable);
}

/** SignIn is the page of somebody who is not signed in. */
export function SignIn({ onSignedIn }) {
  const [methods, setMethods] = useState(null);
  const [failure, setFailure] = useState(refusedElsewhere);
  const [busy, setBusy] = useState(false);
  const user = useRef(null);
  useEffect(() => {
    document.title = 'Sign in – diagsh';
    user.current.querySelector('input').focus();
    get('/v1/login/methods', { background: true }).then(setMethods).catch(() => {});
  }, []);
  const submit = async (e) => {
    e.preventDefault();
    const form = e.currentTarget;
    setBusy(true);
    setFailure(null);
    try {
      await post('/v1/login', { user: form.elements.user.value, password: form.elements.password.value });
      form.reset();
      onSignedIn();
    } catch (err) {
      setFailure(err);
      setBusy(false);
      form.elements.password.value = '';
      form.elements.password.focus();
    }
  };
  return html`<main class="alone signin">
    <form class="card" onSubmit=${submit} ref=${user}>
      <h1><img src="icon.svg" alt="" width="28" height="28" /> Sign in to ${location.hostname}</h1>
      ${methods && methods.banner && html`<p class="welcome">${methods.banner}</p>`}
      <${Field} label="User">${(own) => html`<input ...${own} name="user" autocomplete="username" autocapitalize="none" spellcheck=${false} required />`}<//>
      <${Field} label="Password">${(own) => html`<input ...${own} name="password" type="password" autocomplete="current-password" required />`}<//>
      <${Problem} failure=${failure} />
      <div class="buttons"><button class="primary" type="submit" disabled=${busy}>${busy ? 'Signing in…' : 'Sign in'}</button></div>
      ${((methods && methods.others) || []).map((m) => html`<p key=${m.address}><a class="button" href=${m.address}>Sign in with ${m.name}</a></p>`)}
    </form>
  </main>`;
}
