// The appliance's clock. A browser's own may be wrong, and figures such as how long a capture runs are of the appliance.

// Between which numbers of milliseconds the appliance's clock is ahead of the browser's, as far as its answers tell.
let least = -Infinity;
let most = Infinity;

/**
 * heardDate learns from the Date header of an answer, which has whole seconds: it was written after the request was sent
 * and before the answer was here, both times of the browser's clock. What contradicts what was known, as after a clock
 * was set, takes its place.
 */
export function heardDate(header, sent, here) {
  const date = Date.parse(header);
  if (Number.isNaN(date)) return;
  const from = date - here;
  const to = date + 1000 - sent;
  const apart = from > most || to < least;
  least = apart ? from : Math.max(least, from);
  most = apart ? to : Math.min(most, to);
}

/** serverNow returns the time by the appliance's clock, in milliseconds since 1970. Before any answer it is the browser's. */
export const serverNow = () => Date.now() + (least === -Infinity ? 0 : (least + most) / 2);
