// The captures of the appliance as views see them: listed once, then kept up to date by events.

import { useRef, useState } from './vendor/preact.js';
import { get, run } from './api.js';
import { useEvent } from './events.js';
import { useLoad } from './ui.js';

const reasons = {
  StoppedByUser: 'A user stopped it',
  TimeExceeded: 'It ran for the time it was given',
  SizeExceeded: 'The file reached the size it was given',
  PacketCountReached: 'It has the number of packets it was given',
  FileCountReached: 'It has the number of files it was given',
  DiskLow: 'It stopped to keep the disk from filling up',
  InterfaceGone: 'The interface was removed while it ran',
  FileError: 'The file could not be written; the packets written before are kept',
  Interrupted: 'The appliance ended unexpectedly while it ran; the packets written before are kept',
  Shutdown: 'The appliance was shut down while it ran',
  StartFailed: 'It could not be started when its time had come',
};

/** reason returns why a capture ended, as a sentence without its end. */
export const reason = (capture) => capture.error || reasons[capture.stopReason] || capture.stopReason || '';

/** ended reports whether a capture is neither running nor planned. */
export const ended = (capture) => capture.state === 'Stopped' || capture.state === 'Error';

/**
 * merged returns a list with what an event told of it, null if it must be listed anew: something is new, or what is not
 * told by events has changed with its state.
 */
function merged(list, data) {
  if (!list || !data || data.many) return null;
  let next = list;
  for (const one of data.changed || []) {
    const known = next.find((c) => c.name === one.name);
    if (!known || known.state !== one.state || (known.files || []).length !== one.fileCount) return null;
    next = next.map((c) => (c === known ? { ...c, ...one } : c));
  }
  const removed = new Set(data.removed || []);
  return removed.size ? next.filter((c) => !removed.has(c.name)) : next;
}

/** useCaptures returns {value, failure, loading, again}: all captures, as they are now. */
export function useCaptures() {
  const [fresh, setFresh] = useState(null);
  const loaded = useLoad(async (signal, background) => {
    const list = await run('packetcapture list', {}, { signal, background });
    setFresh(list);
    return list;
  }, []);
  const now = useRef(null);
  now.current = fresh;
  const soon = useRef(0);
  // Several events at a time lead to one request.
  const again = () => {
    clearTimeout(soon.current);
    soon.current = setTimeout(() => loaded.again(true), 60);
  };
  useEvent('captures', (data) => {
    const next = merged(now.current, data);
    if (next) setFresh(next);
    else again();
  });
  return { ...loaded, value: fresh, again };
}

/** useFiles returns {value, failure, loading, again}: the files of the diagnostic directory. */
export function useFiles() {
  const loaded = useLoad((signal, background) => get('/v1/files', { signal, background }), []);
  const soon = useRef(0);
  const again = () => {
    clearTimeout(soon.current);
    soon.current = setTimeout(() => loaded.again(true), 60);
  };
  useEvent('files', again);
  return { ...loaded, again };
}

/** useScenarios returns the scenarios that captures can begin with; none while they are not known. */
export const useScenarios = () => useLoad((signal) => run('packetcapture scenarios', {}, { signal, background: true }), []);

/** useInterfaces returns the interfaces of the appliance, as "netstat interfaces" has them. */
export const useInterfaces = () => useLoad((signal) => run('netstat interfaces', {}, { signal, background: true }), []);
