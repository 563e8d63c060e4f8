package summary

import (
	"cmp"
	"container/heap"
	"net/netip"
	"slices"
	"time"
)

// Order says which connections come first.
type Order int

const (
	Slowest   Order = iota // the longest wait for an answer first
	Largest                // by bytes
	Worst                  // by retransmissions, and packets out of order
	Earliest               // by the first packet
	OrderNone              // no list
)

// Connection is a TCP connection. What was not seen is left out.
type Connection struct {
	// the opener, or if that was not seen the end with the higher port
	Client          string    `json:"client"`
	ClientPort      int       `json:"clientPort"`
	Server          string    `json:"server"`
	ServerPort      int       `json:"serverPort"`
	First           time.Time `json:"first"`
	Seconds         float64   `json:"seconds"`
	State           State     `json:"state"`
	OpeningSeen     bool      `json:"openingSeen"`
	PacketsSent     int64     `json:"packetsSent"` // by the client
	PacketsReceived int64     `json:"packetsReceived"`
	BytesSent       int64     `json:"bytesSent"` // on the wire, with headers
	BytesReceived   int64     `json:"bytesReceived"`
	DataSent        int64     `json:"dataSent"` // TCP payload in bytes, with retransmissions
	DataReceived    int64     `json:"dataReceived"`

	SYNsRepeated    int64    `json:"synsRepeated"`
	AnsweredSeconds *float64 `json:"answeredSeconds,omitempty"` // from the first SYN to the SYN-ACK
	// from the first SYN to the client's first packet after the SYN-ACK
	HandshakeSeconds *float64 `json:"handshakeSeconds,omitempty"`
	FirstByteSeconds *float64 `json:"firstByteSeconds,omitempty"` // from there to the server's first data

	// Answers counts how often the server sent data after the client had, or was the first to send.
	// The seconds are from the client's last data, or the end of the handshake, until then.
	Answers            int64    `json:"answers"`
	WaitedSeconds      *float64 `json:"waitedSeconds,omitempty"`
	LongestWaitSeconds *float64 `json:"longestWaitSeconds,omitempty"`

	Retransmissions int64 `json:"retransmissions"`
	OutOfOrder      int64 `json:"outOfOrder"`
	LostSegments    int64 `json:"lostSegments"`
	ZeroWindows     int64 `json:"zeroWindows"`
}

// State is how a connection ended.
type State string

// States of connections.
const (
	Unanswered State = "unanswered" // nothing came back
	Refused    State = "refused"    // the answer to the SYN was a reset
	HalfOpen   State = "half open"  // a SYN-ACK, and nothing from the client after it
	Open       State = "open"
	Closing    State = "closing" // one side has sent a FIN
	Closed     State = "closed"
	WasReset   State = "reset"
)

func (f *connection) state() State {
	client := f.opener()
	switch {
	case f.handshake.refused:
		return Refused
	case f.fin[0] && f.fin[1]:
		return Closed
	case f.reset[0] || f.reset[1]:
		return WasReset
	case f.fin[0] || f.fin[1]:
		return Closing
	case f.handshake.seen && f.ways[1-client].packets == 0:
		return Unanswered
	case f.answered && !f.handshake.done:
		return HalfOpen
	}
	return Open
}

// compare orders connections. A negative result means that f comes before other.
func (f *connection) compare(other *connection, order Order) int {
	return cmp.Or(f.compareBy(other, order), cmp.Compare(f.first, other.first),
		cmp.Compare(f.key.aPort, other.key.aPort), cmp.Compare(f.key.bPort, other.key.bPort))
}

func (f *connection) compareBy(other *connection, order Order) int {
	switch order {
	case Slowest:
		return cmp.Compare(other.slowness(), f.slowness())
	case Largest:
		return cmp.Compare(other.ways[0].bytes+other.ways[1].bytes, f.ways[0].bytes+f.ways[1].bytes)
	case Worst:
		return cmp.Compare(other.faults.retransmissions+other.faults.outOfOrder,
			f.faults.retransmissions+f.faults.outOfOrder)
	}
	return 0
}

// slowness returns the client's longest wait: for the server to accept, or for an answer.
func (f *connection) slowness() time.Duration {
	d := f.turns.longest
	if f.answered {
		d = max(d, time.Duration(f.handshake.synACK-f.handshake.asked))
	}
	return d
}

