package traceroute

import (
	"encoding/binary"
	"net/netip"

	"diagsh/diag/icmp"
)

// Lengths of headers.
const (
	ipv4Header = 20
	ipv6Header = 40
	udpHeader  = 8
	icmpHeader = 8
	tcpHeader  = 20
)

// Protocol numbers (IANA).
const (
	numberICMP   = 1
	numberTCP    = 6
	numberUDP    = 17
	numberICMPv6 = 58
)

// A flow is what all probes of a trace share, and how probes are told apart. Routers return only
// the first eight bytes after the IP header (RFC 792). They balance by ports, or for ICMP by type,
// code, identifier and checksum. So probes differ in the checksum of UDP, in the sequence number of
// TCP, and in the sequence number of ICMP with data that keeps the checksum the same.
type flow struct {
	protocol    Protocol
	local       netip.Addr
	remote      netip.Addr
	port        uint16 // ours; the identifier of ICMP
	destination uint16
	length      int // after the IP header
}

// Smallest returns the length of the smallest probe with its headers.
func Smallest(p Protocol, target netip.Addr) int { return headers(p, target.Is6()) }

// headers returns the length of a packet with only the data that tells probes apart.
func headers(p Protocol, v6 bool) int {
	n := ipv4Header
	if v6 {
		n = ipv6Header
	}
	if p == TCP {
		return n + tcpHeader
	}
	return n + udpHeader + 2
}

// probe returns what follows the IP header of the probe with that number, which is not 0.
func (f *flow) probe(number uint16) []byte {
	b := make([]byte, f.length)
	switch f.protocol {
	case UDP:
		binary.BigEndian.PutUint16(b[0:], f.port)
		binary.BigEndian.PutUint16(b[2:], f.destination)
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
		// Two bytes of data produce the wanted checksum: in one's complement, sum + x = ^number.
		binary.BigEndian.PutUint16(b[8:], onesAdd(^number, ^f.sum(b, numberUDP)))
		binary.BigEndian.PutUint16(b[6:], number)
	case ICMP:
		b[0] = 8
		if f.remote.Is6() {
			b[0] = 128
		}
		binary.BigEndian.PutUint16(b[4:], f.port)
		binary.BigEndian.PutUint16(b[6:], number)
		binary.BigEndian.PutUint16(b[8:], ^number)
		if !f.remote.Is6() { // for ICMPv6 the kernel computes it
			binary.BigEndian.PutUint16(b[2:], ^icmp.Sum(0, b))
		}
	case TCP:
		binary.BigEndian.PutUint16(b[0:], f.port)
		binary.BigEndian.PutUint16(b[2:], f.destination)
		binary.BigEndian.PutUint32(b[4:], f.sequence(number))
		b[12] = tcpHeader / 4 << 4
		b[13] = tcpSYN
		binary.BigEndian.PutUint16(b[14:], 5840) // window
		binary.BigEndian.PutUint16(b[16:], ^f.sum(b, numberTCP))
	}
	return b
}

// sequence spaces the numbers of TCP probes, so that no segment's data is in another's window.
func (f *flow) sequence(number uint16) uint32 { return uint32(f.port)<<16 ^ uint32(number)<<8 }

// quoted returns the number of the probe that an ICMP error quotes, from what followed its IP
// header. Anyone may have sent the error.
func (f *flow) quoted(b []byte) (number uint16, ok bool) {
	if len(b) < 8 {
		return 0, false
	}
	first, second := binary.BigEndian.Uint16(b[0:]), binary.BigEndian.Uint16(b[2:])
	switch f.protocol {
	case UDP:
		return binary.BigEndian.Uint16(b[6:]), first == f.port && second == f.destination
	case ICMP:
		return binary.BigEndian.Uint16(b[6:]), (b[0] == 8 || b[0] == 128) && binary.BigEndian.Uint16(b[4:]) == f.port
	}
	number, ok = f.unsequenced(binary.BigEndian.Uint32(b[4:]))
	return number, ok && first == f.port && second == f.destination
}

// unsequenced is the inverse of sequence.
func (f *flow) unsequenced(sequence uint32) (number uint16, ok bool) {
	bits := sequence ^ uint32(f.port)<<16
	return uint16(bits >> 8), bits&0xff0000ff == 0
}

const (
	tcpSYN = 0x02
	tcpRST = 0x04
	tcpACK = 0x10
)

// replied returns the number of the probe that a packet of the target answers, from what follows
// its IP header. any reports that the answer does not say which probe, as with UDP.
func (f *flow) replied(b []byte) (number uint16, any, ok bool) {
	if len(b) < 8 {
		return 0, false, false
	}
	switch f.protocol {
	case UDP:
		return 0, true, binary.BigEndian.Uint16(b[0:]) == f.destination && binary.BigEndian.Uint16(b[2:]) == f.port
	case ICMP:
		return binary.BigEndian.Uint16(b[6:]), false, (b[0] == 0 || b[0] == 129) &&
			binary.BigEndian.Uint16(b[4:]) == f.port
	}
	if len(b) < tcpHeader || b[13]&tcpACK == 0 || b[13]&(tcpSYN|tcpRST) == 0 {
		return 0, false, false
	}
	ours := binary.BigEndian.Uint16(b[0:]) == f.destination && binary.BigEndian.Uint16(b[2:]) == f.port
	// A SYN counts as one byte (RFC 9293); a refusal acknowledges its data too.
	acknowledged := binary.BigEndian.Uint32(b[8:]) - 1
	if number, ok = f.unsequenced(acknowledged); !ok {
		number, ok = f.unsequenced(acknowledged - uint32(f.length-tcpHeader))
	}
	return number, false, ok && ours
}

// sum returns the one's complement sum over pseudo header and packet (RFC 768, RFC 8200 section
// 8.1).
func (f *flow) sum(b []byte, protocol byte) uint16 {
	var pseudo [40]byte
	n := copy(pseudo[:], f.local.AsSlice())
	n += copy(pseudo[n:], f.remote.AsSlice())
	binary.BigEndian.PutUint32(pseudo[n:], uint32(len(b)))
	binary.BigEndian.PutUint32(pseudo[n+4:], uint32(protocol))
	return icmp.Sum(icmp.Sum(0, pseudo[:n+8]), b)
}

func onesAdd(a, b uint16) uint16 {
	total := uint32(a) + uint32(b)
	return uint16(total>>16 + total&0xffff)
}
