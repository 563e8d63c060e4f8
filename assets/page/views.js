// The parts of the page. A view is added by a line here and a module beside this file:
//
//   { name: 'network', title: 'Network', nav: true, load: () => import('./network.js') }
//
// name    the first part of the address: #/network/…
// title   in the navigation, and of the browser's window
// nav     stands in the navigation of the header; help: stands in the menu "Help and Support" under that title
// uses    paths of commands; the view is offered to those who may use one of them. Without it, to everybody
// load    imports the module when the view is first opened. Its default export is a component that gets
//         parts (the rest of the address, decoded) and query (URLSearchParams). It draws <main>'s content, of which
//         the first is an <h1 tabindex="-1">: the frame moves the focus there when the place changes
//
// A module takes html and its parts from ui.js, the API from api.js (run, stream, get, …), roles from state.js
// (useAllowed), events from events.js (useEvent), numbers and times from format.js. Rules that tests hold: no style or
// handler in markup, no HTML from texts (Trusted Types forbid it), no address of another host, and a table or
// list that can be too wide stands in an element of class "scroll" with tabindex 0, role region and a label.
// app.css has the look: classes buttons, primary, danger, field, row, hint, number, card, quiet, badge, scroll, tabs.

export const views = [
  { name: 'captures', title: 'Captures', nav: true, help: 'Packet Capture', load: () => import('./captures.js') },
  { name: 'capture-start', title: 'Start Capture', uses: ['packetcapture start'], load: async () => ({ default: (await import('./captureform.js')).Start }) },
  { name: 'capture-settings', title: 'Capture Settings', uses: ['packetcapture setup'], load: async () => ({ default: (await import('./captureform.js')).Settings }) },
  { name: 'network', title: 'Network', nav: true, uses: ['netstat interfaces'], load: () => import('./network.js') },
  { name: 'system', title: 'System', nav: true, uses: ['status'], load: () => import('./system.js') },
  { name: 'reports', title: 'Reports', help: 'Reports', uses: ['diagnostic reporting list'], load: async () => ({ default: (await import('./reports.js')).ReportsView }) },
  { name: 'support-request', title: 'Support request', help: 'Support Request', uses: ['supportrequest'], load: async () => ({ default: (await import('./reports.js')).SupportRequest }) },
  { name: 'commands', title: 'Commands', nav: true, load: () => import('./commands.js') },
  { name: 'password', title: 'Change password', load: () => import('./password.js') },
];

/** The view that is shown at the address without a fragment. */
export const home = 'captures';
