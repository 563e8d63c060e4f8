package pcapfile

import (
	"encoding/binary"
	"time"

	"diagsh/capture"
)

// Classic pcap, https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html.
const (
	magicMicro = 0xa1b2c3d4
	magicNano  = 0xa1b23c4d

	// magicModified marks files of a patched libpcap of 1999, which have more before each packet.
	magicModified = 0xa1b2cd34

	pcapHeaderSize     = 24
	pcapRecordSize     = 16
	modifiedRecordSize = 24
)

// pcapng, https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html.
const (
	blockSection    = 0x0a0d0d0a // the same in both byte orders
	blockInterface  = 1
	blockOldPacket  = 2
	blockSimple     = 3
	blockStatistics = 5
	blockPacket     = 6

	byteOrderMagic = 0x1a2b3c4d

	optionEnd         = 0
	optionComment     = 1
	sectionHardware   = 2
	sectionSystem     = 3
	sectionProgram    = 4
	interfaceName     = 2
	interfaceTime     = 9
	interfaceFilter   = 11
	interfaceOffset   = 14
	packetFlags       = 2
	statisticsStart   = 2
	statisticsEnd     = 3
	statisticsReceive = 4
	statisticsDrop    = 5
	statisticsAccept  = 6
	statisticsOSDrop  = 7
	statisticsDeliver = 8

	blockFrameSize  = 12 // type and length before the body, length after it
	packetFixedSize = 20 // of a packet block's body before the data
	packetTailSize  = 12 // the option with the flags, and the end of options
	statisticsSize  = blockFrameSize + 12 + 7*12 + 4
)

var order = binary.LittleEndian

// appendPcapHeader appends the header of a classic file.
func appendPcapHeader(b []byte, h capture.FileHeader) []byte {
	magic := uint32(magicNano)
	if h.Precision == capture.Microsecond {
		magic = magicMicro
	}
	b = order.AppendUint32(b, magic)
	b = order.AppendUint16(b, 2) // version 2.4
	b = order.AppendUint16(b, 4)
	b = order.AppendUint64(b, 0) // two fields that are always zero
	b = order.AppendUint32(b, uint32(h.SnapLength))
	return order.AppendUint32(b, uint32(h.Interfaces[0].LinkType))
}

// appendSection starts a pcapng section: what wrote it, and its interfaces.
func appendSection(b []byte, h capture.FileHeader) []byte {
	b, start := beginBlock(b, blockSection)
	b = order.AppendUint32(b, byteOrderMagic)
	b = order.AppendUint16(b, 1) // version 1.0
	b = order.AppendUint16(b, 0)
	b = order.AppendUint64(b, 1<<64-1) // its length is not known yet
	for _, comment := range h.Comments {
		b = appendOption(b, optionComment, comment)
	}
	b = appendOption(b, sectionHardware, h.Machine)
	b = appendOption(b, sectionSystem, h.System)
	b = appendOption(b, sectionProgram, h.Application)
	b = order.AppendUint32(b, optionEnd)
	b = endBlock(b, start)

	for _, i := range h.Interfaces {
		b = appendInterface(b, h, i)
	}
	return b
}

// appendInterface describes an interface of the section.
func appendInterface(b []byte, h capture.FileHeader, i capture.Interface) []byte {
	resolution := "\x09" // nanoseconds
	if h.Precision == capture.Microsecond {
		resolution = "\x06"
	}
	b, start := beginBlock(b, blockInterface)
	b = order.AppendUint16(b, uint16(i.LinkType))
	b = order.AppendUint16(b, 0)
	b = order.AppendUint32(b, uint32(h.SnapLength))
	b = appendOption(b, interfaceName, i.Name)
	b = appendOption(b, interfaceTime, resolution)
	if h.Filter != "" {
		b = appendOption(b, interfaceFilter, "\x00"+h.Filter) // 0: an expression as of libpcap
	}
	b = order.AppendUint32(b, optionEnd)
	return endBlock(b, start)
}

// appendStatistics appends the counters of an interface, at most statisticsSize bytes. unit is the
// length of the unit of its timestamps in nanoseconds. delivered is how many of its packets are in
// the section.
func appendStatistics(b []byte, id int, c capture.Counters, delivered uint64, start, end time.Time, unit int64) []byte {
	b, begin := beginBlock(b, blockStatistics)
	stamp := func(b []byte, t time.Time) []byte {
		ns := uint64(t.UnixNano() / unit)
		b = order.AppendUint32(b, uint32(ns>>32))
		return order.AppendUint32(b, uint32(ns))
	}
	option := func(b []byte, code uint16) []byte {
		b = order.AppendUint16(b, code)
		return order.AppendUint16(b, 8)
	}
	b = order.AppendUint32(b, uint32(id))
	b = stamp(b, end)
	b = stamp(option(b, statisticsStart), start)
	b = stamp(option(b, statisticsEnd), end)
	for _, counter := range []struct {
		code  uint16
		value uint64
	}{
		// What the interface counted is before the filter. What it dropped for lack of room was, as
		// in the files of dumpcap, dropped on the way to us.
		{statisticsReceive, c.Seen},
		{statisticsDrop, c.Dropped},
		{statisticsAccept, c.Received + c.Dropped},
		{statisticsOSDrop, c.Dropped},
		{statisticsDeliver, delivered},
	} {
		if counter.code == statisticsReceive && !c.SeenKnown {
			continue
		}
		b = order.AppendUint64(option(b, counter.code), counter.value)
	}
	b = order.AppendUint32(b, optionEnd)
	return endBlock(b, begin)
}

func beginBlock(b []byte, kind uint32) (_ []byte, start int) {
	start = len(b)
	b = order.AppendUint32(b, kind)
	return order.AppendUint32(b, 0), start
}

// endBlock writes the length of the block in its two places.
func endBlock(b []byte, start int) []byte {
	length := uint32(len(b) - start + 4)
	order.PutUint32(b[start+4:], length)
	return order.AppendUint32(b, length)
}

// appendOption appends an option. It omits an empty value, and the end of one that is too long.
func appendOption(b []byte, code uint16, value string) []byte {
	if value == "" {
		return b
	}
	value = value[:min(len(value), 1<<16-4)]
	b = order.AppendUint16(b, code)
	b = order.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	return append(b, "\x00\x00\x00"[:padding(len(value))]...)
}

// padding returns how many bytes fill n up to a multiple of four.
func padding(n int) int { return -n & 3 }

// flags encodes direction and kind of reception for a packet block.
func flags(d capture.Direction) uint32 {
	const (
		inbound  = 1
		outbound = 2

		unicast   = 1 << 2
		multicast = 2 << 2
		broadcast = 3 << 2
		promisc   = 4 << 2
	)
	switch d {
	case capture.Incoming:
		return inbound | unicast
	case capture.IncomingMulticast:
		return inbound | multicast
	case capture.IncomingBroadcast:
		return inbound | broadcast
	case capture.IncomingOther:
		return inbound | promisc
	case capture.Outgoing:
		return outbound
	default:
		return 0
	}
}

// direction is the inverse of flags.
func direction(flags uint32) capture.Direction {
	switch flags & 3 {
	case 1:
		switch flags >> 2 & 7 {
		case 2:
			return capture.IncomingMulticast
		case 3:
			return capture.IncomingBroadcast
		case 4:
			return capture.IncomingOther
		default:
			return capture.Incoming
		}
	case 2:
		return capture.Outgoing
	default:
		return capture.DirectionUnknown
	}
}
