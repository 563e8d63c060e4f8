package filter

import (
	endian "encoding/binary"
	"net/netip"
)

// The builders here write the headers that filters look at. Checksums are 0:
// no filter and no evaluator minds.

type mac [6]byte

func ethernet(dst, src mac, etherType uint16, payload []byte) []byte {
	b := append(dst[:], src[:]...)
	return append(endian.BigEndian.AppendUint16(b, etherType), payload...)
}

// vlanTag returns the payload of an Ethernet frame with the type of a tag, 0x8100 or the like.
func vlanTag(tci, etherType uint16, payload []byte) []byte {
	b := endian.BigEndian.AppendUint16(nil, tci)
	return append(endian.BigEndian.AppendUint16(b, etherType), payload...)
}

// ipPacket writes an IPv4 or IPv6 packet, whichever the addresses are of.
func ipPacket(src, dst netip.Addr, protocol uint8, payload []byte) []byte {
	if src.Is4() {
		return ipv4Packet(src, dst, protocol, 0, nil, payload)
	}
	return ipv6Packet(src, dst, protocol, payload)
}

// ipv4Packet takes the flags and offset of a fragment as they stand in the
// header, and options of a multiple of four bytes.
func ipv4Packet(src, dst netip.Addr, protocol uint8, fragment uint16, options, payload []byte) []byte {
	b := []byte{0x45 + byte(len(options)/4), 0}
	b = endian.BigEndian.AppendUint16(b, uint16(20+len(options)+len(payload)))
	b = append(b, 0, 1)
	b = endian.BigEndian.AppendUint16(b, fragment)
	b = append(b, 64, protocol, 0, 0)
	b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
	return append(append(b, options...), payload...)
}

func ipv6Packet(src, dst netip.Addr, next uint8, payload []byte) []byte {
	b := endian.BigEndian.AppendUint16([]byte{0x60, 0, 0, 0}, uint16(len(payload)))
	b = append(b, next, 64)
	b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
	return append(b, payload...)
}

// transport writes the header of TCP, UDP or SCTP; other protocols get eight
// bytes of a type and a code.
func transport(protocol uint8, src, dst uint16, flags byte, payload []byte) []byte {
	ports := endian.BigEndian.AppendUint16(endian.BigEndian.AppendUint16(nil, src), dst)
	var header []byte
	switch protocol {
	case 6:
		header = append(ports, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 0x72, 0x10, 0, 0, 0, 0)
	case 17:
		header = append(endian.BigEndian.AppendUint16(ports, uint16(8+len(payload))), 0, 0)
	case 132:
		header = append(ports, 0, 0, 0, 7, 0, 0, 0, 0)
	default:
		header = []byte{byte(src), byte(dst), 0, 0, 0, 1, 0, 2}
	}
	return append(header, payload...)
}

func arpPacket(operation uint16, sender, target mac, senderIP, targetIP netip.Addr) []byte {
	b := endian.BigEndian.AppendUint16([]byte{0, 1, 8, 0, 6, 4}, operation)
	b = append(append(b, sender[:]...), senderIP.AsSlice()...)
	return append(append(b, target[:]...), targetIP.AsSlice()...)
}
