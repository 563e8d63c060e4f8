package decode

import (
	"encoding/binary"
	"fmt"
	"net"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// A reader reads one header into the stack. At least as many bytes are there as least returned. See
// stack.header.
type reader func(s *stack, b []byte) (inside int, err error)

// readers has the layers that gopacket 1.1.19 does not know, reads beyond the captured bytes, or
// fills with something else than the packet says.
var readers = map[gopacket.LayerType]reader{
	layers.LayerTypeEthernet: readEthernet, layers.LayerTypeDot1Q: readDot1Q, layers.LayerTypeLinuxSLL: readSLL,
	layerSLL2:           readSLL2,
	layers.LayerTypePPP: readPPP, layers.LayerTypePPPoE: readPPPoE, layerCiscoHDLC: readCiscoHDLC,
	layerRadiotap: readRadiotap, layerWLAN: readWLAN, layers.LayerTypeARP: readARP,
	layers.LayerTypeIPv4: readIPv4, layers.LayerTypeIPv6: readIPv6, layers.LayerTypeIPv6Fragment: readIPv6Fragment,
	layers.LayerTypeTCP: readTCP, layers.LayerTypeUDP: readUDP, layers.LayerTypeGRE: readGRE,
	layers.LayerTypeGeneve:   readGeneve,
	layers.LayerTypeIPSecESP: readESP, layers.LayerTypeDNS: readDNS,
}

// split returns the bytes of a layer whose header has that length.
func split(b []byte, header int) layers.BaseLayer {
	return layers.BaseLayer{Contents: b[:header:header], Payload: b[header:]}
}

var order = binary.BigEndian

const (
	ethernetHeader = 14
	tag            = 4
	leastType      = 0x600 // of Ethernet; a smaller number is a length, and 802.2 follows

	// oldQinQ is what some switches put before a second VLAN tag.
	oldQinQ layers.EthernetType = 0x9100

	reverseARP layers.EthernetType = 0x8035 // RARP (RFC 903), of the form of ARP
)

func readEthernet(s *stack, b []byte) (int, error) {
	if len(b) < ethernetHeader {
		return -1, errCut
	}
	l := &layers.Ethernet{BaseLayer: split(b, ethernetHeader), DstMAC: net.HardwareAddr(b[:6]),
		SrcMAC: net.HardwareAddr(b[6:12])}
	number := order.Uint16(b[12:])
	l.EthernetType = layers.EthernetType(number)
	inside := -1
	if number < leastType {
		l.EthernetType, l.Length = layers.EthernetTypeLLC, number
		inside = min(int(number), s.wire-ethernetHeader)
	}
	s.AddLayer(l)
	s.next = ofType(l.EthernetType)
	return inside, nil
}

// ofType returns the decoder for an Ethernet type, which may be one that is not decoded.
func ofType(t layers.EthernetType) gopacket.Decoder {
	switch t {
	case oldQinQ:
		return layers.LayerTypeDot1Q
	case reverseARP:
		return layers.LayerTypeARP
	}
	return t
}

func readDot1Q(s *stack, b []byte) (int, error) {
	if len(b) < tag {
		return -1, errCut
	}
	l := &layers.Dot1Q{BaseLayer: split(b, tag), Priority: b[0] >> 5, DropEligible: b[0]&0x10 != 0,
		VLANIdentifier: order.Uint16(b) & 0xfff, Type: layers.EthernetType(order.Uint16(b[2:]))}
	s.AddLayer(l)
	s.next = ofType(l.Type)
	if l.Type < leastType {
		s.next = layers.LayerTypeLLC
		return min(int(l.Type), s.wire-tag), nil
	}
	return -1, nil
}

const (
	sllHeader  = 16
	sll2Header = 20
	sllAddress = 8

	cooked8022 layers.EthernetType = 4 // 802.2 follows (LINUX_SLL_P_802_2)
)

func readSLL(s *stack, b []byte) (int, error) {
	if len(b) < sllHeader {
		return -1, errCut
	}
	l := &layers.LinuxSLL{BaseLayer: split(b, sllHeader), PacketType: layers.LinuxSLLPacketType(order.Uint16(b)),
		AddrType: order.Uint16(b[2:]),
		AddrLen:  order.Uint16(b[4:]), EthernetType: layers.EthernetType(order.Uint16(b[14:]))}
	l.Addr = net.HardwareAddr(b[6 : 6+min(int(l.AddrLen), sllAddress)])
	s.AddLayer(l)
	s.cooked(l.EthernetType)
	return -1, nil
}

// cooked continues after a cooked header.
func (s *stack) cooked(t layers.EthernetType) {
	s.next = ofType(t)
	if t == cooked8022 {
		s.next = layers.LayerTypeLLC
	}
}

// Layers that gopacket lacks. The numbers are from the range that it leaves to its users.
var (
	layerSLL2      = gopacket.RegisterLayerType(2276, gopacket.LayerTypeMetadata{Name: "LinuxSLL2"})
	layerCiscoHDLC = gopacket.RegisterLayerType(2104, gopacket.LayerTypeMetadata{Name: "CiscoHDLC"})
)

// sll2 is the header of Linux "cooked" captures of version 2
// (https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html).
type sll2 struct {
	layers.BaseLayer
	EthernetType   layers.EthernetType
	InterfaceIndex uint32
	AddrType       uint16
	PacketType     layers.LinuxSLLPacketType
	Addr           net.HardwareAddr
}

// LayerType implements gopacket.Layer.
func (*sll2) LayerType() gopacket.LayerType { return layerSLL2 }

func readSLL2(s *stack, b []byte) (int, error) {
	if len(b) < sll2Header {
		return -1, errCut
	}
	l := &sll2{BaseLayer: split(b, sll2Header), EthernetType: layers.EthernetType(order.Uint16(b)),
		InterfaceIndex: order.Uint32(b[4:]),
		AddrType:       order.Uint16(b[8:]), PacketType: layers.LinuxSLLPacketType(b[10]),
		Addr: net.HardwareAddr(b[12 : 12+min(int(b[11]), sllAddress)])}
	s.AddLayer(l)
	s.cooked(l.EthernetType)
	return -1, nil
}

// Addresses that start a frame of Cisco's HDLC.
const (
	hdlcUnicast   = 0x0f
	hdlcMulticast = 0x8f
)

// cisco is a header of Cisco's HDLC.
type cisco struct {
	layers.BaseLayer
	Address      uint8
	Control      uint8
	EthernetType layers.EthernetType
}

// LayerType implements gopacket.Layer.
func (*cisco) LayerType() gopacket.LayerType { return layerCiscoHDLC }

func readCiscoHDLC(s *stack, b []byte) (int, error) {
	const header = 4
	if len(b) < header {
		return -1, errCut
	}
	l := &cisco{BaseLayer: split(b, header), Address: b[0], Control: b[1],
		EthernetType: layers.EthernetType(order.Uint16(b[2:]))}
	s.AddLayer(l)
	s.next = ofType(l.EthernetType)
	return -1, nil
}

// readPPP reads PPP with or without HDLC's address and control before it, and with a protocol of
// one or two bytes (RFC 1661, 2 and 6.5).
func readPPP(s *stack, b []byte) (int, error) {
	l := &layers.PPP{}
	at := 0
	if len(b) > 1 && b[0] == 0xff && b[1] == 0x03 {
		l.HasPPTPHeader, at = true, 2
	}
	switch {
	case len(b) < at+1, b[at]&1 == 0 && len(b) < at+2, len(b) == 1 && b[0] == 0xff:
		return -1, errCut
	case b[at]&1 != 0:
		l.PPPType = layers.PPPType(b[at])
		l.BaseLayer = split(b, at+1)
	default:
		l.PPPType = layers.PPPType(order.Uint16(b[at:]))
		l.BaseLayer = split(b, at+2)
	}
	s.AddLayer(l)
	switch l.PPPType {
	case layers.PPPTypeIPv4:
		s.next = layers.LayerTypeIPv4
	case layers.PPPTypeIPv6:
		s.next = layers.LayerTypeIPv6
	case layers.PPPTypeMPLSUnicast, layers.PPPTypeMPLSMulticast:
		s.next = layers.LayerTypeMPLS
	}
	return -1, nil
}

// readPPPoE reads PPPoE (RFC 2516). Only its session packets have content.
func readPPPoE(s *stack, b []byte) (int, error) {
	const header = 6
	l := &layers.PPPoE{BaseLayer: split(b, header), Version: b[0] >> 4, Type: b[0] & 0xf, Code: layers.PPPoECode(b[1]),
		SessionId: order.Uint16(b[2:]), Length: order.Uint16(b[4:])}
	s.AddLayer(l)
	if l.Code == layers.PPPoECodeSession {
		s.next = layers.LayerTypePPP
	}
	return min(int(l.Length), s.wire-header), nil
}

func readARP(s *stack, b []byte) (int, error) {
	const fixed = 8
	if len(b) < fixed || len(b) < fixed+2*int(b[4])+2*int(b[5]) {
		return -1, errCut
	}
	hardware, protocol := int(b[4]), int(b[5])
	l := &layers.ARP{BaseLayer: split(b, fixed+2*hardware+2*protocol), AddrType: layers.LinkType(order.Uint16(b)),
		Protocol:      layers.EthernetType(order.Uint16(b[2:])),
		HwAddressSize: b[4], ProtAddressSize: b[5], Operation: order.Uint16(b[6:])}
	rest := b[fixed:]
	for _, part := range []struct {
		to     *[]byte
		length int
	}{{&l.SourceHwAddress, hardware}, {&l.SourceProtAddress, protocol}, {&l.DstHwAddress, hardware},
		{&l.DstProtAddress, protocol}} {
		*part.to, rest = rest[:part.length], rest[part.length:]
	}
	s.AddLayer(l)
	return -1, nil
}

// readESP reads the part that is not encrypted.
func readESP(s *stack, b []byte) (int, error) {
	const header = 8
	s.AddLayer(&layers.IPSecESP{BaseLayer: split(b, header), SPI: order.Uint32(b), Seq: order.Uint32(b[4:])})
	return -1, nil
}

// readGRE reads GRE of version 0, with key and sequence number (RFC 2890), and of version 1, for
// PPTP (RFC 2637). It does not look into packets with the routing of RFC 1701.
func readGRE(s *stack, b []byte) (int, error) {
	const fixed, routing = 4, 0x40
	if len(b) < fixed {
		return -1, errCut
	}
	l := &layers.GRE{ChecksumPresent: b[0]&0x80 != 0, RoutingPresent: b[0]&routing != 0, KeyPresent: b[0]&0x20 != 0,
		SeqPresent:        b[0]&0x10 != 0,
		StrictSourceRoute: b[0]&0x08 != 0, RecursionControl: b[0] & 7, AckPresent: b[1]&0x80 != 0, Flags: b[1] >> 3,
		Version:  b[1] & 7,
		Protocol: layers.EthernetType(order.Uint16(b[2:]))}
	at := fixed
	number := func(is bool) (n uint32) {
		if is {
			if len(b) >= at+4 {
				n = order.Uint32(b[at:])
			}
			at += 4
		}
		return n
	}
	sum := number(l.ChecksumPresent || l.RoutingPresent)
	l.Checksum, l.Offset = uint16(sum>>16), uint16(sum)
	l.Key, l.Seq = number(l.KeyPresent), number(l.SeqPresent)
	l.Ack = number(l.AckPresent && l.Version == 1)
	if len(b) < at {
		return -1, errCut
	}
	l.BaseLayer = split(b, at)
	s.AddLayer(l)
	switch {
	case l.RoutingPresent && l.Version == 0:
	case l.Protocol == layers.EthernetTypePPP && l.Version == 1:
		s.next = layers.LayerTypePPP
		return int(l.Key >> 16), nil // the upper half of its key is the length of the content
	default:
		s.next = ofType(l.Protocol)
	}
	return -1, nil
}

// readGeneve reads Geneve with its options (RFC 8926, 3.4).
func readGeneve(s *stack, b []byte) (int, error) {
	const fixed, option = 8, 4
	if len(b) < fixed {
		return -1, errCut
	}
	l := &layers.Geneve{Version: b[0] >> 6, OptionsLength: b[0] & 0x3f * 4, OAMPacket: b[1]&0x80 != 0,
		CriticalOption: b[1]&0x40 != 0,
		Protocol:       layers.EthernetType(order.Uint16(b[2:])), VNI: order.Uint32(b[4:]) >> 8}
	end := fixed + int(l.OptionsLength)
	if len(b) < end {
		return -1, errCut
	}
	for list := b[fixed:end]; len(list) >= option; {
		length := option + int(list[3]&0x1f)*4
		if length > len(list) {
			return -1, fmt.Errorf("a Geneve option of %d bytes where %d are left", length, len(list))
		}
		l.Options = append(l.Options, &layers.GeneveOption{Class: order.Uint16(list), Type: list[2],
			Flags: list[3] >> 5, Length: uint8(min(length, 255)), Data: list[option:length]})
		list = list[length:]
	}
	l.BaseLayer = split(b, end)
	s.AddLayer(l)
	s.next = ofType(l.Protocol)
	return -1, nil
}
