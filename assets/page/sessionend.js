// Sessions end after a time without an act of a person, and at the latest after some hours. The appliance tells before.

import { useEffect, useState } from './vendor/preact.js';
import { get, onActivity } from './api.js';
import { serverNow } from './clock.js';
import { useEvent } from './events.js';
import { duration } from './format.js';
import { session } from './state.js';
import { onTab, tellTabs } from './tabs.js';
import { useNow, Dialog, html, notify, notifyFailure } from './ui.js';
import { time } from './values.js';

/** SessionEnd warns before the session ends, and takes over what changes of the caller's rights. */
export function SessionEnd() {
  const [end, setEnd] = useState(null); // {at, why}, null while none is near
  const now = useNow(1000);
  useEffect(() => {
    const active = () => setEnd((e) => (e && e.why === 'idle' ? null : e));
    onActivity(() => { active(); tellTabs('active'); });
    const deaf = onTab('active', active);
    return () => { onActivity(() => {}); deaf(); };
  }, []);
  useEvent('session', (data) => {
    if (!data) return;
    const who = session.value;
    // Another tab has signed out and somebody else in: nothing of the former user may stay on the screen.
    if (who && data.caller && data.caller.user !== who.caller.user) { location.reload(); return; }
    if (who && JSON.stringify(data.caller) !== JSON.stringify(who.caller)) session.set({ ...who, caller: data.caller });
    setEnd(data.secondsLeft === undefined ? null : { at: serverNow() + data.secondsLeft * 1000, why: data.why });
  });
  useEffect(() => {
    if (end && end.why === 'absolute') notify(`This session ends at ${time(new Date(end.at).toISOString())}, whatever is done. Captures go on.`, { kind: 'info', stays: true });
  }, [end]);
  if (!end || end.why !== 'idle') return null;
  const left = (end.at - now) / 1000;
  const stay = () => get('/v1/session').catch(notifyFailure);
  return html`<${Dialog} title="Are you still there?" onClose=${stay}>
    <p>Nothing was done for a while. ${left > 0 ? `This session ends in ${duration(left)}.` : 'This session ends now.'} Captures go on.</p>
    <div class="buttons"><button type="button" class="primary" autofocus onClick=${stay}>Stay signed in</button></div>
  <//>`;
}
