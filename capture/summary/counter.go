package summary

import (
	"fmt"
	"hash/maphash"
	"math/bits"

	"golang.org/x/sys/unix"

	"diagsh/capture"
	"diagsh/capture/headers"
)

// Counter adds packets up. It looks only at their headers and at DNS questions, and its memory is
// bounded, whatever the packets are.
type Counter struct {
	packets, bytes, captured int64
	first, last              int64
	reader                   headers.Reader
	headers                  headers.Headers
	protocols                map[headers.Protocol]*tally
	tunnels                  [headers.TunnelKinds]tally
	talkers                  map[headers.Address]*Talker
	ports                    map[portKey]*tally
	sizes                    []Size
	clock                    clock
	tcp                      TCP
	connections              connections
	names                    names
	copies                   copies
	copied                   int64
	unread                   map[capture.LinkType]int64
	uncounted                int64
}

// Limits of the lists. A talker costs about 150 bytes and a connection 600.
const (
	maxTalkers     = 100_000
	maxConnections = 100_000
)

type portKey struct {
	protocol uint8
	port     uint16
}

func (k portKey) String() string { return fmt.Sprintf("%s/%d", headers.IPName(k.protocol), k.port) }

// NewCounter returns an empty Counter.
func NewCounter() *Counter {
	return &Counter{
		protocols: make(map[headers.Protocol]*tally), talkers: make(map[headers.Address]*Talker),
		ports:       make(map[portKey]*tally),
		connections: connections{most: maxConnections, index: make(map[ends]*connection)},
		names:       names{servers: make(map[headers.Address]*NameServer), pending: make(map[questionKey]*question)},
		copies:      copies{seed: maphash.MakeSeed()},
		unread:      make(map[capture.LinkType]int64),
		sizes: []Size{{From: 0, To: 63}, {From: 64, To: 127}, {From: 128, To: 255}, {From: 256, To: 511},
			{From: 512, To: 1023}, {From: 1024, To: 1518}, {From: 1519}},
	}
}

// Add counts a packet and returns the number of packets.
func (c *Counter) Add(p *capture.Packet, link capture.LinkType) int64 {
	length := int64(p.Length)
	if c.packets == 0 || p.Time < c.first {
		c.first = p.Time
	}
	if c.packets == 0 || p.Time > c.last {
		c.last = p.Time
	}
	c.packets++
	c.bytes += length
	c.captured += int64(len(p.Data))
	c.clock.add(p.Time, length)
	for n := range c.sizes {
		if s := &c.sizes[n]; s.To == 0 || length <= int64(s.To) {
			s.Packets++
			break
		}
	}
	h := &c.headers
	c.reader.Read(h, p, link)
	if h.Protocol == headers.Other && !headers.Known(link) {
		c.unread[link]++
	}
	count(c.protocols, h.Protocol, length)
	for left := h.Tunnels; left != 0; left &= left - 1 {
		c.tunnels[bits.TrailingZeros32(uint32(left))].add(tally{1, length})
	}
	c.addTalkers(h.Networks(), length)
	copied := c.copies.is(h, p)
	if copied {
		c.copied++
	}
	if h.Ports {
		count(c.ports, portKey{h.Transport, min(h.SourcePort, h.TargetPort)}, length)
		if h.Transport == unix.IPPROTO_TCP {
			c.addTCP(h, p.Time, length, copied)
		}
		if (h.SourcePort == 53 || h.TargetPort == 53) && !copied {
			c.addDNS(h, p.Time)
		}
	}
	return c.packets
}

// addTalkers counts the sender and the receiver in each IP header of a packet. A talker in several
// of them counts one packet.
func (c *Counter) addTalkers(networks []headers.Network, length int64) {
	for n, network := range networks {
		sent, received := true, true
		for _, outer := range networks[:n] {
			sent = sent && outer.Source != network.Source
			received = received && outer.Target != network.Target
		}
		if sent {
			if from := c.talker(network.Source); from != nil {
				from.PacketsSent++
				from.BytesSent += length
			}
		}
		if received {
			if to := c.talker(network.Target); to != nil {
				to.PacketsReceived++
				to.BytesReceived += length
			}
		}
	}
}

func (c *Counter) talker(a headers.Address) *Talker {
	t := c.talkers[a]
	if t == nil {
		if len(c.talkers) >= maxTalkers {
			c.uncounted++
			return nil
		}
		t = new(Talker)
		c.talkers[a] = t
	}
	return t
}

func count[K comparable](counts map[K]*tally, key K, length int64) {
	t := counts[key]
	if t == nil {
		t = new(tally)
		counts[key] = t
	}
	t.packets++
	t.bytes += length
}
