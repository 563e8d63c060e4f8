// What the views of a capture's packets have in common.

import { address } from './router.js';
import { html, Tabs } from './ui.js';

/** PacketHead is the head of the views of packets. The filter goes along from one to the other. */
export function PacketHead({ name, current, filter, children }) {
  const item = (view, title) => ({ href: address(['captures', name, view], { filter }), title, current: current === view });
  return html`<p class="crumbs"><a href="#/captures">Captures</a> / <a href=${address(['captures', name])}>${name}</a></p>
    <div class="head"><h1 tabindex="-1">Packets of ${name}</h1>${children}</div>
    <${Tabs} label="Packets" items=${[item('packets', 'Packets'), item('flows', 'Conversations'), item('talkers', 'Summary'), item('graph', 'Graph')]} />`;
}
