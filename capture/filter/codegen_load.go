package filter

// base is what an offset is relative to.
type base uint8

const (
	fromPacket        base = iota // first byte of the packet
	fromLink                      // link-layer header
	fromType                      // type field of the link-layer header
	fromPayload                   // what follows the link-layer header: LLC, where there is one
	fromNetwork                   // network-layer header
	fromNetworkNoSNAP             // network-layer header directly after an 802.2 header
	fromPreviousLabel             // the MPLS label before the current one
	fromIPv4Transport             // what follows the IPv4 header
	fromIPv6Transport             // what follows the fixed IPv6 header
)

// loadXVariable puts the variable part of an offset into X, and is empty if there is none.
func (g *generator) loadXVariable(o *offset) []statement {
	if !o.variable {
		return nil
	}
	return g.list(statement{codeLoadXMem, uint32(g.registerOf(o))})
}

// registerOf returns the scratch word with the variable part of an offset.
func (g *generator) registerOf(o *offset) int {
	if o.register < 0 {
		// The program begins with setting it, so it must not be a word that arithmetic further left
		// has used.
		o.register = g.reserve()
	}
	return o.register
}

// load puts bytes of the packet into A.
func (g *generator) load(from base, at uint32, size uint16) []statement {
	switch from {
	case fromLink:
		return g.loadAt(g.link, at, size)
	case fromType:
		return g.loadAt(g.typeAt, at, size)
	case fromPayload:
		return g.loadAt(g.payload, at, size)
	case fromNetwork:
		return g.loadAt(g.payload, g.network+at, size)
	case fromNetworkNoSNAP:
		return g.loadAt(g.payload, g.noSNAP+at, size)
	case fromPreviousLabel:
		return g.loadAt(g.payload, g.network-4+at, size)
	case fromIPv6Transport:
		return g.loadAt(g.payload, g.network+ipv6HeaderLength+at, size)
	case fromIPv4Transport:
		x := g.loadXIPv4End()
		return append(x, statement{classLD | modeIND | size, g.payload.constant + g.network + at})
	}
	return g.list(statement{classLD | modeABS | size, at})
}

func (g *generator) loadAt(o *offset, at uint32, size uint16) []statement {
	if !o.variable {
		return g.list(statement{classLD | modeABS | size, o.constant + at})
	}
	return g.list(
		statement{codeLoadXMem, uint32(g.registerOf(o))},
		statement{classLD | modeIND | size, o.constant + at})
}

// loadXIPv4End puts into X the length of the IPv4 header plus the variable part of its offset.
func (g *generator) loadXIPv4End() []statement {
	at := g.payload.constant + g.network
	if !g.payload.variable {
		return g.list(statement{codeLoadXMSH, at})
	}
	return g.list(
		statement{codeLoadXMem, uint32(g.registerOf(g.payload))},
		statement{classLD | modeIND | sizeB, at},
		statement{classALU | opAND, 0xf},
		statement{classALU | opLSH, 2},
		statement{classALU | opADD | srcX, 0},
		statement{codeTAX, 0})
}

// equal compares bytes of the packet with a value.
func (g *generator) equal(from base, at uint32, size uint16, value uint32) *condition {
	return g.test(g.load(from, at, size), opJEQ, value)
}

// equalMasked compares some bits of the packet with a value.
func (g *generator) equalMasked(from base, at uint32, size uint16, value, mask uint32) *condition {
	stmts := g.load(from, at, size)
	if mask != 0xffffffff {
		stmts = append(stmts, statement{classALU | opAND, mask})
	}
	return g.test(stmts, opJEQ, value)
}

// greater is true for bytes above a value.
func (g *generator) greater(from base, at uint32, size uint16, value uint32) *condition {
	return g.test(g.load(from, at, size), opJGT, value)
}

// atLeast is true for bytes not below a value.
func (g *generator) atLeast(from base, at uint32, size uint16, value uint32) *condition {
	return g.test(g.load(from, at, size), opJGE, value)
}

// anyBit is true if one of the bits is set.
func (g *generator) anyBit(from base, at uint32, size uint16, bits uint32) *condition {
	return g.test(g.load(from, at, size), opJSET, bits)
}

// equalBytes compares a string of bytes, the last four first, which differ most often in addresses.
func (g *generator) equalBytes(from base, at uint32, want []byte) *condition {
	var c *condition
	for end := len(want); end > 0; {
		size, width := uint16(sizeB), 1
		switch {
		case end >= 4:
			size, width = sizeW, 4
		case end >= 2:
			size, width = sizeH, 2
		}
		var v uint32
		for _, b := range want[end-width : end] {
			v = v<<8 | uint32(b)
		}
		end -= width
		part := g.equal(from, at+uint32(end), size, v)
		if c == nil {
			c = part
		} else {
			c = and(c, part)
		}
	}
	return c
}
