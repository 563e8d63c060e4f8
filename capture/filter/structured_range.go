package filter

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
)

// An addressRange is the addresses from low to high, both of one family.
type addressRange struct{ low, high netip.Addr }

// clause compares the address of a direction, src or dst, with the ends of the range.
func (r addressRange) clause(direction string) clause {
	header, at := "ip", 12
	if r.low.Is6() {
		header, at = "ip6", 8
	}
	low, high := numbers(r.low), numbers(r.high)
	if direction == "dst" {
		at += 4 * len(low)
	}
	return between(header, at, low, high)
}

// numbers returns an address as numbers of 32 bits, the most significant first.
func numbers(a netip.Addr) (list []uint32) {
	for b := a.AsSlice(); len(b) > 0; b = b[4:] {
		list = append(list, binary.BigEndian.Uint32(b))
	}
	return list
}

// between matches the number at an offset of a header that is from low to high. The number has as many
// parts as these, and is compared from its first part on.
func between(header string, at int, low, high []uint32) clause {
	if len(low) == 0 {
		return clause{}
	}
	part := fmt.Sprintf("%s[%d:4]", header, at)
	if low[0] == high[0] {
		return allOf(compared(part, "=", low[0]), between(header, at+4, low[1:], high[1:]))
	}
	// Of the first part, the ends belong to the range as far as the parts after them do.
	least, most := low[0], high[0]
	var ends []clause
	if !all(low[1:], 0) {
		last := make([]uint32, len(low)-1)
		for i := range last {
			last[i] = math.MaxUint32
		}
		ends = append(ends, allOf(compared(part, "=", least), between(header, at+4, low[1:], last)))
		least++
	}
	if !all(high[1:], math.MaxUint32) {
		ends = append(ends, allOf(compared(part, "=", most),
			between(header, at+4, make([]uint32, len(high)-1), high[1:])))
		most--
	}
	return anyOf(append([]clause{inside(part, least, most)}, ends...)...)
}

// inside matches a number from least to most. It returns no clause if there is no such number.
func inside(part string, least, most uint32) clause {
	var bounds []clause
	switch {
	case least > most:
		return clause{}
	case least == most:
		return compared(part, "=", least)
	}
	// One bound is always written: it also asks for the header.
	if least > 0 || most == math.MaxUint32 {
		bounds = append(bounds, compared(part, ">=", least))
	}
	if most < math.MaxUint32 {
		bounds = append(bounds, compared(part, "<=", most))
	}
	return allOf(bounds...)
}

func compared(part, relation string, n uint32) clause {
	return written(part, relation, fmt.Sprintf("0x%08x", n))
}

func all(list []uint32, value uint32) bool {
	for _, n := range list {
		if n != value {
			return false
		}
	}
	return true
}
