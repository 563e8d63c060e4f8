package headers

import (
	"encoding/binary"

	"diagsh/capture"
)

// Link types, as https://www.tcpdump.org/linktypes.html has them.
const (
	linkNull            capture.LinkType = 0
	linkTokenRing       capture.LinkType = 6
	linkPPP             capture.LinkType = 9
	linkFDDI            capture.LinkType = 10
	linkRaw12           capture.LinkType = 12 // DLT_RAW, if a program did not translate it
	linkRaw14           capture.LinkType = 14
	linkPPPHDLC         capture.LinkType = 50
	linkPPPEther        capture.LinkType = 51
	linkATM             capture.LinkType = 100 // RFC 2684: LLC
	linkCiscoHDLC       capture.LinkType = 104
	link80211           capture.LinkType = 105
	linkFrameRelay      capture.LinkType = 107
	linkLoop            capture.LinkType = 108
	linkENC             capture.LinkType = 109
	linkCooked          capture.LinkType = 113
	linkPFLog           capture.LinkType = 117
	linkPrism           capture.LinkType = 119
	linkRadiotap        capture.LinkType = 127
	linkIPOverFireWire  capture.LinkType = 138
	linkAVS             capture.LinkType = 163
	linkPPPD            capture.LinkType = 166
	linkPPI             capture.LinkType = 192
	linkPPPDirection    capture.LinkType = 204
	linkIPv4            capture.LinkType = 228
	linkIPv6            capture.LinkType = 229
	linkNFLog           capture.LinkType = 239
	linkIPoIB           capture.LinkType = 242
	linkEthernetMPacket capture.LinkType = 274
	linkCooked2         capture.LinkType = 276
)

// Known reports whether the headers of such a link are read.
func Known(link capture.LinkType) bool {
	switch link {
	case capture.Ethernet, capture.Raw, linkNull, linkTokenRing, linkPPP, linkFDDI, linkRaw12, linkRaw14, linkPPPHDLC,
		linkPPPEther, linkATM, linkCiscoHDLC, link80211, linkFrameRelay, linkLoop, linkENC,
		linkCooked, linkPFLog, linkPrism, linkRadiotap, linkIPOverFireWire, linkAVS, linkPPPD, linkPPI,
		linkPPPDirection, linkIPv4, linkIPv6, linkNFLog, linkIPoIB, linkEthernetMPacket, linkCooked2:
		return true
	}
	return false
}

func (w walk) link(link capture.LinkType, v view) {
	if !w.deeper() {
		return
	}
	switch link {
	case capture.Ethernet:
		w.ethernet(v)
	case capture.Raw, linkRaw12, linkRaw14, linkIPv4, linkIPv6:
		w.ip(v)
	case linkCooked:
		if v.has(16) {
			w.cooked(v.uint16(14), v.skip(16))
		}
	case linkCooked2:
		if v.has(20) {
			w.cooked(v.uint16(0), v.skip(20))
		}
	case linkNull, linkLoop:
		if v.has(4) {
			w.family(v.b, v.skip(4))
		}
	case linkENC: // family, SPI, flags
		if v.has(12) {
			w.family(v.b, v.skip(12))
		}
	case linkPFLog: // its own length first, and the family
		if v.has(2) {
			w.family([]byte{v.b[1], 0, 0, 0}, v.skip((int(v.b[0])+3)&^3))
		}
	case linkIPoIB: // after a global route header
		if v.has(44) {
			w.etherType(v.uint16(40), v.skip(44))
		}
	case linkNFLog:
		w.nflog(v)
	case linkPPPD:
		w.pppFrame(v)
	case linkPPPDirection:
		w.pppFrame(v.skip(1))
	case linkPPP, linkPPPHDLC, linkCiscoHDLC:
		w.hdlc(v)
	case linkPPPEther:
		w.pppoe(v)
	case linkFrameRelay:
		w.frameRelay(v)
	case linkATM:
		w.llc(v)
	case linkFDDI: // frame control and addresses
		if v.has(13) && v.b[0]&0xf0 == 0x50 {
			w.llc(v.skip(13))
		}
	case linkTokenRing:
		w.tokenRing(v)
	case linkIPOverFireWire:
		if v.has(18) {
			w.etherType(v.uint16(16), v.skip(18))
		}
	case link80211:
		w.wireless(v, 0)
	case linkRadiotap:
		w.radiotap(v)
	case linkPPI:
		w.ppi(v)
	case linkPrism, linkAVS:
		w.wirelessHead(v)
	case linkEthernetMPacket:
		w.ethernet(v.skip(8))
	}
}

func (w walk) ethernet(v view) {
	if w.deeper() && v.has(14) {
		w.typeOrLength(v.uint16(12), v.skip(14))
	}
}

