// Package icmp explains ICMP error messages, in the words of the RFCs and the letters of
// traceroute(8).
package icmp

import "fmt"

// An Error is an ICMP or ICMPv6 error message.
type Error struct {
	IPv6       bool
	Type, Code int
	MTU        int // of the next hop, which the packet was too big for
}

// Types (RFC 792, RFC 4443).
const (
	unreachable, exceeded, problem               = 3, 11, 12
	unreachable6, tooBig6, exceeded6, problem6   = 1, 2, 3, 4
	codePort, codeFragment, codePort6, codeInWay = 3, 4, 4, 0
)

// Exceeded reports whether the hop limit of the packet ran out at a router.
func (e Error) Exceeded() bool {
	return e.Code == codeInWay && (!e.IPv6 && e.Type == exceeded || e.IPv6 && e.Type == exceeded6)
}

// PortUnreachable reports whether the packet reached a host where no program has its port.
func (e Error) PortUnreachable() bool {
	return !e.IPv6 && e.Type == unreachable && e.Code == codePort || e.IPv6 && e.Type == unreachable6 &&
		e.Code == codePort6
}

// TooBig reports whether the packet must not be fragmented and does not fit the next hop.
func (e Error) TooBig() bool {
	return !e.IPv6 && e.Type == unreachable && e.Code == codeFragment || e.IPv6 && e.Type == tooBig6
}

// A reason is why something is unreachable.
type reason struct{ letter, words string }

// RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1.
var reasons = map[int]reason{
	0:  {"!N", "network unreachable"},
	1:  {"!H", "host unreachable"},
	2:  {"!P", "protocol unreachable"},
	3:  {"", "port unreachable"},
	5:  {"!S", "source route failed"},
	6:  {"!U", "network unknown"},
	7:  {"!W", "host unknown"},
	8:  {"!I", "source host isolated"},
	9:  {"!A", "network administratively prohibited"},
	10: {"!Z", "host administratively prohibited"},
	11: {"!Q", "network unreachable for this type of service"},
	12: {"!T", "host unreachable for this type of service"},
	13: {"!X", "communication administratively prohibited"},
	14: {"!V", "host precedence violation"},
	15: {"!C", "precedence cutoff in effect"},
}

// RFC 4443, section 3.1.
var reasons6 = map[int]reason{
	0: {"!N", "no route to the destination"},
	1: {"!X", "communication administratively prohibited"},
	2: {"!H", "beyond the scope of the source address"},
	3: {"!H", "address unreachable"},
	4: {"", "port unreachable"},
	5: {"!X", "source address failed policy"},
	6: {"!X", "route to the destination rejected"},
	7: {"!S", "error in the source routing header"},
}

func (e Error) reason() (r reason, ok bool) {
	switch {
	case !e.IPv6 && e.Type == unreachable:
		r, ok = reasons[e.Code]
	case e.IPv6 && e.Type == unreachable6:
		r, ok = reasons6[e.Code]
	}
	return r, ok
}

// Unreachable reports whether a router or the target cannot deliver the packet.
func (e Error) Unreachable() bool {
	return !e.IPv6 && e.Type == unreachable || e.IPv6 && e.Type == unreachable6
}

// Letter returns the annotation of traceroute(8): !H, !N, !F-1400, !<7>. It is empty for an
// exceeded hop limit and for the target's answer.
func (e Error) Letter() string {
	if e.TooBig() {
		return fmt.Sprintf("!F-%d", e.MTU)
	}
	if r, ok := e.reason(); ok {
		return r.letter
	}
	switch {
	case e.Exceeded():
		return ""
	case e.Unreachable():
		return fmt.Sprintf("!<%d>", e.Code)
	}
	return fmt.Sprintf("!<%d-%d>", e.Type, e.Code)
}

// String describes the error in words.
func (e Error) String() string {
	if e.TooBig() {
		return fmt.Sprintf("packet too big for the next hop, whose MTU is %d", e.MTU)
	}
	if r, ok := e.reason(); ok {
		return r.words
	}
	switch {
	case e.Exceeded():
		return "time to live exceeded"
	case !e.IPv6 && e.Type == exceeded, e.IPv6 && e.Type == exceeded6:
		return "fragments did not come together in time"
	case !e.IPv6 && e.Type == problem, e.IPv6 && e.Type == problem6:
		return "parameter problem"
	}
	return fmt.Sprintf("ICMP error, type %d code %d", e.Type, e.Code)
}
