// Changing one's own password.

import { useState } from './vendor/preact.js';
import { asFailure, get, run } from './api.js';
import { go } from './router.js';
import { session } from './state.js';
import { errorAt, Field, html, notify, Problem } from './ui.js';

/** Password is the view #/password. */
export default function Password() {
  const [failure, setFailure] = useState(null);
  const [differ, setDiffer] = useState('');
  const submit = async (e) => {
    e.preventDefault();
    const form = e.currentTarget;
    const { old, fresh, again } = form.elements;
    setFailure(null);
    setDiffer('');
    if (fresh.value !== again.value) {
      setDiffer('The two new passwords differ');
      again.focus();
      return;
    }
    try {
      const done = await run('passwd', { old: old.value, new: fresh.value });
      form.reset();
      notify(done.loginsEnded ? `The password is changed. ${done.loginsEnded} other logins have ended.` : 'The password is changed.');
      session.set(await get('/v1/session'));
      go([]);
    } catch (err) {
      setFailure(asFailure(err));
      requestAnimationFrame(() => form.querySelector('[aria-invalid="true"]')?.focus());
    }
  };
  const at = (argument) => errorAt(failure, argument);
  const elsewhere = failure && !at('old') && !at('new') ? failure : null;
  return html`<h1 tabindex="-1">Change password</h1>
    <form class="card narrow" onSubmit=${submit}>
      <${Field} label="Present password" error=${at('old')}>${(own) => html`<input ...${own} name="old" type="password" autocomplete="current-password" required />`}<//>
      <${Field} label="New password" hint="At least 8 characters" error=${at('new')}>${(own) => html`<input ...${own} name="fresh" type="password" autocomplete="new-password" required />`}<//>
      <${Field} label="New password, again" error=${differ}>${(own) => html`<input ...${own} name="again" type="password" autocomplete="new-password" required />`}<//>
      <${Problem} failure=${elsewhere} />
      <p class="hint">Your other logins end; this one stays.</p>
      <div class="buttons"><button class="primary" type="submit">Change password</button></div>
    </form>`;
}
