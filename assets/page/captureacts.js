// What is done with captures from several places: stopping and deleting them.

import { run } from './api.js';
import { confirm, notify, notifyFailure } from './ui.js';

/** stop ends a capture, or takes back one that has not begun. */
export async function stop(name) {
  try {
    await run('packetcapture stop', { name });
    notify(`Capture ${name} has stopped.`);
  } catch (err) { notifyFailure(err); }
}

/** removeCapture deletes a capture that has ended, with its files, after a question. It returns whether it did. */
export async function removeCapture(c) {
  const files = (c.files || []).map((f) => f.name);
  const yes = await confirm({
    title: `Delete the capture ${c.name}?`,
    text: files.length ? 'These files are deleted with it. This cannot be undone.' : 'It has no files. This cannot be undone.',
    items: files, action: 'Delete',
  });
  if (!yes) return false;
  try {
    await run('packetcapture delete', { name: c.name, confirm: true });
  } catch (err) { notifyFailure(err); return false; }
  notify(`Capture ${c.name} is deleted.`);
  return true;
}
