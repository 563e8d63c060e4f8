package owners

import (
	"net/netip"

	"diagsh/capture"
	"diagsh/capture/headers"
)

// Owners are the processes at the ends of a packet that are on this machine. nil is one that is not
// known, and every end on another machine.
type Owners struct{ Sender, Receiver *Process }

// A Joiner finds the owners of packets. It is for one goroutine.
type Joiner struct {
	table  *Table
	reader headers.Reader
	last   headers.Headers
}

// NewJoiner returns a Joiner that asks a table. The table may grow meanwhile.
func NewJoiner(t *Table) *Joiner { return &Joiner{table: t} }

// Join returns the owners of a packet.
func (j *Joiner) Join(p *capture.Packet, link capture.LinkType) Owners {
	h := &j.last
	j.reader.Read(h, p, link)
	networks := h.Networks()
	if len(networks) == 0 || !h.Outer.Ports {
		return Owners{}
	}
	source := netip.AddrPortFrom(networks[0].Source.Addr(), h.Outer.SourcePort)
	target := netip.AddrPortFrom(networks[0].Target.Addr(), h.Outer.TargetPort)
	const handshake = headers.SYN | headers.ACK | headers.RST | headers.FIN
	q := query{
		protocol: h.Outer.Transport, time: p.Time, payload: h.Outer.Payload || h.Outer.Transport == numbers[UDP],
		sequence: h.Outer.Sequence,
		begins:   h.Outer.Flags&handshake == headers.SYN, answers: h.Outer.Flags&handshake == headers.SYN|headers.ACK,
		refuses: h.Outer.Flags&headers.RST != 0 && h.Outer.Sequence == 0,
	}
	t := j.table
	t.mu.RLock()
	defer t.mu.RUnlock()
	q.netns = t.netns
	var o Owners
	q.local, q.remote, q.sends = source, target, true
	o.Sender = t.find(q)
	if to := target.Addr(); !to.IsMulticast() && to != netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		q.local, q.remote, q.sends = target, source, false
		o.Receiver = t.find(q)
	}
	return o
}
