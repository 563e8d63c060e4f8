package summary

import (
	"encoding/binary"

	"diagsh/capture/headers"
)

// What is said of TCP's packets is what tshark 4.0 says of them (tcp.analysis in
// https://www.wireshark.org/docs/wsug_html_chunked/ChAdvTCPAnalysis.html), by the same rules: so
// both can be laid side by side. docs/operators-guide/summary.md has the differences that remain.

// way is what was seen of one direction of a connection. As in tshark, a number of 0 means not
// known.
type way struct {
	packets, bytes, data int64

	next     uint32 // after the highest byte seen
	nextTime int64
	whole    uint32 // after the highest byte up to which nothing is missing
	acked    uint32 // the last acknowledgement
	time     int64  // of the last packet
	window   uint32 // not scaled; unknownWindow before the first packet
	scale    int8
	repeats  int32 // of the last acknowledgement; -1: the other side acknowledged data that were not seen

	base             uint32 // sequence number of the SYN
	hasBase          bool
	unscaled         bool   // the next acknowledgement's window is unscaled, as in a SYN
	keepAlive, probe bool   // kind of the last packet
	dataTime         int64  // of the last packet with data
	announced        uint16 // the length of a DNS message, sent alone in the last packet with data
}

const (
	unknownWindow = 1<<32 - 1

	scaleUnknown = -1
	scaleNone    = -2

	// reorderWithin is how late reordered data come in a connection whose round trip is not known;
	// else it is a round trip.
	reorderWithin = 3e6

	// fastWithin is how long after a duplicate acknowledgement a retransmission is fast.
	fastWithin = 20e6

	// leastTimeout is Linux's smallest RTO (TCP_RTO_MIN), in nanoseconds.
	leastTimeout = 200e6
)

func (w *way) begin() { *w = way{window: unknownWindow, scale: scaleUnknown} }

// verdict is the set of statements about one packet.
type verdict uint16

const (
	retransmitted verdict = 1 << iota
	fast
	spurious
	timedOut
	outOfOrder
	lostBefore
	unseenAcked
	keepAlive
	keepAliveACK
	zeroWindow
	zeroWindowProbe
	zeroWindowProbeACK
	windowUpdate
	windowFull
	duplicateACK
	portsReused
)

// addTCP counts a TCP packet; at is its time.
func (c *Counter) addTCP(h *headers.Headers, at int64, length int64, copied bool) {
	t := &c.tcp
	t.Packets++
	if copied {
		t.Copies++
	}
	if !h.Numbers {
		return
	}
	if h.HeaderLength >= minHeader && h.Flags&headers.RST != 0 {
		t.Resets++
	}
	if h.HeaderLength >= minHeader && h.Flags&headers.FIN != 0 {
		t.Ends++
	}
	network, _ := h.Network()
	key, back := endsOf(network, h.SourcePort, h.TargetPort)
	f := c.connections.find(key)
	if f == nil {
		f = c.begin(key, at)
	}
	to := 0
	if back {
		to = 1
	}
	f, v := c.reused(f, key, h, to, at)
	c.connections.touch(f, at)
	w := &f.ways[to]
	w.packets++
	w.bytes += length
	if h.Measured {
		v = f.analyze(h, to, at, v)
		w.data += int64(h.Length)
	}
	if h.HeaderLength < minHeader { // its numbers are followed, and nothing is stated about it
		return
	}
	f.learnWindows(h, to)
	c.open(f, h, to, at)
	if h.Measured && h.Length > 0 && v&(retransmitted|keepAlive) == 0 {
		f.turns.data(f, to, at)
	}
	if duplicateSACK(h) {
		t.DuplicateSACKs++
	}
	c.judge(f, v, copied)
}

// reused judges a SYN on a known connection: with another number than its first one, the ports are
// used again. For a SYN without ACK the packet then belongs to the connection that it returns.
func (c *Counter) reused(f *connection, key ends, h *headers.Headers, to int, at int64) (*connection, verdict) {
	var v verdict
	switch h.Flags & (headers.SYN | headers.ACK) {
	case headers.SYN:
		if w := &f.ways[to]; w.hasBase && w.base != h.Sequence {
			f = c.begin(key, at)
			v |= portsReused
		} else if w.hasBase {
			w.next = w.whole // a reset with a number of its own does not count
		}
	case headers.SYN | headers.ACK:
		if w := &f.ways[to]; w.hasBase && w.base != h.Sequence {
			w.base = h.Sequence
			v |= portsReused
		}
	}
	return f, v
}

