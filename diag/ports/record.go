// Package ports tells which process opens, accepts, uses and closes each TCP and UDP socket of this
// machine, as it happens.
package ports

import (
	"net/netip"
	"time"
)

// A Record is one change of a socket: a line of the port log. Its members in JSON are those of the
// log's files.
type Record struct {
	Time     time.Time `json:"time"`
	Event    Event     `json:"event"`
	Protocol Protocol  `json:"protocol,omitempty"`

	// Remote is left out where there is no other end. IPv4 addresses in IPv6 are unmapped.
	LocalAddress  netip.Addr `json:"localAddress,omitzero"`
	LocalPort     uint16     `json:"localPort,omitempty"`
	RemoteAddress netip.Addr `json:"remoteAddress,omitzero"`
	RemotePort    uint16     `json:"remotePort,omitempty"`

	Process

	// Cookie is the kernel's number of the socket, which sock_diag(7) shows too. It is not unique:
	// an accepted MPTCP connection has its listener's. Socket is the log's own serial number, which
	// is. NetNS is the inode of the network namespace.
	Cookie uint64 `json:"cookie,omitempty"`
	Socket uint64 `json:"socket,omitempty"`
	NetNS  uint64 `json:"netns,omitempty"`
	Cgroup string `json:"cgroup,omitempty"`

	State string `json:"state,omitempty"` // of TCP, as netstat names it: of Held and Refused

	// BytesSent, BytesReceived and Seconds are of Close: what the socket carried in its life.
	BytesSent     *uint64  `json:"bytesSent,omitempty"`
	BytesReceived *uint64  `json:"bytesReceived,omitempty"`
	Seconds       *float64 `json:"durationSeconds,omitempty"`

	// OpenedBy, AcceptedBy and LastUsedBy are PIDs, of Close, where they differ from the PID of who
	// closed it.
	OpenedBy   int `json:"openedBy,omitempty"`
	AcceptedBy int `json:"acceptedBy,omitempty"`
	LastUsedBy int `json:"lastUsedBy,omitempty"`

	Reason string `json:"reason,omitempty"` // of Refused, Failed, Rejected, and of Close amid a Gap
	Lost   uint64 `json:"lost,omitempty"`   // of Gap: how many events the kernel could not hand over
}

// A Process is who did it. PID 0 and no name are the kernel, or nobody who is known: a name is never
// guessed.
type Process struct {
	PID  int    `json:"pid"`
	Name string `json:"process,omitempty"` // of the group's leader, as it chose it (comm); any bytes but NUL
	Exe  string `json:"exe,omitempty"`     // path of the executable
	UID  uint32 `json:"uid"`
	User string `json:"user,omitempty"`
}

// An Event is what happened to a socket.
type Event string

const (
	Opened    Event = "open"   // a UDP, ICMP or raw socket was bound or used for the first time
	Bound     Event = "bind"   // it has a local port, by bind(2)
	Listening Event = "listen" // it waits for connections
	Connected Event = "connect"
	Accepted  Event = "accept"
	Used      Event = "use"  // another process than the one before uses it
	Flowed    Event = "flow" // a UDP socket talks with a remote end for the first time
	Closed    Event = "close"
	Refused   Event = "refused"  // the other end answered connect(2) by a reset
	TimedOut  Event = "timeout"  // it did not answer
	Aborted   Event = "aborted"  // the socket was closed before there was an answer
	Failed    Event = "failed"   // connect(2) failed otherwise, as without a route
	Rejected  Event = "rejected" // somebody connected to a port where nobody listens
	Held      Event = "held"     // the socket was there when the log began, or after a Gap
	Gap       Event = "gap"      // events were lost here
	Began     Event = "start"    // the log began; Reason says how it sees sockets, and where its files are
	Ended     Event = "stop"
)

// Events are all events, in the order in which help texts name them.
var Events = []Event{Opened, Bound, Listening, Connected, Accepted, Used, Flowed, Closed, Refused, TimedOut, Aborted,
	Failed, Rejected, Held, Gap, Began, Ended}

// Mark reports whether the event is one of the log, and of no socket. Every selection has these.
func (e Event) Mark() bool { return e == Gap || e == Began || e == Ended }

// A Protocol is a transport, by the name that it has in the log.
type Protocol string

const (
	TCP  Protocol = "tcp" // MPTCP too
	UDP  Protocol = "udp"
	ICMP Protocol = "icmp"
	Raw  Protocol = "raw"
	SCTP Protocol = "sctp"
)

// A Flow is who was at the local end of a conversation, and when: what a packet is joined by. The
// time runs from the connect(2) or the SYN on, to the moment at which another process took over, or
// the socket was closed.
//
// A socket that listens, and one of UDP, has a flow without a remote end for as long as it exists:
// packets that no flow with their remote end has, such as the SYN of a connection that is not
// accepted yet, are its process's. Where several such flows of different processes have one local
// end (SO_REUSEPORT), such a packet is nobody's.
type Flow struct {
	NetNS    uint64
	Protocol Protocol
	Local    netip.AddrPort // the address is unspecified for a UDP socket that has none
	Remote   netip.AddrPort // zero: any
	From     time.Time
	Until    time.Time // zero: it goes on

	// Unused is when the process that had the socket before was last seen to use it. Data that was sent
	// between then and From may be of either: a process is seen when the call that sends returns. It is
	// zero if nobody had the socket before, or that is not known.
	Unused time.Time

	// First is the sequence number of TCP from which on what is sent is of this process: what is before
	// it, the one before gave to the kernel. 0: that is not known.
	First uint32

	Socket uint64 // as Record.Socket
	Process
}

// An Owner is what is known of a socket that exists.
type Owner struct {
	Since    time.Time // it exists since then, or longer, if Before
	Before   bool      // it was there before the engine
	Opened   Process   // who made it
	Accepted Process   // who accepted it
	Last     Process   // who used it last
	Holders  []Process // who had it when the engine began; later ones are not known
}
