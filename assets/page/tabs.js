// The tabs of one session tell each other what the others must know at once.

import { session } from './state.js';

const channel = new BroadcastChannel('diagsh.session');

// A tab may still have the page of a session that ended long ago: what is said holds for the one it names.
const mine = () => session.value && session.value.caller.session;

/** tellTabs tells the other tabs of this session: "active" that a person did something, "left" that the session has ended. */
export function tellTabs(what) { if (mine()) channel.postMessage({ what, of: mine() }); }

/** onTab calls handler when another tab of this session tells something. It returns the function that ends it. */
export function onTab(what, handler) {
  const hear = ({ data }) => { if (data.what === what && data.of === mine()) handler(); };
  channel.addEventListener('message', hear);
  return () => channel.removeEventListener('message', hear);
}