func (c *Counter) begin(key ends, at int64) *connection {
	c.tcp.Connections++
	return c.connections.begin(key, at)
}

// judge counts the statements about a packet.
func (c *Counter) judge(f *connection, v verdict, copied bool) {
	if v == 0 {
		return
	}
	t := &c.tcp
	for _, n := range []struct {
		of    verdict
		count *int64
	}{
		{retransmitted, &t.Retransmissions}, {fast, &t.FastRetransmissions}, {spurious, &t.SpuriousRetransmissions},
		{timedOut, &t.TimeoutRetransmissions},
		{outOfOrder, &t.OutOfOrder}, {lostBefore, &t.LostSegments}, {unseenAcked, &t.UnseenAcknowledged},
		{keepAlive, &t.KeepAlives}, {keepAliveACK, &t.KeepAliveAcknowledgements},
		{zeroWindow, &t.ZeroWindows}, {zeroWindowProbe, &t.ZeroWindowProbes},
		{zeroWindowProbeACK, &t.ZeroWindowProbeAcknowledgements},
		{windowUpdate, &t.WindowUpdates}, {windowFull, &t.WindowsFull}, {duplicateACK, &t.DuplicateAcknowledgements},
		{portsReused, &t.PortsReused},
	} {
		if v&n.of != 0 {
			*n.count++
		}
	}
	if copied && v&(retransmitted|outOfOrder|duplicateACK) != 0 {
		t.CopiesCounted++
	}
	if v&retransmitted != 0 {
		f.faults.retransmissions++
	}
	if v&outOfOrder != 0 {
		f.faults.outOfOrder++
	}
	if v&zeroWindow != 0 {
		f.faults.zeroWindows++
	}
	if v&lostBefore != 0 {
		f.faults.lost++
	}
}

// before compares sequence numbers, which wrap around (RFC 9293, section 3.4).
func before(a, b uint32) bool { return int32(a-b) < 0 }

// analyze judges a packet by the earlier ones of its connection.
func (f *connection) analyze(h *headers.Headers, to int, at int64, v verdict) verdict {
	w, other := &f.ways[to], &f.ways[1-to]
	seq, ack, length, flags := h.Sequence, h.Acknowledged, uint32(h.Length), h.Flags
	if !w.hasBase {
		w.hasBase, w.base = true, seq-1
		if flags&headers.SYN != 0 {
			w.base = seq
		}
	}
	if !other.hasBase && flags&headers.ACK != 0 {
		other.hasBase, other.base = true, ack-1
	}

	v |= w.windows(other, h)
	if ack != w.acked {
		w.repeats = 0
	}
	if flags&headers.ACK != 0 && other.unseen(ack) {
		v |= unseenAcked
	}
	end := seq + length
	if flags&(headers.SYN|headers.FIN) != 0 {
		end++
	}
	if end != seq && v&keepAlive == 0 {
		v |= f.again(w, other, seq, length, end, at)
	}

	if v&zeroWindowProbe == 0 {
		if w.next == 0 || before(w.next, end) {
			w.next, w.nextTime = end, at
		}
		if w.whole == 0 || w.whole == seq {
			w.whole = w.next
		}
	}
	if end != seq {
		w.dataTime = at
	}
	w.window, w.acked, w.time = uint32(h.Window), ack, at
	w.keepAlive, w.probe = v&keepAlive != 0, v&zeroWindowProbe != 0
	return v
}

// windows judges what a packet says about windows, and whether it repeats the last one. w is its
// way, with the state before it.
func (w *way) windows(other *way, h *headers.Headers) (v verdict) {
	seq, ack, length := h.Sequence, h.Acknowledged, uint32(h.Length)
	special := h.Flags&(headers.SYN|headers.FIN|headers.RST) != 0
	same := seq == w.next && ack == w.acked && !special // like the packet before, without data
	window := uint32(h.Window)
	switch {
	case length == 1 && seq == w.next && other.window == 0:
		v |= zeroWindowProbe
	default:
		if window == 0 && !special {
			v |= zeroWindow
		}
		if w.next != 0 && before(w.next, seq) && h.Flags&headers.RST == 0 {
			v |= lostBefore
		}
		if length <= 1 && seq == w.next-1 && !special {
			v |= keepAlive
		}
		if length > 0 && !special && other.scale != scaleUnknown &&
			seq+length == other.acked+other.window<<other.shift() {
			v |= windowFull
		}
		if length > 0 || !same {
			break
		}
		switch {
		case window != 0 && window != w.window:
			v |= windowUpdate
		case window != 0 && other.keepAlive:
			v |= keepAliveACK
		case window != 0:
			v |= duplicateACK
			w.repeats = max(w.repeats, 0) + 1
		case w.window == 0 && other.probe:
			v |= zeroWindowProbeACK
		}
	}
	return v
}

