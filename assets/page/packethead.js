// What the views of a capture's packets have in common.

import { address } from './router.js';
import { html, Tabs } from './ui.js';

/**
 * PacketHead is the head of the views of packets. The filter goes along from one to the other, and whose packets are looked
 * at (of) to those that can choose them.
 */
export function PacketHead({ name, current, filter, of = {}, children }) {
  const item = (view, title, more = {}) => ({ href: address(['captures', name, view], { filter, ...more }), title, current: current === view });
  return html`<p class="crumbs"><a href="#/captures">Captures</a> / <a href=${address(['captures', name])}>${name}</a></p>
    <div class="head"><h1 tabindex="-1">Packets of ${name}</h1>${children}</div>
    <${Tabs} label="Packets" items=${[item('packets', 'Packets', of), item('flows', 'Conversations'), item('talkers', 'Summary', of), item('graph', 'Graph')]} />`;
}
