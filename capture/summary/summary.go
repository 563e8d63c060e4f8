// Package summary sums up packets: who talks, how, how much and when, and how TCP and DNS work.
package summary

import (
	"cmp"
	"slices"
	"time"

	"diagsh/capture/headers"
)

// Summary sums up packets.
type Summary struct {
	Packets   int64     `json:"packets"`
	Bytes     int64     `json:"bytes"`    // on the wire
	Captured  int64     `json:"captured"` // bytes
	First     time.Time `json:"first,omitzero"`
	Last      time.Time `json:"last,omitzero"`
	Seconds   float64   `json:"seconds"`
	Protocols []Count   `json:"protocols"` // each packet once, by its innermost protocol
	Tunnels   []Count   `json:"tunnels"`   // encapsulations of packets; a packet in two tunnels counts for both
	Talkers   []Talker  `json:"talkers"`   // by each IP header that a packet has
	Ports     []Count   `json:"ports"`     // the lower of both, such as tcp/25
	Sizes     []Size    `json:"sizes"`
	Rate      Rate      `json:"rate"`
	TCP       TCP       `json:"tcp"`
	Timing    Timing    `json:"timing"`

	Connections []Connection `json:"connections"`
	// connections that were too many to list
	ForgottenConnections int64 `json:"forgottenConnections,omitempty"`

	DNS       *DNS     `json:"dns,omitempty"`
	Copies    int64    `json:"copies"`              // packets that were captured twice
	Unread    []Unread `json:"unread"`              // packets of link types whose headers are not known
	Uncounted int64    `json:"uncounted,omitempty"` // packets of talkers that were too many to list
}

// Unread counts the packets of an unknown link type, by its number in capture files.
type Unread struct {
	LinkType int   `json:"linkType"`
	Packets  int64 `json:"packets"`
}

// Count counts packets of one kind.
type Count struct {
	Name    string `json:"name"`
	Packets int64  `json:"packets"`
	Bytes   int64  `json:"bytes"`
}

// Talker is an address with what it sent and received.
type Talker struct {
	Address         string `json:"address"`
	PacketsSent     int64  `json:"packetsSent"`
	BytesSent       int64  `json:"bytesSent"`
	PacketsReceived int64  `json:"packetsReceived"`
	BytesReceived   int64  `json:"bytesReceived"`
}

// Size counts the packets of From to To bytes.
type Size struct {
	From    int   `json:"from"`
	To      int   `json:"to"` // 0: no upper limit
	Packets int64 `json:"packets"`
}

// Rate is how much passed in each of equal parts of the time.
type Rate struct {
	IntervalSeconds float64 `json:"intervalSeconds"`
	Packets         []int64 `json:"packets"`
	Bytes           []int64 `json:"bytes"`
}

// TCP says how its connections work. Numbers of packets are those of tshark's analysis.
type TCP struct {
	Packets     int64 `json:"packets"`
	Connections int64 `json:"connections"` // the same ends again are another one
	Opened      int64 `json:"opened"`      // connections whose SYN was seen
	Answered    int64 `json:"answered"`    // of these, accepted
	PortsReused int64 `json:"portsReused"` // SYN packets of another connection with the same ends
	Resets      int64 `json:"resets"`      // packets
	Ends        int64 `json:"ends"`        // packets with FIN

	// Retransmissions are packets whose data, SYN or FIN were sent before. Fast ones came right
	// after duplicate acknowledgements, and Spurious ones had been acknowledged before. Timeout
	// counts the others whose sender had been silent for at least 200 ms, the least that Linux
	// waits (TCP_RTO_MIN).
	Retransmissions         int64 `json:"retransmissions"`
	FastRetransmissions     int64 `json:"fastRetransmissions"`
	SpuriousRetransmissions int64 `json:"spuriousRetransmissions"`
	TimeoutRetransmissions  int64 `json:"timeoutRetransmissions"`

	OutOfOrder                int64 `json:"outOfOrder"`
	LostSegments              int64 `json:"lostSegments"`       // packets before which something is missing
	UnseenAcknowledged        int64 `json:"unseenAcknowledged"` // acknowledgements of data that were not seen
	DuplicateAcknowledgements int64 `json:"duplicateAcknowledgements"`
	DuplicateSACKs            int64 `json:"duplicateSacks"` // reports of data that came twice (RFC 2883)

	KeepAlives                      int64 `json:"keepAlives"`
	KeepAliveAcknowledgements       int64 `json:"keepAliveAcknowledgements"`
	ZeroWindows                     int64 `json:"zeroWindows"`
	ZeroWindowProbes                int64 `json:"zeroWindowProbes"`
	ZeroWindowProbeAcknowledgements int64 `json:"zeroWindowProbeAcknowledgements"`
	WindowUpdates                   int64 `json:"windowUpdates"`
	WindowsFull                     int64 `json:"windowsFull"`

	// Copies are packets that were captured twice. CopiesCounted of them are counted wrongly, as in
	// tshark's analysis, as retransmissions, as out of order or as duplicate acknowledgements.
	Copies        int64 `json:"copies"`
	CopiesCounted int64 `json:"copiesCounted"`
}