// unseen reports whether ack acknowledges data of w that were not captured. A gap within the
// captured data is reported each time, and data after all that was captured only once, until they
// are acknowledged again.
func (w *way) unseen(ack uint32) bool {
	switch {
	case w.whole == 0 || !before(w.whole, ack):
		return false
	case before(w.whole, w.next):
		w.whole = w.next
		return true
	}
	first := w.repeats == 0
	w.repeats = -1
	return first
}

// again judges a packet whose numbers from seq to before end were seen before: retransmitted, or
// out of order.
func (f *connection) again(w, other *way, seq, length, end uint32, at int64) verdict {
	old := w.next != 0 && before(seq, w.next)
	if length > 1 && w.next-1 == seq { // data after the byte of a probe are new
		old = false
	}
	if length > 0 && other.acked != 0 && !before(other.acked, seq+length) {
		return retransmitted | spurious
	}
	if !old {
		return 0
	}
	within := uint64(reorderWithin)
	if f.handshake.roundTrip != 0 {
		within = uint64(f.handshake.roundTrip)
	}
	switch {
	// also if acknowledgements are of data that were not captured
	case (other.repeats >= 2 || other.repeats < 0) && other.acked == seq && uint64(at-other.time) < fastWithin:
		return retransmitted | fast
	case uint64(at-w.nextTime) < within && w.next != end:
		return outOfOrder
	case at-w.dataTime >= leastTimeout:
		return retransmitted | timedOut
	}
	return retransmitted
}

// shift returns the scale of the window.
func (w *way) shift() uint32 {
	if w.scale < 0 || w.unscaled {
		return 0
	}
	return uint32(w.scale)
}

// learnWindows reads what a packet says about windows: their scale is valid if both sides gave one
// (RFC 7323, section 2).
func (f *connection) learnWindows(h *headers.Headers, to int) {
	w, other := &f.ways[to], &f.ways[1-to]
	if h.Flags&headers.SYN != 0 {
		w.unscaled = true
	} else if h.Flags&headers.ACK != 0 {
		w.unscaled = false
	}
	if shift, ok := windowScale(h.Options); ok {
		w.scale = shift
	}
	if h.Flags&headers.SYN == 0 || h.Cut {
		return
	}
	if w.scale == scaleUnknown {
		w.scale, other.scale = scaleNone, scaleNone
	} else if h.Flags&headers.ACK != 0 && other.scale == scaleNone {
		w.scale = scaleNone
	}
}

// minHeader is the smallest length of a TCP header.
const minHeader = 20

// TCP options.
const (
	optionEnd         = 0
	optionNone        = 1
	optionWindowScale = 3
	optionSACK        = 5
)

// option returns the value of a TCP option.
func option(options []byte, kind byte) (value []byte, ok bool) {
	for len(options) > 0 && options[0] != optionEnd {
		if options[0] == optionNone {
			options = options[1:]
			continue
		}
		if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
			return nil, false
		}
		if options[0] == kind {
			return options[2:options[1]], true
		}
		options = options[options[1]:]
	}
	return nil, false
}

func windowScale(options []byte) (shift int8, ok bool) {
	value, ok := option(options, optionWindowScale)
	if !ok || len(value) != 1 {
		return 0, false
	}
	return int8(min(value[0], 14)), true
}

// duplicateSACK reports whether a packet says that data came twice (RFC 2883, section 4): its first
// block is acknowledged already, or is within the second.
func duplicateSACK(h *headers.Headers) bool {
	if len(h.Options) < 10 {
		return false
	}
	value, ok := option(h.Options, optionSACK)
	if !ok || len(value) < 8 {
		return false
	}
	right := binary.BigEndian.Uint32(value[4:])
	if !before(h.Acknowledged, right) {
		return true
	}
	return len(value) >= 16 && before(binary.BigEndian.Uint32(value[8:]), right) &&
		!before(binary.BigEndian.Uint32(value[12:]), right)
}
