// A commit that waits for its confirmation: every part of the page counts it down, and one click confirms it.

import { html, useEffect, useState } from './vendor/preact.js';
import { asFailure, run } from './api.js';
import { useEvent } from './events.js';
import { Store, useAllowed, useStore } from './state.js';
import { notify, Problem, useNow } from './ui.js';
import { clean } from './values.js';

/** The commit that waits, {number, comment, user, until}; until is in milliseconds of the appliance's clock. null if none does. */
export const waiting = new Store(null);

/** lookForCommit asks whether a commit waits. */
export async function lookForCommit(background = true) {
  const last = await run('commitdetail', {}, { background });
  if (!last.confirmUntilTime) { waiting.set(null); return last; }
  waiting.set({ number: last.number, comment: last.comment, user: last.user, until: Date.parse(last.confirmUntilTime) });
  return last;
}

const two = (n) => String(n).padStart(2, '0');

/** left returns the time that is left, such as 4:05. */
const left = (seconds) => `${Math.floor(seconds / 60)}:${two(seconds % 60)}`;

/** Waiting is the banner of the frame. */
export function Waiting() {
  const allowed = useAllowed();
  const commit = useStore(waiting);
  const may = allowed('commitdetail');
  useEffect(() => { if (may) lookForCommit().catch(() => { /* the view of the configuration says why */ }); }, [may]);
  useEvent('commits', () => { if (may) lookForCommit().catch(() => {}); });
  return commit && html`<${Countdown} commit=${commit} mayConfirm=${allowed('commit')} />`;
}

function Countdown({ commit, mayConfirm }) {
  const now = useNow(500);
  const seconds = Math.max(0, Math.ceil((commit.until - now) / 1000));
  useEffect(() => {
    if (seconds > 0) return undefined;
    // The appliance takes it back now; it is done when the last commit is another one.
    const timer = setTimeout(() => lookForCommit().catch(() => {}), 1500);
    return () => clearTimeout(timer);
  }, [seconds === 0, commit]);
  const [failure, setFailure] = useState(null);
  const [busy, setBusy] = useState(false);
  const confirm = async () => {
    setFailure(null);
    setBusy(true);
    try {
      await run('commit');
      notify(`Commit ${commit.number} is confirmed`);
      await lookForCommit();
    } catch (err) { setFailure(asFailure(err)); }
    setBusy(false);
  };
  return html`<section class="countdown" aria-label="Commit that waits for its confirmation">
    <p>Commit ${commit.number} of ${clean(commit.user)}${commit.comment ? ` (${clean(commit.comment)})` : ''} is taken back in <strong role="timer">${left(seconds)}</strong> unless it is confirmed.</p>
    ${mayConfirm && html`<button type="button" class="primary" disabled=${busy} onClick=${confirm}>Confirm now</button>`}
    <${Problem} failure=${failure} />
  </section>`;
}