// DNS says how questions are answered.
type DNS struct {
	Questions       int64 `json:"questions"` // a repeated question counts once
	Repeated        int64 `json:"repeated"`  // packets
	Answered        int64 `json:"answered"`
	Unanswered      int64 `json:"unanswered"`
	UnansweredAtEnd int64 `json:"unansweredAtEnd"` // of these, asked in the last 5 seconds
	Slow            int64 `json:"slow"`            // answers after 500 ms or more
	Failed          int64 `json:"failed"`          // answers with an error other than NXDOMAIN
	Unasked         int64 `json:"unasked"`         // answers whose question was not seen

	Servers             []NameServer `json:"servers"`
	UnansweredQuestions []Question   `json:"unansweredQuestions"`
	SlowestAnswers      []Question   `json:"slowestAnswers"`
}

// NameServer says how a name server answers.
type NameServer struct {
	Address        string  `json:"address"`
	Questions      int64   `json:"questions"`
	Answered       int64   `json:"answered"`
	Unanswered     int64   `json:"unanswered"`
	Slow           int64   `json:"slow"`
	Failed         int64   `json:"failed"`
	LongestSeconds float64 `json:"longestSeconds"`
}

// Question is a DNS question.
type Question struct {
	Name    string    `json:"name"`
	Type    string    `json:"type"`
	Client  string    `json:"client"`
	Server  string    `json:"server"`
	Time    time.Time `json:"time"`
	Tries   int       `json:"tries"`
	Seconds *float64  `json:"seconds,omitempty"` // until the answer
}

// Summary returns the sums so far, with the top entries of each list, and the top connections in
// the given order.
func (c *Counter) Summary(top int, order Order) *Summary {
	s := &Summary{
		Packets: c.packets, Bytes: c.bytes, Captured: c.captured, TCP: c.tcp, Copies: c.copied, Uncounted: c.uncounted,
		Protocols:            busiest(c.protocols, headers.Protocol.String, len(c.protocols)),
		Tunnels:              []Count{},
		Ports:                busiest(c.ports, portKey.String, top),
		Talkers:              []Talker{},
		Sizes:                slices.Clone(c.sizes),
		Connections:          c.connections.list(top, order),
		ForgottenConnections: c.connections.forgotten,
		Timing:               c.connections.timing(),
		DNS:                  c.names.summary(c.last, top),
		Unread:               []Unread{},
	}
	for n, t := range c.tunnels {
		if t.packets > 0 {
			s.Tunnels = append(s.Tunnels, Count{headers.TunnelName(n), t.packets, t.bytes})
		}
	}
	for link, packets := range c.unread {
		s.Unread = append(s.Unread, Unread{int(link), packets})
	}
	slices.SortFunc(s.Unread, func(a, b Unread) int { return cmp.Compare(a.LinkType, b.LinkType) })
	for address, t := range c.talkers {
		t := *t
		t.Address = address.Addr().String()
		s.Talkers = append(s.Talkers, t)
	}
	slices.SortFunc(s.Talkers, func(a, b Talker) int {
		return cmp.Or(cmp.Compare(b.BytesSent+b.BytesReceived, a.BytesSent+a.BytesReceived),
			cmp.Compare(a.Address, b.Address))
	})
	s.Talkers = s.Talkers[:min(top, len(s.Talkers))]
	if c.packets > 0 {
		s.First, s.Last = time.Unix(0, c.first).UTC(), time.Unix(0, c.last).UTC()
		s.Seconds = s.Last.Sub(s.First).Seconds()
	}
	s.Rate = c.clock.rate()
	return s
}

type tally struct{ packets, bytes int64 }

func busiest[K comparable](counts map[K]*tally, name func(K) string, top int) []Count {
	list := []Count{}
	for key, t := range counts {
		list = append(list, Count{name(key), t.packets, t.bytes})
	}
	slices.SortFunc(list,
		func(a, b Count) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name)) })
	return list[:min(top, len(list))]
}
