package summary

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"diagsh/capture"
)

// Counter adds packets up. It looks at no more than their headers, and needs no more
// memory than its bounds say, whatever the packets are.
type Counter struct {
	packets, bytes, captured int64
	first, last              int64
	protocols                map[string]*tally
	talkers                  map[netip.Addr]*Talker
	ports                    map[portKey]*tally
	sizes                    []Size
	clock                    clock
	tcp                      TCP
	connections              map[connection]*flow
	uncounted                int64
}

// Bounds of what is listed. A talker costs about 150 bytes and a connection 250.
const (
	maxTalkers     = 100_000
	maxConnections = 100_000
)

type portKey struct {
	protocol uint8
	port     uint16
}

func (k portKey) String() string { return fmt.Sprintf("%s/%d", protocolName(k.protocol), k.port) }

// NewCounter begins at nothing.
func NewCounter() *Counter {
	return &Counter{
		protocols: make(map[string]*tally), talkers: make(map[netip.Addr]*Talker), ports: make(map[portKey]*tally), connections: make(map[connection]*flow),
		sizes: []Size{{From: 0, To: 63}, {From: 64, To: 127}, {From: 128, To: 255}, {From: 256, To: 511}, {From: 512, To: 1023}, {From: 1024, To: 1518}, {From: 1519}},
	}
}

// Add counts a packet and returns how many there are now.
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
	h := headers(p, link)
	count(c.protocols, h.name, length)
	if h.source.IsValid() {
		if from := c.talker(h.source); from != nil {
			from.PacketsSent++
			from.BytesSent += length
		}
		if to := c.talker(h.target); to != nil {
			to.PacketsReceived++
			to.BytesReceived += length
		}
	}
	if h.ports {
		count(c.ports, portKey{h.protocol, min(h.sourcePort, h.targetPort)}, length)
		if h.protocol == unix.IPPROTO_TCP {
			c.addTCP(&h)
		}
	}
	return c.packets
}

func (c *Counter) talker(a netip.Addr) *Talker {
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

// header is what is known of a packet.
type header struct {
	name                   string // of its protocol
	protocol               uint8
	source, target         netip.Addr
	ports                  bool
	sourcePort, targetPort uint16

	// of TCP
	sequence, acknowledged uint32
	flags                  uint8
	window                 uint16
	data                   int // bytes, on the wire
}

const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	flagPSH
	flagACK
)

// headers reads the headers of link, IP, and what is above. A packet that ends before
// its headers do is what it is known to be up to there.
func headers(p *capture.Packet, link capture.LinkType) (h header) {
	kind, b := ethertype(p.Data, link)
	switch kind {
	case 0x0800:
		h.ipv4(b)
	case 0x86dd:
		h.ipv6(b)
	case 0x0806:
		h.name = "ARP"
	case 0:
		h.name = "other"
	default:
		h.name = fmt.Sprintf("0x%04x", kind)
		if kind < 0x600 {
			h.name = "LLC"
		}
	}
	return h
}

// ethertype is the kind of what is inside the link's header, 0 if that is not known.
func ethertype(b []byte, link capture.LinkType) (kind uint16, inside []byte) {
	at := 0
	switch link {
	case capture.Ethernet:
		at = 12
	case 113: // Linux cooked
		at = 14
	case 276: // Linux cooked, version 2: the kind is first in 20 bytes
		if len(b) < 20 {
			return 0, nil
		}
		return binary.BigEndian.Uint16(b), b[20:]
	case capture.Raw, 228, 229:
		if len(b) > 0 && b[0]>>4 == 6 {
			return 0x86dd, b
		}
		return 0x0800, b
	default:
		return 0, nil
	}
	for {
		if len(b) < at+2 {
			return 0, nil
		}
		kind = binary.BigEndian.Uint16(b[at:])
		if kind != 0x8100 && kind != 0x88a8 && kind != 0x9100 {
			return kind, b[at+2:]
		}
		at += 4
	}
}

func (h *header) ipv4(b []byte) {
	h.name = "IPv4"
	if len(b) < 20 {
		return
	}
	h.source, h.target = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	length, ihl := int(binary.BigEndian.Uint16(b[2:])), int(b[0]&15)*4
	if length == 0 { // of a packet that the kernel cuts later
		length = len(b)
	}
	h.protocol = b[9]
	h.name = protocolName(h.protocol)
	if binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
		h.name = "IPv4 fragment"
		return
	}
	if ihl >= 20 && len(b) >= ihl {
		h.transport(b[ihl:], length-ihl)
	}
}

func (h *header) ipv6(b []byte) {
	h.name = "IPv6"
	if len(b) < 40 {
		return
	}
	h.source, h.target = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	length := int(binary.BigEndian.Uint16(b[4:]))
	h.protocol = b[6]
	if b = b[40:]; length == 0 {
		length = len(b)
	}
	for {
		size := 0
		switch h.protocol {
		case unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING, unix.IPPROTO_DSTOPTS:
			if len(b) < 8 {
				return
			}
			size = 8 + int(b[1])*8
		case unix.IPPROTO_FRAGMENT:
			if len(b) < 8 {
				return
			}
			size = 8
			if binary.BigEndian.Uint16(b[2:])&0xfff8 != 0 {
				h.name = "IPv6 fragment"
				return
			}
		default:
			h.name = protocolName(h.protocol)
			h.transport(b, length)
			return
		}
		h.protocol = b[0]
		b, length = b[min(size, len(b)):], length-size
	}
}

func (h *header) transport(b []byte, length int) {
	switch h.protocol {
	case unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_SCTP:
	default:
		return
	}
	if len(b) < 4 {
		return
	}
	h.ports = true
	h.sourcePort, h.targetPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	if h.protocol == unix.IPPROTO_UDP && (h.sourcePort == 53 || h.targetPort == 53) {
		h.name = "DNS"
	}
	if h.protocol != unix.IPPROTO_TCP {
		return
	}
	if len(b) < 20 {
		h.ports = false
		return
	}
	h.sequence, h.acknowledged = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	h.flags, h.window = b[13], binary.BigEndian.Uint16(b[14:])
	h.data = max(length-int(b[12]>>4)*4, 0)
}

func protocolName(protocol uint8) string {
	switch protocol {
	case unix.IPPROTO_TCP:
		return "tcp"
	case unix.IPPROTO_UDP:
		return "udp"
	case unix.IPPROTO_SCTP:
		return "sctp"
	case unix.IPPROTO_ICMP:
		return "icmp"
	case unix.IPPROTO_ICMPV6:
		return "icmp6"
	case unix.IPPROTO_IGMP:
		return "igmp"
	case unix.IPPROTO_GRE:
		return "gre"
	case unix.IPPROTO_ESP:
		return "esp"
	case 89:
		return "ospf"
	case 112:
		return "vrrp"
	}
	return fmt.Sprintf("ip protocol %d", protocol)
}
