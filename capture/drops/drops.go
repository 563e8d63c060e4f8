// Package drops tells which packets the kernel drops, why and where: each with its reason, the place
// in the kernel, the interface, and its first bytes from the header of its network on.
//
// All packets are counted. Those that are told one by one are a sample in a flood. What any machine
// drops all the time and nobody misses is Noise.
package drops

import (
	"net/netip"
	"time"

	"diagsh/capture"
)

// Interface is what packets in files of drops are from: they begin with the header of IP.
var Interface = capture.Interface{Name: "drops", LinkType: capture.Raw}

// SnapLength is how many bytes of a packet are known at most.
const SnapLength = 128

// A Where is what a dropped packet has in common with others.
type Where struct {
	// Reason is the kernel's name for why, without SKB_DROP_REASON_: NO_SOCKET. A reason that the
	// kernel does not name is its number.
	Reason string

	// Place is the function of the kernel that dropped it; empty: the appliance may not read the
	// names of its functions.
	Place string

	EtherType uint16 // 0 for packets that are none, of Unix and netlink sockets

	// Noise reports that any machine drops such packets all the time, and nobody misses them.
	Noise bool
}

// A Flow is the two ends of a dropped packet. Without a header of IP there is none.
type Flow struct {
	Interface string // that it came by or was to leave by; empty: not known
	Index     int    // of the interface

	Protocol            uint8          // of IP
	Source, Destination netip.AddrPort // port 0 where the protocol has none; invalid: no IP
}

// A Drop is a packet that the kernel dropped.
type Drop struct {
	Where
	Flow
	Time     time.Time
	Incoming bool // it came from an interface

	// Cookie and Inode are of the socket that it was of, or 0: the one that sent it, or that did not
	// take it.
	Cookie, Inode uint64

	Length int    // from the header of IP on
	Data   []byte // what is known of that, valid until the watcher returns
}

// A Count is how many packets were dropped for one reason at one place, while somebody watched.
// Who watches subtracts what was there before.
type Count struct {
	Where
	Packets uint64
	Told    uint64 // to watchers, one by one
}

// A FlowCount is how many packets of a flow were dropped. Of very many flows those of the oldest are
// forgotten.
type FlowCount struct {
	Where
	Flow
	Packets       uint64
	Last          time.Time
	Cookie, Inode uint64 // of the socket of the last that had one
}
