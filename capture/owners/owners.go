// Package owners tells which process was at the ends of packets. A Table has who had each
// conversation of sockets, and when, as it was seen when it happened: nobody can tell afterwards. A
// Joiner looks up the sender and the receiver of packets in it.
//
// No answer is an answer: a packet whose process is not known for sure has none. Those are packets
// of the kernel itself, such as resets for ports where nobody listens, ICMP and ARP, what is
// forwarded or addressed to many, and what was sent before the table began or while events were
// lost. Of fragments the first has an owner, and of tunnels the packet that carries them.
package owners

import (
	"net/netip"
	"time"
)

// A Process is who had an end of a conversation. PID 0 is the kernel, or nobody who is known.
type Process struct {
	PID  int    `json:"pid"`
	Name string `json:"process,omitempty"` // any bytes but NUL
	Exe  string `json:"exe,omitempty"`
	UID  uint32 `json:"uid"`
	User string `json:"user,omitempty"`
}

// A Protocol is a transport by its name.
type Protocol string

const (
	TCP  Protocol = "tcp"
	UDP  Protocol = "udp"
	SCTP Protocol = "sctp"
)

// A Flow is who had the local end of a conversation, and when. It may be told again, with the same
// Socket, From and ends, when more is known of it.
type Flow struct {
	NetNS    uint64   `json:"netns"` // inode of the network namespace
	Protocol Protocol `json:"protocol"`

	// LocalAddress is unspecified for a socket that is not bound to one. There is no RemotePort if
	// the flow is of any other end: of a listener, or of a UDP socket whose peers are not known.
	LocalAddress  netip.Addr `json:"localAddress,omitzero"`
	LocalPort     uint16     `json:"localPort"`
	RemoteAddress netip.Addr `json:"remoteAddress,omitzero"`
	RemotePort    uint16     `json:"remotePort,omitempty"`

	From  time.Time `json:"fromTime"`
	Until time.Time `json:"untilTime,omitzero"` // zero: it goes on

	// Unused is when the process that had the socket before was last seen to use it. Data that was sent
	// between then and From may be of either. It is zero if nobody had the socket before, or that is
	// not known.
	Unused time.Time `json:"unusedTime,omitzero"`

	// First is the sequence number of TCP from which on what is sent is of this process, though others
	// had the socket before; 0: that is not known.
	First uint32 `json:"firstSequence,omitempty"`

	Socket uint64 `json:"socket"` // different sockets have different numbers
	Process
}
