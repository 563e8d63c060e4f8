// Sessions end after a time without an act of a person. The page warns before, in every tab of the session.

import { useEffect, useState } from './vendor/preact.js';
import { get, onActivity } from './api.js';
import { duration } from './format.js';
import { useNow, Dialog, html, notifyFailure } from './ui.js';

// How long before the end the warning comes, in seconds.
const warning = 120;

const tabs = 'BroadcastChannel' in window ? new BroadcastChannel('diagsh-activity') : null;

/** SessionEnd warns before the session ends. It knows the last act of all tabs of this browser. */
export function SessionEnd({ who }) {
  const [last, setLast] = useState(Date.now());
  const now = useNow(1000);
  useEffect(() => {
    onActivity(() => { setLast(Date.now()); tabs?.postMessage('act'); });
    const heard = () => setLast(Date.now());
    tabs?.addEventListener('message', heard);
    return () => { onActivity(() => {}); tabs?.removeEventListener('message', heard); };
  }, []);
  if (!who.idleSeconds) return null;
  const left = who.idleSeconds - (now - last) / 1000;
  if (left > Math.min(warning, who.idleSeconds / 2)) return null;
  const stay = () => get('/v1/session').catch(notifyFailure);
  return html`<${Dialog} title="Are you still there?" onClose=${stay}>
    <p>Nothing was done for a while. ${left > 0 ? `This session ends in ${duration(left)}.` : 'This session ends now.'} Captures go on.</p>
    <div class="buttons"><button type="button" class="primary" autofocus onClick=${stay}>Stay signed in</button></div>
  <//>`;
}
