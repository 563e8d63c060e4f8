package ping

import (
	"encoding/binary"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"diagsh/diag/icmp"
)

// icmpHeader is the length of an echo request or reply without data.
const icmpHeader = 8

// echo is the echo request with a sequence number. Its data are those of ping(8) of iputils: each byte has the number of its place.
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
	if !v6 { // the kernel does it for ICMPv6
		binary.BigEndian.PutUint16(b[2:], ^icmp.Sum(0, b))
	}
	return b
}

// A WrongByte is the first byte of an answer's data that is not what was sent.
type WrongByte struct {
	Offset    int // in the data, counted from 0
	Sent, Got byte
}

// compare looks for what differs in an answer's data from what was sent. truncated says that there are fewer.
func compare(data []byte, size int) (wrong *WrongByte, truncated bool) {
	for i, got := range data[:min(len(data), size)] {
		if got != byte(i) {
			return &WrongByte{Offset: i, Sent: byte(i), Got: got}, len(data) < size
		}
	}
	return nil, len(data) < size
}

// isReply says that a message is an echo reply with an identifier.
func isReply(b []byte, v6 bool, id uint16) bool {
	kind := byte(ipv4.ICMPTypeEchoReply)
	if v6 {
		kind = byte(ipv6.ICMPTypeEchoReply)
	}
	return len(b) >= icmpHeader && b[0] == kind && b[1] == 0 && identifier(b) == id
}

// isRequest says that what an error quotes is an echo request with an identifier.
func isRequest(b []byte, v6 bool, id uint16) bool {
	kind := byte(ipv4.ICMPTypeEcho)
	if v6 {
		kind = byte(ipv6.ICMPTypeEchoRequest)
	}
	return len(b) >= icmpHeader && b[0] == kind && identifier(b) == id
}

func identifier(b []byte) uint16 { return binary.BigEndian.Uint16(b[4:]) }
func sequence(b []byte) uint16   { return binary.BigEndian.Uint16(b[6:]) }
