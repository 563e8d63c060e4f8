package summary

import "net/netip"

// connection is the ends of one, the smaller first.
type connection struct {
	a, b         netip.Addr
	aPort, bPort uint16
}

// flow is what was seen of a connection. Its ways are from a to b, and back.
type flow struct {
	ways             [2]way
	opened, answered bool
}

// way is what was seen of one direction.
type way struct {
	known bool
	next  uint32 // the number behind all that was seen
	gap   uint32 // behind it something is missing; valid if gaps
	gaps  bool
	begin uint32 // of the missing part
}

// addTCP counts a packet of TCP. What it says of retransmissions is what a capture on the
// way can know, by the rules of tshark's analysis without its clock: data that end at or
// before what was seen are seen again, unless they fill a gap.
func (c *Counter) addTCP(h *header) {
	t := &c.tcp
	t.Packets++
	if h.flags&flagRST != 0 {
		t.Resets++
	}
	if h.flags&flagFIN != 0 {
		t.Ends++
	}
	if h.window == 0 && h.flags&(flagRST|flagSYN|flagFIN) == 0 {
		t.ZeroWindows++
	}
	f, back := c.flow(h)
	if f == nil {
		c.uncounted++
		return
	}
	if h.flags&(flagSYN|flagACK) == flagSYN && !f.opened {
		f.opened = true
		t.Opened++
	}
	if h.flags&(flagSYN|flagACK) == flagSYN|flagACK && f.opened && !f.answered {
		f.answered = true
		t.Answered++
	}
	w := &f.ways[0]
	if back {
		w = &f.ways[1]
	}
	length := uint32(h.data)
	if h.flags&flagSYN != 0 {
		length++
	}
	if h.flags&flagFIN != 0 {
		length++
	}
	if h.flags&flagRST != 0 {
		return
	}
	w.see(t, h, length)
}

func (w *way) see(t *TCP, h *header, length uint32) {
	end := h.sequence + length
	if h.flags&flagSYN != 0 && w.known && h.sequence+1 != w.next && before(w.next, h.sequence) {
		*w = way{} // the ports are used again
	}
	switch {
	case !w.known:
		w.known, w.next = true, end
	case length == 0:
	case length == uint32(h.data) && h.data <= 1 && h.sequence+1 == w.next:
		t.KeepAlives++
	case w.gaps && !before(h.sequence, w.begin) && !before(w.gap, end):
		t.OutOfOrder++
		if h.sequence == w.begin {
			w.begin = end
		}
		if w.begin == w.gap {
			w.gaps = false
		}
	case before(h.sequence, w.next):
		t.Retransmissions++
		if before(w.next, end) {
			w.next = end
		}
	default:
		if h.sequence != w.next {
			w.gaps, w.begin, w.gap = true, w.next, h.sequence
		}
		w.next = end
	}
}

// before compares sequence numbers, which go round (RFC 9293, section 3.4).
func before(a, b uint32) bool { return int32(a-b) < 0 }

// flow finds the connection of a packet; back says that the packet goes from b to a.
func (c *Counter) flow(h *header) (f *flow, back bool) {
	key := connection{h.source, h.target, h.sourcePort, h.targetPort}
	if o := h.target.Compare(h.source); o < 0 || o == 0 && h.targetPort < h.sourcePort {
		key, back = connection{h.target, h.source, h.targetPort, h.sourcePort}, true
	}
	f = c.connections[key]
	if f == nil {
		if len(c.connections) >= maxConnections {
			return nil, back
		}
		f = new(flow)
		c.connections[key] = f
		c.tcp.Connections++
	}
	return f, back
}
