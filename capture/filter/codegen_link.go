package filter

// Values of the Ethernet type field.
const (
	etherIP      = 0x0800
	etherARP     = 0x0806
	etherRARP    = 0x8035
	etherTEB     = 0x6558 // Ethernet as a payload
	etherMOPDL   = 0x6001
	etherMOPRC   = 0x6002
	etherDECnet  = 0x6003
	etherLAT     = 0x6004
	etherSCA     = 0x6007
	etherATalk   = 0x809b
	etherAARP    = 0x80f3
	etherVLAN    = 0x8100
	etherIPX     = 0x8137
	etherIPv6    = 0x86dd
	etherMPLS    = 0x8847
	etherPPPoED  = 0x8863
	etherPPPoES  = 0x8864
	etherVLANAD  = 0x88a8
	etherVLANOld = 0x9100

	// maxEtherLength is the largest value of the field that is a length, not a type.
	maxEtherLength = 1500
)

// Service access points of 802.2. They share one number space with the Ethernet types.
const (
	sapIP      = 0x06
	sapSTP     = 0x42
	sapIPX     = 0xe0
	sapNetBEUI = 0xf0
	sapISO     = 0xfe
)

// Values of the type field in Linux cooked captures that are no Ethernet types.
const (
	cooked8023 = 1 // Novell's 802.3 without 802.2
	cooked8022 = 4
)

// Protocol numbers of PPP.
const (
	pppIP      = 0x0021
	pppOSI     = 0x0023
	pppDECnet  = 0x0027
	pppATalk   = 0x0029
	pppIPX     = 0x002b
	pppSTP     = 0x0031
	pppIPv6    = 0x0057
	pppMPLS    = 0x0281
	pppNS      = 0x0025
	etherXNS   = 0x0600
	familyIPv4 = 2
)

// begin sets the offsets for the start of the packet.
func (g *generator) begin() {
	g.linkType = g.target.LinkType
	switch g.linkType {
	case rawInFile:
		g.linkType = Raw
	case PPPSerial:
		g.linkType = PPP
	}
	var typeAt, payload uint32
	variable := false
	switch g.linkType {
	case EN10MB:
		typeAt, payload, g.noSNAP = 12, 14, 3
	case Null, Loop:
		typeAt, payload = 0, 4
	case PPP, CiscoHDLC:
		typeAt, payload = 2, 4
	case Raw, IPv4, IPv6:
		g.typeless = true
	case LinuxSLL:
		typeAt, payload = 14, 16
	case LinuxSLL2:
		typeAt, payload = 0, 20
	case IEEE80211, IEEE80211Radio:
		// The network layer follows 802.2 and SNAP.
		variable, g.network, g.noSNAP = true, 8, 3
	default:
		g.fail(
			"no filter can be compiled for link type %d; supported are EN10MB, RAW, LINUX_SLL, LINUX_SLL2, NULL, LOOP, PPP, PPP_SERIAL, C_HDLC, IPV4, IPV6, IEEE802_11 and IEEE802_11_RADIO", int(g.linkType))
	}
	g.link = &offset{variable: g.linkType == IEEE80211Radio, register: -1}
	g.typeAt = &offset{constant: typeAt, variable: variable, register: -1}
	g.payload = &offset{constant: payload, variable: variable, register: -1}
	g.outerLink, g.outerPayload = g.link, g.payload
}

// push makes an inner header the link layer for all that follows.
func (g *generator) push(t LinkType, link, typeAt, payload *offset) {
	g.linkType, g.link, g.typeAt, g.payload = t, link, typeAt, payload
	g.network, g.noSNAP = 0, 0
	if t == EN10MB {
		g.noSNAP = 3
	}
	g.typeless = false
}

// linkProtocol tests for the protocol after the link-layer header: an Ethernet type, or up to 1500
// an 802.2 service access point, whatever the link type calls it.
func (g *generator) linkProtocol(p uint32) *condition {
	if g.labels > 0 {
		return g.mplsProtocol(p)
	}
	switch g.linkType {
	case EN10MB:
		return g.etherProtocol(p)
	case IEEE80211, IEEE80211Radio:
		// Only data frames have what follows.
		frame := g.wlanDataFrame()
		return and(frame, g.snapProtocol(p))
	case LinuxSLL:
		return g.cookedProtocol(p)
	case Raw:
		switch p {
		case etherIP:
			return g.equalMasked(fromLink, 0, sizeB, 0x40, 0xf0)
		case etherIPv6:
			return g.equalMasked(fromLink, 0, sizeB, 0x60, 0xf0)
		}
		return g.constantly(false)
	case IPv4:
		return g.constantly(p == etherIP)
	case IPv6:
		return g.constantly(p == etherIPv6)
	case Null, Loop:
		return g.familyProtocol(p)
	case PPP:
		return g.equal(fromType, 0, sizeH, pppProtocol(p))
	case CiscoHDLC:
		if p == sapISO {
			p = sapISO<<8 | sapISO
		}
	}
	return g.equal(fromType, 0, sizeH, p)
}

