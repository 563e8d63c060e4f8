// Where the page is: the fragment of the address, such as #/captures/web/packets/123?filter=port%2025.

import { useStore, Store } from './state.js';

function read() {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?', 2);
  const parts = path.split('/').filter(Boolean).map((part) => {
    try { return decodeURIComponent(part); } catch { return part; }
  });
  return { parts, query: new URLSearchParams(query || '') };
}

/** The present route: its parts, decoded, and its query. */
export const route = new Store(read());

addEventListener('hashchange', () => route.set(read()));

/**
 * address returns the fragment for parts and a query; empty values of the query are left out, and a list is one of each.
 * @param {(string|number)[]} parts
 * @param {Record<string, any>} [query]
 */
export function address(parts, query = {}) {
  const given = Object.entries(query).flatMap(([k, v]) => (Array.isArray(v) ? v.map((one) => [k, one]) : v !== undefined && v !== null && v !== '' ? [[k, String(v)]] : []));
  const text = new URLSearchParams(given).toString();
  return `#/${parts.map((p) => encodeURIComponent(p)).join('/')}${text ? `?${text}` : ''}`;
}

/** go shows another place. With replace, Back does not return to the present one. */
export function go(parts, query, { replace = false } = {}) {
  const to = address(parts, query);
  if (to === location.hash) return;
  if (replace) {
    history.replaceState(null, '', to);
    route.set(read());
  } else {
    location.hash = to;
  }
}

export const useRoute = () => useStore(route);
