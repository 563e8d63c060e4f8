package ping

import (
	"encoding/binary"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"diagsh/diag/icmp"
)

// icmpHeader is the length of an echo request or reply without data.
const icmpHeader = 8

// echo builds an echo request. Like ping(8) of iputils it fills the data with the offset of each
// byte.
func echo(v6 bool, id, sequence uint16, size int) []byte {
	b := make([]byte, icmpHeader+size)
	b[0] = byte(ipv4.ICMPTypeEcho)
	if v6 {
		b[0] = byte(ipv6.ICMPTypeEchoRequest)
	}
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], sequence)
	for i := range size {
		b[icmpHeader+i] = byte(i)
	}
	if !v6 { // for ICMPv6 the kernel computes it
		binary.BigEndian.PutUint16(b[2:], ^icmp.Sum(0, b))
	}
	return b
}

// A WrongByte is the first byte of an answer's data that differs from the request's.
type WrongByte struct {
	Offset    int // in the data, from 0
	Sent, Got byte
}

// compare compares an answer's data with what was sent. truncated reports that there is less of it.
func compare(data []byte, size int) (wrong *WrongByte, truncated bool) {
	for i, got := range data[:min(len(data), size)] {
		if got != byte(i) {
			return &WrongByte{Offset: i, Sent: byte(i), Got: got}, len(data) < size
		}
	}
	return nil, len(data) < size
}

// isReply reports whether b is an echo reply with the identifier.
func isReply(b []byte, v6 bool, id uint16) bool {
	kind := byte(ipv4.ICMPTypeEchoReply)
	if v6 {
		kind = byte(ipv6.ICMPTypeEchoReply)
	}
	return len(b) >= icmpHeader && b[0] == kind && b[1] == 0 && identifier(b) == id
}

// isRequest reports whether the packet that an error quotes is an echo request with the identifier.
func isRequest(b []byte, v6 bool, id uint16) bool {
	kind := byte(ipv4.ICMPTypeEcho)
	if v6 {
		kind = byte(ipv6.ICMPTypeEchoRequest)
	}
	return len(b) >= icmpHeader && b[0] == kind && identifier(b) == id
}

func identifier(b []byte) uint16 { return binary.BigEndian.Uint16(b[4:]) }
func sequence(b []byte) uint16   { return binary.BigEndian.Uint16(b[6:]) }