// etherProtocol tests an Ethernet header, or an 802.3 header followed by 802.2.
func (g *generator) etherProtocol(p uint32) *condition {
	switch p {
	case sapISO, sapIP, sapNetBEUI:
		return and(g.isLength(), g.equal(fromPayload, 0, sizeH, p<<8|p))
	case sapIPX:
		// Ethernet II, 802.3 with nothing after, 802.2, or SNAP.
		bare := or(g.equal(fromPayload, 0, sizeB, sapIPX), g.equal(fromPayload, 0, sizeH, 0xffff))
		inside := or(g.snap(0, etherIPX), bare)
		inside = and(g.isLength(), inside)
		return or(g.equal(fromType, 0, sizeH, etherIPX), inside)
	case etherATalk:
		inside := and(g.isLength(), g.snap(0x080007, etherATalk))
		return or(g.equal(fromType, 0, sizeH, p), inside)
	case etherAARP:
		inside := and(g.isLength(), g.snap(0, etherAARP))
		return or(g.equal(fromType, 0, sizeH, p), inside)
	}
	if p <= maxEtherLength {
		return and(g.isLength(), g.equal(fromPayload, 0, sizeB, p))
	}
	return g.equal(fromType, 0, sizeH, p)
}

// isLength is true if the Ethernet type field is a length, so that 802.2 follows.
func (g *generator) isLength() *condition {
	return not(g.greater(fromType, 0, sizeH, maxEtherLength))
}

// snap tests for an 802.2 header with SNAP: organisation and protocol.
func (g *generator) snap(organisation, p uint32) *condition {
	return g.equalBytes(fromPayload, 0, []byte{0xaa, 0xaa, 3,
		byte(organisation >> 16), byte(organisation >> 8), byte(organisation), byte(p >> 8), byte(p)})
}

// snapProtocol tests for a protocol where there is always an 802.2 header.
func (g *generator) snapProtocol(p uint32) *condition {
	switch p {
	case sapISO, sapIP, sapNetBEUI:
		return g.equal(fromPayload, 0, sizeH, p<<8|p)
	case sapIPX:
		return g.equal(fromPayload, 0, sizeB, sapIPX)
	case etherATalk:
		return g.snap(0x080007, etherATalk)
	}
	if p <= maxEtherLength {
		return g.equal(fromPayload, 0, sizeB, p)
	}
	// The organisation is not looked at.
	return g.equal(fromPayload, 6, sizeH, p)
}

// cookedProtocol tests the header of a Linux cooked capture.  (Version 2 is not treated so by
// libpcap: there the type is compared, and nothing else.)
func (g *generator) cookedProtocol(p uint32) *condition {
	is8022 := func() *condition { return g.equal(fromType, 0, sizeH, cooked8022) }
	switch p {
	case sapISO, sapIP, sapNetBEUI:
		return and(is8022(), g.equal(fromPayload, 0, sizeH, p<<8|p))
	case sapIPX:
		inside := or(g.equal(fromPayload, 0, sizeB, sapIPX), g.snap(0, etherIPX))
		inside = and(is8022(), inside)
		inside = or(g.equal(fromType, 0, sizeH, cooked8023), inside)
		return or(g.equal(fromType, 0, sizeH, etherIPX), inside)
	case etherATalk, etherAARP:
		organisation := uint32(0)
		if p == etherATalk {
			organisation = 0x080007
		}
		return or(g.equal(fromType, 0, sizeH, p), and(is8022(), g.snap(organisation, p)))
	}
	if p <= maxEtherLength {
		return and(is8022(), g.equal(fromPayload, 0, sizeB, p))
	}
	return g.equal(fromType, 0, sizeH, p)
}

// familyProtocol tests the address family of the loopback link types.
func (g *generator) familyProtocol(p uint32) *condition {
	switch p {
	case etherIP:
		return g.family(familyIPv4)
	case etherIPv6:
		if g.target.Kind != Savefile {
			return g.family(10) // AF_INET6 of Linux
		}
		// A file may come from NetBSD, FreeBSD or macOS, which number the family differently.
		return or(g.family(30), or(g.family(24), g.family(28)))
	}
	return g.constantly(false)
}

// family compares the address family: in network byte order for Loop, in that of the capturing
// machine for Null. All machines that this package is built for are little-endian.
func (g *generator) family(f uint32) *condition {
	if g.linkType == Null && !(g.target.Kind == Savefile && g.target.SwappedByteOrder) {
		f <<= 24
	}
	return g.equal(fromLink, 0, sizeW, f)
}

// pppProtocol returns the PPP number of a protocol.
func pppProtocol(p uint32) uint32 {
	switch p {
	case etherIP:
		return pppIP
	case etherIPv6:
		return pppIPv6
	case etherDECnet:
		return pppDECnet
	case etherATalk:
		return pppATalk
	case etherXNS:
		return pppNS
	case sapISO:
		return pppOSI
	case sapSTP:
		return pppSTP
	case sapIPX:
		return pppIPX
	}
	return p
}

// hasAddresses reports whether frames of the link type carry Ethernet addresses.
func (g *generator) hasAddresses() bool { return g.linkType == EN10MB || g.isWLAN() }

func (g *generator) isWLAN() bool {
	return g.linkType == IEEE80211 || g.linkType == IEEE80211Radio
}
