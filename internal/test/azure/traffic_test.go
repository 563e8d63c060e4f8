package azure

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// The filters of the two documents that show captures through this API, text for text.
var (
	source003 = []filter{
		{Protocol: "TCP", Remote: "1.1.1.1-255.255.255", Local: "10.0.0.3", LocalPort: "1-65535", RemotePort: "20;80;443"},
		{Protocol: "UDP"},
	}
	source004 = []filter{
		{Protocol: "TCP", Remote: "1.1.1.1-255.255.255", Local: "10.0.0.3", RemotePort: "20"},
		{Protocol: "TCP", Remote: "1.1.1.1-255.255.255", Local: "10.0.0.3", RemotePort: "80"},
		{Protocol: "TCP", Remote: "1.1.1.1-255.255.255", Local: "10.0.0.3", RemotePort: "443"},
		{Protocol: "UDP"},
	}
)

// packet returns an Ethernet frame with a segment or datagram that carries a number.
func packet(protocol string, from, to netip.AddrPort, number uint32) []byte {
	payload := fmt.Appendf(nil, "packet %08x", number)
	var transport []byte
	transport = binary.BigEndian.AppendUint16(transport, from.Port())
	transport = binary.BigEndian.AppendUint16(transport, to.Port())
	next := byte(17)
	if protocol == "TCP" { // RFC 9293 section 3.1: sequence, acknowledgement, offset and ACK, window
		next = 6
		transport = binary.BigEndian.AppendUint32(transport, number)
		transport = append(transport, 0, 0, 0, 0, 0x50, 0x10, 4, 0, 0, 0, 0, 0)
	} else {
		transport = binary.BigEndian.AppendUint16(transport, uint16(8+len(payload)))
		transport = append(transport, 0, 0)
	}
	return frame(from.Addr(), to.Addr(), next, append(transport, payload...))
}

// echo returns an Ethernet frame with an ICMP echo request from 10.0.0.3, which carries a number.
func echo(number uint32) []byte {
	message := binary.BigEndian.AppendUint32([]byte{8, 0, 0, 0}, number)
	return frame(netip.MustParseAddr("10.0.0.3"), netip.MustParseAddr("8.8.8.8"), 1, message)
}

// frame returns an Ethernet frame with an IP packet, by RFC 791 or RFC 8200.
func frame(from, to netip.Addr, protocol byte, content []byte) []byte {
	f := []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}
	if from.Is6() {
		f = append(f, 0x86, 0xdd, 0x60, 0, 0, 0)
		f = binary.BigEndian.AppendUint16(f, uint16(len(content)))
		f = append(f, protocol, 64)
	} else {
		f = append(f, 0x08, 0x00, 0x45, 0)
		f = binary.BigEndian.AppendUint16(f, uint16(20+len(content)))
		f = append(f, 0, 0, 0, 0, 64, protocol, 0, 0)
	}
	f = append(append(f, from.AsSlice()...), to.AsSlice()...)
	return append(f, content...)
}
