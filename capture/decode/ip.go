package decode

import (
	"fmt"
	"net"

	"github.com/google/gopacket/layers"
)

// IP, TCP and UDP. Lengths are those in the headers. If IP says 0, as in packets that the kernel or
// a hypervisor cuts later (TSO, BIG TCP), they are those on the wire.

const (
	ipv4Header = 20
	ipv6Header = 40
	tcpHeader  = 20
	udpHeader  = 8
)

func readIPv4(s *stack, b []byte) (int, error) {
	if len(b) < ipv4Header {
		return -1, errCut
	}
	l := &layers.IPv4{Version: b[0] >> 4, IHL: b[0] & 0xf, TOS: b[1], Length: order.Uint16(b[2:]),
		Id:    order.Uint16(b[4:]),
		Flags: layers.IPv4Flag(b[6] >> 5), FragOffset: order.Uint16(b[6:]) & 0x1fff, TTL: b[8],
		Protocol: layers.IPProtocol(b[9]),
		Checksum: order.Uint16(b[10:]), SrcIP: net.IP(b[12:16]), DstIP: net.IP(b[16:20])}
	header := int(l.IHL) * 4
	switch {
	case l.Version != 4:
		return -1, fmt.Errorf("version %d", l.Version)
	case header < ipv4Header:
		return -1, fmt.Errorf("bad-hlen %d", header)
	case l.Length != 0 && int(l.Length) < header:
		return -1, fmt.Errorf("bad-len %d", l.Length)
	}
	inside := s.wire - header
	if l.Length != 0 {
		inside = int(l.Length) - header
	}
	missing := len(b) < header
	l.Options = ipOptions(b[ipv4Header:min(header, len(b))])
	l.BaseLayer = split(b, min(header, len(b)))
	s.AddLayer(l)
	if missing {
		return inside, errCut
	}
	if l.FragOffset == 0 {
		s.next = l.Protocol
	}
	return inside, nil
}

// ipOptions returns the options that are complete.
func ipOptions(b []byte) (list []layers.IPv4Option) {
	for len(b) > 0 {
		kind, length := b[0], 1
		if kind > 1 {
			if len(b) < 2 || int(b[1]) < 2 || int(b[1]) > len(b) {
				return list
			}
			length = int(b[1])
		}
		o := layers.IPv4Option{OptionType: kind, OptionLength: uint8(length)}
		if length > 2 {
			o.OptionData = b[2:length]
		}
		list, b = append(list, o), b[length:]
		if kind == 0 {
			return list
		}
	}
	return list
}

func readIPv6(s *stack, b []byte) (int, error) {
	if len(b) < ipv6Header {
		return -1, errCut
	}
	word := order.Uint32(b)
	l := &layers.IPv6{BaseLayer: split(b, ipv6Header), Version: b[0] >> 4, TrafficClass: uint8(word >> 20),
		FlowLabel: word & 0xfffff, Length: order.Uint16(b[4:]),
		NextHeader: layers.IPProtocol(b[6]), HopLimit: b[7], SrcIP: net.IP(b[8:24]), DstIP: net.IP(b[24:40])}
	if l.Version != 6 {
		return -1, fmt.Errorf("version error: %d != 6", l.Version)
	}
	s.AddLayer(l)
	s.next = l.NextHeader
	if l.Length != 0 {
		return int(l.Length), nil
	}
	inside := s.wire - ipv6Header
	if length, is := jumbo(l); is {
		return length, nil
	}
	if l.NextHeader != layers.IPProtocolTCP && l.NextHeader != layers.IPProtocolUDP || inside < udpHeader {
		return 0, nil // it is empty: the padding of a frame follows
	}
	return inside, nil // BIG TCP, where the kernel omits the header of a jumbogram
}