// list returns the top connections of those that are remembered.
func (c *connections) list(top int, order Order) []Connection {
	list := []Connection{}
	if order == OrderNone {
		return list
	}
	h := &chosen{order: order}
	for f := c.oldest; f != nil; f = f.newer {
		switch {
		case len(h.list) < top:
			heap.Push(h, f)
		case f.compare(h.list[0], order) < 0:
			h.list[0] = f
			heap.Fix(h, 0)
		}
	}
	slices.SortFunc(h.list, func(a, b *connection) int { return a.compare(b, order) })
	for _, f := range h.list {
		list = append(list, f.record())
	}
	return list
}

// chosen is a heap of connections with the last one on top.
type chosen struct {
	list  []*connection
	order Order
}

func (h *chosen) Len() int           { return len(h.list) }
func (h *chosen) Less(i, j int) bool { return h.list[i].compare(h.list[j], h.order) > 0 }
func (h *chosen) Swap(i, j int)      { h.list[i], h.list[j] = h.list[j], h.list[i] }
func (h *chosen) Push(f any)         { h.list = append(h.list, f.(*connection)) }
func (h *chosen) Pop() any {
	f := h.list[len(h.list)-1]
	h.list = h.list[:len(h.list)-1]
	return f
}

func (f *connection) record() Connection {
	client := f.opener()
	out, in := f.ways[client], f.ways[1-client]
	ports := [2]uint16{f.key.aPort, f.key.bPort}
	addresses := [2]netip.Addr{f.key.a.Addr(), f.key.b.Addr()}
	r := Connection{
		Client: addresses[client].String(), ClientPort: int(ports[client]), Server: addresses[1-client].String(),
		ServerPort: int(ports[1-client]),
		First:      time.Unix(0, f.first).UTC(), Seconds: time.Duration(f.last - f.first).Seconds(), State: f.state(),
		OpeningSeen: f.handshake.seen,
		PacketsSent: out.packets, PacketsReceived: in.packets, BytesSent: out.bytes, BytesReceived: in.bytes,
		DataSent: out.data, DataReceived: in.data,
		SYNsRepeated: f.handshake.repeated, Answers: f.turns.waits,
		Retransmissions: f.faults.retransmissions, OutOfOrder: f.faults.outOfOrder, LostSegments: f.faults.lost,
		ZeroWindows: f.faults.zeroWindows,
	}
	if f.answered {
		r.AnsweredSeconds = seconds(f.handshake.synACK - f.handshake.asked)
	}
	if f.handshake.done {
		r.HandshakeSeconds = seconds(f.handshake.doneAt - f.handshake.asked)
		if f.turns.first {
			r.FirstByteSeconds = seconds(f.turns.firstAt - f.handshake.doneAt)
		}
	}
	if f.turns.waits > 0 {
		r.WaitedSeconds, r.LongestWaitSeconds = seconds(int64(f.turns.waited)), seconds(int64(f.turns.longest))
	}
	return r
}

func seconds(nanoseconds int64) *float64 {
	s := time.Duration(max(nanoseconds, 0)).Seconds()
	return &s
}

// Timing is how long connections waited for the network and for servers.
type Timing struct {
	Handshakes int64 `json:"handshakes"` // connections whose complete handshake was seen
	// seconds from the SYN to its end: a round trip, if nothing was lost
	Handshake  *Spread `json:"handshake,omitempty"`
	FirstBytes int64   `json:"firstBytes"`          // connections whose server sent data after that
	FirstByte  *Spread `json:"firstByte,omitempty"` // seconds from there to the server's first data
	Answers    int64   `json:"answers"`
	Answered   int64   `json:"answered"` // connections with answers
	// seconds of the longest wait for an answer of each connection
	Answer *Spread `json:"answer,omitempty"`
}

// Spread is the distribution of values.
type Spread struct {
	Median  float64 `json:"median"`
	Longest float64 `json:"longest"`
}

// timing returns the Timing of the remembered connections.
func (c *connections) timing() (t Timing) {
	var handshake, first, answer []int64
	for f := c.oldest; f != nil; f = f.newer {
		if f.handshake.done {
			handshake = append(handshake, f.handshake.doneAt-f.handshake.asked)
			if f.turns.first {
				first = append(first, f.turns.firstAt-f.handshake.doneAt)
			}
		}
		if f.turns.waits > 0 {
			answer = append(answer, int64(f.turns.longest))
			t.Answers += f.turns.waits
		}
	}
	t.Handshakes, t.Handshake = int64(len(handshake)), spread(handshake)
	t.FirstBytes, t.FirstByte = int64(len(first)), spread(first)
	t.Answered, t.Answer = int64(len(answer)), spread(answer)
	return t
}

func spread(values []int64) *Spread {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	return &Spread{*seconds(values[len(values)/2]), *seconds(values[len(values)-1])}
}
