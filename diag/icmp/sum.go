package icmp

import "encoding/binary"

// Sum adds the words of b to a one's complement sum (RFC 1071). The checksum of a message is the
// complement of its sum. A message with a correct checksum has the sum 0xffff.
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
