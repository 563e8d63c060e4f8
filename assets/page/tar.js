// Reading a .tar.gz in the page: POSIX tar (ustar and pax), unpacked by the browser.

const block = 512;
const texts = new TextDecoder();

const field = (head, from, length) => texts.decode(head.subarray(from, from + length)).replace(/\0.*$/s, '');

/** pax returns the path in an extended header: records such as "30 path=a/b\n". */
function pax(text) {
  const found = /(?:^|\n)\d+ path=([^\n]*)\n/.exec(text);
  return found ? found[1] : '';
}

/**
 * entries yields what is in a .tar.gz, {name, bytes}, in its order. wanted(name) says of which the bytes are kept; they are
 * null for the others, which may be large. The stream is cancelled when the caller stops.
 * @param {ReadableStream<Uint8Array>} body
 */
export async function* entries(body, wanted) {
  const reader = body.pipeThrough(new DecompressionStream('gzip')).getReader();
  let have = new Uint8Array(0);
  const more = async () => {
    const { done, value } = await reader.read();
    if (done) return false;
    const joined = new Uint8Array(have.length + value.length);
    joined.set(have);
    joined.set(value, have.length);
    have = joined;
    return true;
  };
  const take = async (n) => {
    while (have.length < n) if (!await more()) return null;
    const piece = have.slice(0, n);
    have = have.subarray(n);
    return piece;
  };
  const skip = async (n) => {
    let left = n;
    while (left > have.length) { left -= have.length; have = new Uint8Array(0); if (!await more()) return; }
    have = have.subarray(left);
  };
  let long = '';
  try {
    for (;;) {
      const head = await take(block);
      if (!head || head[0] === 0) return;
      const size = parseInt(field(head, 124, 12).trim() || '0', 8);
      const padded = Math.ceil(size / block) * block;
      const kind = String.fromCharCode(head[156]);
      if (kind === 'x') { long = pax(texts.decode((await take(padded)).subarray(0, size))); continue; }
      const prefix = field(head, 345, 155);
      const name = long || (prefix ? `${prefix}/` : '') + field(head, 0, 100);
      long = '';
      const keep = wanted(name);
      const bytes = keep ? (await take(padded)) : null;
      if (!keep) await skip(padded);
      yield { name, bytes: bytes && bytes.subarray(0, size) };
    }
  } finally { reader.cancel().catch(() => {}); }
}
