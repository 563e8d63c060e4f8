package headers

import (
	"encoding/binary"

	"diagsh/capture"
)

// radiotap reads what drivers say about a frame of 802.11 (https://www.radiotap.org). Only whether
// the frame's header is padded matters.
func (w walk) radiotap(v view) {
	if !v.has(8) {
		return
	}
	length, flags := int(binary.LittleEndian.Uint16(v.b[2:])), byte(0)
	at, present := 8, binary.LittleEndian.Uint32(v.b[4:])
	for more := present; more&(1<<31) != 0 && v.has(at+4); at += 4 {
		more = binary.LittleEndian.Uint32(v.b[at:])
	}
	if present&1 != 0 { // the time, which is aligned to 8 bytes
		at = (at+7)&^7 + 8
	}
	if present&2 != 0 && v.has(at+1) && at < length {
		flags = v.b[at]
	}
	w.wireless(v.skip(length), flags)
}

// flagPadded of radiotap says that the header of the frame is padded to a multiple of 4.
const flagPadded = 0x20

// ppi reads CACE's header before frames of any type.
func (w walk) ppi(v view) {
	if !v.has(8) {
		return
	}
	length, link := int(binary.LittleEndian.Uint16(v.b[2:])), binary.LittleEndian.Uint32(v.b[4:])
	if link > 0xffff || capture.LinkType(link) == linkPPI {
		return
	}
	w.link(capture.LinkType(link), v.skip(length))
}

// wirelessHead reads Prism's header, or AVS's, which both have their length.
func (w walk) wirelessHead(v view) {
	if !v.has(8) {
		return
	}
	length := binary.BigEndian.Uint32(v.b[4:])
	if v.b[0] != 0x80 { // Prism, in the byte order of the machine
		if length > 0xffff {
			length = binary.LittleEndian.Uint32(v.b[4:])
		}
		length = max(length, 144)
	}
	if length <= 0xffff {
		w.wireless(v.skip(int(length)), 0)
	}
}

// wireless reads a frame of 802.11. Of an aggregate of several (A-MSDU) it reads only the first.
func (w walk) wireless(v view, flags byte) {
	if !v.has(2) {
		return
	}
	w.h.Protocol = Management
	kind, subtype := v.b[0]>>2&3, v.b[0]>>4
	if kind != 2 || subtype&4 != 0 { // no data
		return
	}
	length, aggregated := 24, false
	if v.b[1]&3 == 3 { // between access points
		length += 6
	}
	if subtype&8 != 0 {
		if !v.has(length + 2) {
			return
		}
		aggregated = v.b[length]&0x80 != 0
		length += 2
		if v.b[1]&0x80 != 0 {
			length += 4
		}
	}
	if v.b[1]&0x40 != 0 {
		w.h.Protocol = Encrypted
		return
	}
	if flags&flagPadded != 0 {
		length = (length + 3) &^ 3
	}
	if aggregated {
		length += 14
	}
	w.llc(v.skip(length))
}
