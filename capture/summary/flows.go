package summary

import (
	"cmp"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/capture"
	"diagsh/capture/headers"
)

// A Flow is a conversation of two ends: a TCP connection, or the packets of another protocol
// between two addresses and ports.
type Flow struct {
	Protocol string // tcp, udp, icmp
	Position int64  // of its first packet
	Number   int    // of the conversation, from 1, by the first packets of all

	// Client is the end that opened it, or sent first.
	Client, Server         headers.Address
	ClientPort, ServerPort uint16
	Ports                  bool // the protocol has ports

	First, Last int64 // times in nanoseconds

	// By the client, and by the server. Bytes are those on the wire, with headers.
	Packets, Bytes  [2]int64
	Resets          int64 // packets of TCP
	Retransmissions int64 // packets of TCP, as tshark counts them
	FromServer      bool  // the first packet is the server's
	Tunneled        bool  // its packets are in tunnels or have VLAN tags
	Closed          bool  // of TCP: both sides have sent a FIN, or one a reset
}

// flowKey identifies the flow that packets belong to. Connections of TCP have their own.
type flowKey struct {
	ends
	protocol headers.Protocol
}

// maxFlows is how many flows are remembered, of TCP and of all others together. With what is known
// of its connection a flow of TCP has about 900 bytes.
const maxFlows = 25_000

// Flows lists the conversations of packets. The packets of a fragmented datagram are one, as soon
// as it is whole; packets that are not IP belong to none.
type Flows struct {
	counter *Counter
	index   map[flowKey]*Flow // of all but TCP
	flows   []*Flow

	latest *Flow // of the packet that was added last
	again  bool

	Packets   int64 // that belong to a flow
	Others    int64 // packets that are not IP, or incomplete fragments
	Forgotten int64 // flows that were too many to list, with their packets
}

// NewFlows returns an empty list.
func NewFlows() *Flows {
	f := &Flows{counter: NewCounter(), index: make(map[flowKey]*Flow)}
	f.counter.connections.most = maxFlows
	return f
}

// Add adds the packet at a position.
func (f *Flows) Add(position int64, p *capture.Packet, link capture.LinkType) {
	c := f.counter
	h := &c.headers
	f.latest, f.again = nil, false
	c.reader.Read(h, p, link)
	network, ok := h.Network()
	switch h.Protocol {
	case headers.IPv4, headers.IPv6, headers.IPv4Fragment, headers.IPv6Fragment:
		ok = false
	}
	if !ok {
		f.Others++
		return
	}
	f.Packets++
	key, _ := endsOf(network, h.SourcePort, h.TargetPort)
	flow := f.find(key, h, p)
	if flow == nil {
		if len(f.flows) >= maxFlows {
			f.Forgotten++
			return
		}
		flow = &Flow{Protocol: headers.IPName(h.Transport), Position: position, First: p.Time, Last: p.Time, Ports: h.Ports,
			Client: network.Source, Server: network.Target, ClientPort: h.SourcePort, ServerPort: h.TargetPort,
			Tunneled: h.Tunnels != 0}
		f.flows = append(f.flows, flow)
		flow.Number = len(f.flows)
		f.keep(flow, key, h)
	}
	before := flow.Retransmissions
	f.count(flow, h, p)
	f.latest, f.again = flow, flow.Retransmissions > before
}

// Latest returns the flow of the packet that was added last, nil if it is of none, and whether the
// packet was sent again.
func (f *Flows) Latest() (flow *Flow, again bool) { return f.latest, f.again }

// find returns the flow of a packet, or nil. Of TCP it has the connection judge the packet.
func (f *Flows) find(key ends, h *headers.Headers, p *capture.Packet) *Flow {
	if h.Transport == unix.IPPROTO_TCP && h.Numbers {
		f.counter.addTCP(h, p.Time, int64(p.Length), false)
		return f.counter.connections.recent.flow
	}
	return f.index[flowKey{key, headers.OfIP(h.Transport)}]
}

// keep remembers which packets a flow has.
func (f *Flows) keep(flow *Flow, key ends, h *headers.Headers) {
	if h.Transport == unix.IPPROTO_TCP && h.Numbers {
		f.counter.connections.recent.flow = flow
		return
	}
	f.index[flowKey{key, headers.OfIP(h.Transport)}] = flow
}

// count adds a packet to its flow.
func (f *Flows) count(flow *Flow, h *headers.Headers, p *capture.Packet) {
	from := 0
	if network, _ := h.Network(); network.Source != flow.Client || h.SourcePort != flow.ClientPort {
		from = 1
	}
	flow.Packets[from]++
	flow.Bytes[from] += int64(p.Length)
	flow.First, flow.Last = min(flow.First, p.Time), max(flow.Last, p.Time)
	if h.Transport != unix.IPPROTO_TCP || !h.Numbers {
		return
	}
	connection := f.counter.connections.recent
	if h.Flags&headers.RST != 0 {
		flow.Resets++
	}
	flow.Retransmissions = connection.faults.retransmissions
	flow.Closed = connection.fin[0] && connection.fin[1] || connection.reset[0] || connection.reset[1]
	if connection.client >= 0 {
		flow.turn(connection)
	}
}

// turn has the client be the opener of the connection, if its first packet that was seen is the
// server's.
func (flow *Flow) turn(c *connection) {
	opener, port := c.key.a, c.key.aPort
	if c.client == 1 {
		opener, port = c.key.b, c.key.bPort
	}
	if flow.Client == opener && flow.ClientPort == port {
		return
	}
	flow.FromServer = !flow.FromServer
	flow.Client, flow.Server = flow.Server, flow.Client
	flow.ClientPort, flow.ServerPort = flow.ServerPort, flow.ClientPort
	flow.Packets[0], flow.Packets[1] = flow.Packets[1], flow.Packets[0]
	flow.Bytes[0], flow.Bytes[1] = flow.Bytes[1], flow.Bytes[0]
}

// FlowOrder says which flows come first.
type FlowOrder string

// Orders of flows. Those that are equal come by their first packets.
const (
	FlowsEarliest FlowOrder = "earliest"
	FlowsLargest  FlowOrder = "largest" // by bytes
	FlowsBusiest  FlowOrder = "busiest" // by packets
	FlowsLongest  FlowOrder = "longest" // by their duration
	FlowsWorst    FlowOrder = "worst"   // by retransmissions and resets
)

// Total returns how many flows are in the list.
func (f *Flows) Total() int { return len(f.flows) }

// List returns at most count flows in an order, after the first skip.
func (f *Flows) List(order FlowOrder, skip, count int) []*Flow {
	list := slices.Clone(f.flows)
	slices.SortStableFunc(list, func(a, b *Flow) int {
		switch order {
		case FlowsLargest:
			return cmp.Compare(b.Bytes[0]+b.Bytes[1], a.Bytes[0]+a.Bytes[1])
		case FlowsBusiest:
			return cmp.Compare(b.Packets[0]+b.Packets[1], a.Packets[0]+a.Packets[1])
		case FlowsLongest:
			return cmp.Compare(b.Last-b.First, a.Last-a.First)
		case FlowsWorst:
			return cmp.Compare(b.Retransmissions+b.Resets, a.Retransmissions+a.Resets)
		}
		return 0
	})
	skip = min(skip, len(list))
	return list[skip:min(skip+count, len(list))]
}

// Duration returns the time from the first packet to the last.
func (flow *Flow) Duration() time.Duration { return time.Duration(flow.Last - flow.First) }
