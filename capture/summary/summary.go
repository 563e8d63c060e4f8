// Package summary sums up packets: who talks, how, how much and when, and how TCP fares.
package summary

import (
	"cmp"
	"slices"
	"time"
)

// Summary is what is to be said about packets.
type Summary struct {
	Packets   int64     `json:"packets"`
	Bytes     int64     `json:"bytes"`    // on the wire
	Captured  int64     `json:"captured"` // bytes
	First     time.Time `json:"first,omitzero"`
	Last      time.Time `json:"last,omitzero"`
	Seconds   float64   `json:"seconds"`
	Protocols []Count   `json:"protocols"` // each packet once, by its innermost protocol
	Talkers   []Talker  `json:"talkers"`
	Ports     []Count   `json:"ports"` // the lower of both, such as tcp/25
	Sizes     []Size    `json:"sizes"`
	Rate      Rate      `json:"rate"`
	TCP       TCP       `json:"tcp"`
	Uncounted int64     `json:"uncounted,omitempty"` // packets of talkers, ports or connections that were too many to list
}

// Count is packets of one kind.
type Count struct {
	Name    string `json:"name"`
	Packets int64  `json:"packets"`
	Bytes   int64  `json:"bytes"`
}

// Talker is an address and what it sent and got.
type Talker struct {
	Address         string `json:"address"`
	PacketsSent     int64  `json:"packetsSent"`
	BytesSent       int64  `json:"bytesSent"`
	PacketsReceived int64  `json:"packetsReceived"`
	BytesReceived   int64  `json:"bytesReceived"`
}

// Size is the packets of From to To bytes.
type Size struct {
	From    int   `json:"from"`
	To      int   `json:"to"` // 0: and above
	Packets int64 `json:"packets"`
}

// Rate is how much passed in each of equal parts of the time.
type Rate struct {
	IntervalSeconds float64 `json:"intervalSeconds"`
	Packets         []int64 `json:"packets"`
	Bytes           []int64 `json:"bytes"`
}

// TCP is how its connections fare.
type TCP struct {
	Packets     int64 `json:"packets"`
	Connections int64 `json:"connections"` // pairs of ends
	Opened      int64 `json:"opened"`      // connections with a first packet
	Answered    int64 `json:"answered"`    // of these, were accepted
	Resets      int64 `json:"resets"`      // packets
	Ends        int64 `json:"ends"`        // packets with FIN

	// Retransmissions are packets whose data, SYN or FIN were seen before, and KeepAlives those
	// that only seem so; OutOfOrder fill a gap that was seen.
	Retransmissions int64 `json:"retransmissions"`
	OutOfOrder      int64 `json:"outOfOrder"`
	KeepAlives      int64 `json:"keepAlives"`
	ZeroWindows     int64 `json:"zeroWindows"`
}

// Summary sums up what was added so far, with the top busiest of each list.
func (c *Counter) Summary(top int) *Summary {
	s := &Summary{
		Packets: c.packets, Bytes: c.bytes, Captured: c.captured, TCP: c.tcp, Uncounted: c.uncounted,
		Protocols: busiest(c.protocols, func(k string) string { return k }, len(c.protocols)),
		Ports:     busiest(c.ports, portKey.String, top),
		Talkers:   []Talker{},
		Sizes:     slices.Clone(c.sizes),
	}
	for address, t := range c.talkers {
		t := *t
		t.Address = address.String()
		s.Talkers = append(s.Talkers, t)
	}
	slices.SortFunc(s.Talkers, func(a, b Talker) int {
		return cmp.Or(cmp.Compare(b.BytesSent+b.BytesReceived, a.BytesSent+a.BytesReceived), cmp.Compare(a.Address, b.Address))
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
	slices.SortFunc(list, func(a, b Count) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name)) })
	return list[:min(top, len(list))]
}
