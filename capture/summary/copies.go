package summary

import (
	"encoding/binary"
	"hash/maphash"

	"diagsh/capture"
	"diagsh/capture/headers"
)

// copies finds packets that were captured twice: on two interfaces, on both sides of a router, or
// because a mirror port copies both ways. A packet that is sent again has another identification in
// its IP header, or comes later.
type copies struct {
	seed  maphash.Seed
	seen  [copiesRemembered]seenPacket
	block [copyHead + copyTail + 8]byte
}

type seenPacket struct {
	hash uint64
	time int64
	port uint32 // the interface
	ttl  uint8
}

const (
	copiesRemembered = 4096
	copyHead         = 96 // bytes that are compared: headers
	copyTail         = 16 // and the end

	// copyWithin and copyBehindRouter are in nanoseconds.
	copyWithin       = 5e6
	copyBehindRouter = 1e9
)

// is reports whether the packet was there before. It ignores the hop limit and what follows from
// it. In IPv6, equal acknowledgements without data also mean a missing segment, so they are copies
// only if they came from two interfaces.
func (c *copies) is(h *headers.Headers, p *capture.Packet) bool {
	if len(h.IP) < 20 {
		return false
	}
	head := copy(c.block[:copyHead], h.IP)
	var ttl uint8
	multicast := false
	if h.IP[0]>>4 == 4 {
		ttl, multicast = h.IP[8], h.IP[16]>>4 >= 14
		c.block[8], c.block[10], c.block[11] = 0, 0, 0
	} else {
		if head < 40 {
			return false
		}
		ttl, multicast = h.IP[7], h.IP[24] == 0xff
		c.block[7] = 0
	}
	if multicast {
		return false
	}
	end := head
	if len(h.IP) > copyHead {
		end += copy(c.block[end:end+copyTail], h.IP[max(len(h.IP)-copyTail, copyHead):])
	}
	binary.LittleEndian.PutUint64(c.block[end:], uint64(h.IPLength))
	hash := maphash.Bytes(c.seed, c.block[:end+8])
	entry := &c.seen[hash%copiesRemembered]
	if before, since := *entry, p.Time-entry.time; before.hash == hash && since >= 0 {
		switch {
		case h.IP[0]>>4 == 6 && h.Transport == 6 && h.Length == 0 &&
			h.Flags&(headers.SYN|headers.FIN|headers.RST) == 0 && before.port == p.Interface:
		case before.ttl == ttl && since <= copyWithin, before.ttl > ttl && since <= copyBehindRouter:
			return true
		}
	}
	*entry = seenPacket{hash, p.Time, p.Interface, ttl}
	return false
}
