// Package privsep separates the process that faces the network from the appliance: both ends of the
// protocol in which the unprivileged `diagsh front` asks `diagsh serve`. As in OpenSSH, the
// privileged side is the Monitor; the other is the Front.
//
// The front opens a connection for each act and writes requests on it. A frame holds a request, and
// another one its reply. Some acts go on with further requests on their connection, and descriptors
// come along with some replies (SCM_RIGHTS, unix(7)):
//
//   - After "files" the front asks for files, and gets them open.
//   - After "client" it asks for what the connection of one client needs: "sign" and "login". The
//     login ends with this connection.
//   - After "spawn" it names the program by "start", and gets the other ends of its descriptors.
//     Then it may write "signal" and "hangUp", which have no reply. A second reply to "start" tells
//     how the program ended.
//   - "attach" begins a session for HTTPS and gets its connection to the boundary. "certificate" and
//     "tlsSign" get what TLS shows to clients: the key stays with the monitor, which signs handshakes
//     and nothing else.
//
// A frame is its length in four bytes, big endian, and that many bytes of JSON. So a reader takes
// no byte of the next frame, with which descriptors may come. Requests are numbered from 1, and a
// reply has the number of its request.
//
// These are faults of a connection: a frame that is too long, cut off or not JSON, a number that is
// not the next one, and a reply that does not fit its request. The connection ends with them, since
// what follows could be taken for the reply to another request.
//
// An attacker may have taken the front over. So it acts only for logins that were made through it,
// and the monitor reads what it sends like the input of any stranger. The monitor believes the
// front when it says from which address a client comes, and not when it says who that is.
package privsep