// typeOrLength reads what follows the addresses of Ethernet, or a VLAN tag: an EtherType, or the
// length of what follows.
func (w walk) typeOrLength(kind uint16, v view) {
	switch {
	case kind > 1500:
		w.etherType(kind, v)
	case v.has(2) && v.uint16(0) == 0xffff: // Novell's own
		w.h.Protocol = Other
	default:
		w.llc(v.only(int(kind)))
	}
}

// cooked reads what follows the header that Linux makes up. Kinds below 1536 are Linux's own.
func (w walk) cooked(kind uint16, v view) {
	switch {
	case kind == 0x0004:
		w.llc(v)
	case kind >= 1536:
		w.etherType(kind, v)
	}
}

// family reads what BSD puts before packets of its loopback, in the byte order of the capturing
// machine. Each BSD has its own number for IPv6.
func (w walk) family(b []byte, v view) {
	family := binary.BigEndian.Uint32(b)
	if family > 0xffff {
		family = binary.LittleEndian.Uint32(b)
	}
	switch family {
	case 2, 24, 28, 30, 10:
		w.ip(v)
	}
}

// nflog reads what the kernel's packet filter logs: attributes in the byte order of the machine,
// each with its length and type first. One of them is the packet.
func (w walk) nflog(v view) {
	for v = v.skip(4); v.has(4); {
		length, kind := int(binary.LittleEndian.Uint16(v.b)), binary.LittleEndian.Uint16(v.b[2:])
		switch {
		case length < 4:
			return
		case kind == 9:
			w.ip(v.only(length).skip(4))
			return
		}
		v = v.skip((length + 3) &^ 3)
	}
}

// llc reads IEEE 802.2 (RFC 1042).
func (w walk) llc(v view) {
	w.h.Protocol = LLC
	if !v.has(3) {
		return
	}
	switch {
	case v.b[0] == 0xaa && v.b[1] == 0xaa && v.has(8):
		if organisation := uint32(v.b[3])<<16 | uint32(v.uint16(4)); organisation == 0 || organisation == 0xf8 {
			w.etherType(v.uint16(6), v.skip(8))
		}
	case v.b[0] == 0x06 && v.b[1]&^1 == 0x06:
		w.ip(v.skip(3))
	}
}

// tokenRing reads IEEE 802.5: access control, frame control, addresses, and a route if the first
// bit of the sender's address says so.
func (w walk) tokenRing(v view) {
	if !v.has(15) || v.b[1]&0xc0 != 0x40 {
		return
	}
	head := 14
	if v.b[8]&0x80 != 0 {
		head += int(v.b[14] & 0x1f)
	}
	w.llc(v.skip(head))
}

// pppFrame reads PPP with or without the address and control of HDLC (RFC 1662), or with pppd's
// direction in place of the address.
func (w walk) pppFrame(v view) {
	if v.has(2) && (v.b[0] == 0xff || v.b[0] <= 1) && v.b[1] == 0x03 {
		v = v.skip(2)
	}
	w.h.Tunnels |= PPPFrame
	w.ppp(v)
}

// ppp reads RFC 1661; the protocol is one byte if that is odd.
func (w walk) ppp(v view) {
	w.h.Protocol = PPP
	if !w.deeper() || !v.has(1) {
		return
	}
	kind, behind := uint16(v.b[0]), 1
	if kind&1 == 0 {
		if !v.has(2) {
			return
		}
		kind, behind = v.uint16(0), 2
	}
	switch v = v.skip(behind); kind {
	case 0x21, 0x57:
		w.ip(v)
	case 0x0281, 0x0283:
		w.mpls(v)
	}
}

// hdlc reads PPP in HDLC, or Cisco's own form, which has an EtherType.
func (w walk) hdlc(v view) {
	switch {
	case !v.has(4):
	case v.b[0] == 0xff && v.b[1] == 0x03:
		w.pppFrame(v)
	case (v.b[0] == 0x0f || v.b[0] == 0x8f) && v.b[1] == 0:
		w.typeOrLength(v.uint16(2), v.skip(4))
	default:
		w.pppFrame(v)
	}
}

// frameRelay reads RFC 2427.
func (w walk) frameRelay(v view) {
	at := 0
	for at < len(v.b) && v.b[at]&1 == 0 {
		at++
	}
	if v = v.skip(at + 1); !v.has(2) || v.b[0] != 0x03 {
		return
	}
	if v = v.skip(1); v.b[0] == 0 { // padding
		v = v.skip(1)
	}
	if !v.has(1) {
		return
	}
	switch kind := v.b[0]; kind {
	case 0xcc, 0x8e:
		w.ip(v.skip(1))
	case 0xcf:
		w.ppp(v.skip(1))
	case 0x80: // SNAP without LLC
		if v.has(6) && v.b[1] == 0 && v.b[2] == 0 && v.b[3] == 0 {
			w.etherType(v.uint16(4), v.skip(6))
		}
	}
}
