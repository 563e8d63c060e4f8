package icmp

import "encoding/binary"

// Sum adds the words of b to a sum in one's complement (RFC 1071). The checksum of a message is the complement of its sum; the sum of a
// message with its right checksum is 0xffff.
func Sum(sum uint16, b []byte) uint16 {
	total := uint32(sum)
	for ; len(b) > 1; b = b[2:] {
		total += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		total += uint32(b[0]) << 8
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return uint16(total)
}