// jumbo returns the length of a jumbogram (RFC 2675), which is in the header after that of IPv6.
func jumbo(l *layers.IPv6) (int, bool) {
	const kind, length = 0xc2, 4
	b := l.Payload
	if l.NextHeader != layers.IPProtocolIPv6HopByHop || len(b) < 8 {
		return 0, false
	}
	for list := b[2:min(len(b), 8*(int(b[1])+1))]; len(list) >= 2; {
		size := 2 + int(list[1])
		switch {
		case list[0] == 0:
			size = 1
		case list[0] == kind && list[1] == length && len(list) >= size:
			return int(order.Uint32(list[2:])), true
		}
		list = list[min(size, len(list)):]
	}
	return 0, false
}

func readIPv6Fragment(s *stack, b []byte) (int, error) {
	const header = 8
	if len(b) < header {
		return -1, errCut
	}
	l := &layers.IPv6Fragment{BaseLayer: split(b, header), NextHeader: layers.IPProtocol(b[0]), Reserved1: b[1],
		FragmentOffset: order.Uint16(b[2:]) >> 3,
		Reserved2:      b[3] >> 1 & 3, MoreFragments: b[3]&1 != 0, Identification: order.Uint32(b[4:])}
	s.AddLayer(l)
	if l.FragmentOffset == 0 {
		s.next = l.NextHeader
	}
	return -1, nil
}

func readTCP(s *stack, b []byte) (int, error) {
	if len(b) < tcpHeader {
		return -1, errCut
	}
	l := flagsOf(b[13])
	l.SrcPort, l.DstPort, l.Seq, l.Ack = layers.TCPPort(order.Uint16(b)), layers.TCPPort(order.Uint16(b[2:])),
		order.Uint32(b[4:]), order.Uint32(b[8:])
	l.DataOffset, l.NS = b[12]>>4, b[12]&1 != 0
	l.Window, l.Checksum, l.Urgent = order.Uint16(b[14:]), order.Uint16(b[16:]), order.Uint16(b[18:])
	header := int(l.DataOffset) * 4
	switch {
	case header < tcpHeader:
		return -1, fmt.Errorf("bad hdr length %d - too short, < %d", header, tcpHeader)
	case header > s.wire:
		return -1, fmt.Errorf("bad hdr length %d - too long, > %d", header, s.wire)
	}
	l.Options = tcpOptions(b[tcpHeader:min(header, len(b))])
	l.BaseLayer = split(b, min(header, len(b)))
	s.AddLayer(l)
	if len(b) < header {
		return -1, errCut
	}
	if (l.SrcPort == dnsPort || l.DstPort == dnsPort) && wholeMessage(l.Payload) {
		s.next = layers.LayerTypeDNS
	}
	return -1, nil
}

// tcpOptions returns the options that are complete.
func tcpOptions(b []byte) (list []layers.TCPOption) {
	for len(b) > 0 {
		kind, length := layers.TCPOptionKind(b[0]), 1
		if kind != layers.TCPOptionKindEndList && kind != layers.TCPOptionKindNop {
			if len(b) < 2 || int(b[1]) < 2 || int(b[1]) > len(b) {
				return list
			}
			length = int(b[1])
		}
		o := layers.TCPOption{OptionType: kind, OptionLength: uint8(length)}
		if length > 2 {
			o.OptionData = b[2:length]
		}
		list, b = append(list, o), b[length:]
		if kind == layers.TCPOptionKindEndList {
			return list
		}
	}
	return list
}

func readUDP(s *stack, b []byte) (int, error) {
	if len(b) < udpHeader {
		return -1, errCut
	}
	l := &layers.UDP{BaseLayer: split(b, udpHeader), SrcPort: layers.UDPPort(order.Uint16(b)),
		DstPort: layers.UDPPort(order.Uint16(b[2:])),
		Length:  order.Uint16(b[4:]), Checksum: order.Uint16(b[6:])}
	inside := s.wire - udpHeader
	switch {
	case l.Length == 0 && inside > 1<<16: // of a jumbogram (RFC 2675)
	case l.Length < udpHeader:
		return -1, fmt.Errorf("truncated-udplength %d", l.Length)
	default:
		inside = min(inside, int(l.Length)-udpHeader)
	}
	s.AddLayer(l)
	s.next = l.DstPort.LayerType()
	if _, known := allow(s.next, 0); !known {
		s.next = l.SrcPort.LayerType()
	}
	return inside, nil
}
