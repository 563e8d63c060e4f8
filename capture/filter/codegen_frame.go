package filter

// Primitives about the frame as a whole: length, single bytes, direction, interface, 802.2.

// lengthTest compares the length on the wire.
func (g *generator) lengthTest(op uint16, n uint32) *condition {
	return g.test(g.list(statement{codeLoadLen, 0}), op, n)
}

// byteTest compiles "byte N op N".
func (g *generator) byteTest(n *byteTest) *condition {
	switch n.op {
	case tokenEQ:
		return g.equal(fromLink, n.index, sizeB, n.value)
	case tokenGT:
		return g.greater(fromLink, n.index, sizeB, n.value)
	case tokenLT:
		return not(g.atLeast(fromLink, n.index, sizeB, n.value))
	}
	op := uint16(opAND)
	if n.op == tokenBar {
		op = opOR
	}
	stmts := append(g.load(fromLink, n.index, sizeB), statement{classALU | op, n.value})
	return not(g.test(stmts, opJEQ, 0))
}

// packetOutgoing marks packets that this machine sends, in cooked headers and packet metadata
// (PACKET_OUTGOING of linux/if_packet.h).
const packetOutgoing = 4

// outbound tests for packets that this machine sends.
func (g *generator) outbound(kind primitiveKind) *condition {
	switch g.linkType {
	case LinuxSLL:
		return g.equal(fromLink, 0, sizeH, packetOutgoing)
	case LinuxSLL2:
		return g.equal(fromLink, 10, sizeB, packetOutgoing)
	}
	if g.target.Kind == Savefile && !g.target.Directions {
		g.fail("a capture file of link type %s does not tell what is %s", g.linkType, kind)
	}
	return g.equal(fromLink, ancillaryPacketType, sizeH, packetOutgoing)
}

// ifindex tests for the interface that a packet was captured on.
func (g *generator) ifindex(n uint32) *condition {
	if g.linkType == LinuxSLL2 {
		return g.equal(fromLink, 4, sizeW, n)
	}
	if g.target.Kind == Savefile {
		g.fail("a capture file of link type %s does not tell the interface", g.linkType)
	}
	return g.equal(fromLink, ancillaryInterface, sizeW, n)
}

// llc tests for 802.2 frames, or for those of some type.
func (g *generator) llc(n *primitive) *condition {
	var c *condition
	switch g.linkType {
	case EN10MB:
		c = g.isLength()
		c = and(c, not(g.equal(fromPayload, 0, sizeH, 0xffff))) // Novell's frames without 802.2
	case IEEE80211, IEEE80211Radio:
		c = g.wlanDataFrame()
	default:
		g.fail("there is no 802.2 header on link type %s", g.linkType)
	}
	if len(n.names) == 0 {
		return c
	}
	const control = 2 // offset of the control field
	masked := func(value, mask uint32) *condition {
		return and(c, g.equalMasked(fromPayload, control, sizeB, value, mask))
	}
	supervisory := func(value uint32) *condition { return masked(value, 0x0f) }
	unnumbered := func(value uint32) *condition { return masked(value, 0xef) }
	switch name := lower(n.names[0].text); name {
	case "i":
		return and(c, not(g.anyBit(fromPayload, control, sizeB, 1)))
	case "s":
		return masked(1, 3)
	case "u":
		return masked(3, 3)
	case "rr":
		return supervisory(0x01)
	case "rnr":
		return supervisory(0x05)
	case "rej":
		return supervisory(0x09)
	case "ui":
		return unnumbered(0x03)
	case "ua":
		return unnumbered(0x63)
	case "disc":
		return unnumbered(0x43)
	case "dm":
		return unnumbered(0x0f)
	case "sabme":
		return unnumbered(0x6f)
	case "test":
		return unnumbered(0xe3)
	case "xid":
		return unnumbered(0xaf)
	case "frmr":
		return unnumbered(0x87)
	}
	g.pos = n.names[0].pos
	g.fail(
		"%q is no type of 802.2 frame; accepted are i, s, u, rr, rnr, rej, ui, ua, disc, dm, sabme, test, xid and frmr",
		n.names[0].text)
	return nil
}

// lower is strings.ToLower for ASCII, which is what names of frame types are compared as.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
