package filter

import "slices"

// Bits of the two frame control bytes of 802.11.
const (
	wlanTypeMask    = 0x0c
	wlanSubtypeMask = 0xf0
	wlanControl     = 0x04
	wlanData        = 0x08
	wlanQoS         = 0x80
	wlanDirMask     = 0x03
	wlanToDS        = 0x01
	wlanFromDS      = 0x02

	wlanDataHeader = 24 // length without the fourth address and without QoS
)

// Bits of radiotap, where little-endian words are read big-endian.
const (
	radiotapHasTSFT  = 0x01000000
	radiotapHasFlags = 0x02000000
	radiotapExtended = 0x00000080
	radiotapDataPad  = 0x20 // in the flags: the 802.11 header is padded to a multiple of 4
)

// wlanPrologue computes the length of the radiotap header and that of the 802.11 header.
func (g *generator) wlanPrologue(first *block) *block {
	link, payload := g.outerLink, g.outerPayload
	needsPayload := payload.register >= 0
	if needsPayload && link.variable {
		g.registerOf(link)
	}
	var stmts []statement
	if link.register >= 0 {
		// Bytes 2 and 3 of radiotap are its length, little-endian.
		stmts = []statement{
			{classLD | modeABS | sizeB, 3},
			{classALU | opLSH, 8},
			{codeTAX, 0},
			{classLD | modeABS | sizeB, 2},
			{classALU | opOR | srcX, 0},
			{codeStore, uint32(link.register)},
			{codeTAX, 0},
		}
	}
	if !needsPayload {
		first.stmts = append(stmts, first.stmts...)
		return first
	}
	g.plain = false
	if stmts == nil {
		stmts = []statement{{codeLoadXImm, 0}}
	}
	at := uint32(payload.register)
	add := func(n uint32) []statement {
		return g.list(statement{codeLoadMem, at}, statement{classALU | opADD, n}, statement{codeStore, at})
	}
	anySet := func(bits uint32, stmts ...statement) *block { return g.block(stmts, classJMP|opJSET, bits) }

	root := anySet(wlanData, append(stmts,
		statement{codeTXA, 0},
		statement{classALU | opADD, wlanDataHeader},
		statement{codeStore, at},
		statement{classLD | modeIND | sizeB, 0})...)
	control := anySet(wlanControl)
	qos := anySet(wlanQoS)
	longer := g.block(add(2), codeJump, 0)
	root.yes, root.no = control, first
	control.yes, control.no = first, qos
	padding := first
	if g.target.LinkType == IEEE80211Radio {
		padding = g.radiotapPadding(first, at)
	}
	qos.yes, qos.no = longer, padding
	longer.yes = padding
	return root
}

// radiotapPadding rounds the length of the 802.11 header up if the flags of radiotap say that it is
// padded. The flags are looked for only where they are without a second word of presence bits.
func (g *generator) radiotapPadding(next *block, at uint32) *block {
	anySet := func(bits uint32, stmts ...statement) *block { return g.block(stmts, classJMP|opJSET, bits) }
	round := g.block(g.list(
		statement{codeLoadMem, at},
		statement{classALU | opADD, 3},
		statement{classALU | opAND, 0xfffffffc},
		statement{codeStore, at}), codeJump, 0)
	round.yes = next
	hasFlags := anySet(radiotapHasFlags, statement{classLD | modeABS | sizeW, 4})
	extended := anySet(radiotapExtended)
	timestamp := anySet(radiotapHasTSFT)
	behind := anySet(radiotapDataPad, statement{classLD | modeABS | sizeB, 16})
	direct := anySet(radiotapDataPad, statement{classLD | modeABS | sizeB, 8})
	hasFlags.yes, hasFlags.no = extended, next
	extended.yes, extended.no = next, timestamp
	timestamp.yes, timestamp.no = behind, direct
	behind.yes, behind.no = round, next
	direct.yes, direct.no = round, next
	return hasFlags
}

// control0 and control1 test bits of the frame control bytes.
func (g *generator) control0(bits uint32) *condition { return g.anyBit(fromLink, 0, sizeB, bits) }
func (g *generator) control1(bits uint32) *condition { return g.anyBit(fromLink, 1, sizeB, bits) }

// wlanDataFrame tests for a data frame.
func (g *generator) wlanDataFrame() *condition {
	notControl := not(g.control0(wlanControl))
	return and(notControl, g.control0(wlanData))
}

// wlanFrames combines a test for management frames with one for data frames; control frames have
// neither source nor destination.
func (g *generator) wlanFrames(management, data func() *condition) *condition {
	notControl := not(g.control0(wlanControl))
	isManagement := not(g.control0(wlanData))
	c := and(isManagement, management())
	isData := g.control0(wlanData)
	return and(notControl, or(c, and(isData, data())))
}

// wlanDestination finds the destination address: the first address, or the third in a data frame
// to the distribution system.
func (g *generator) wlanDestination(test func(at uint32) *condition) *condition {
	return g.wlanFrames(
		func() *condition { return test(4) },
		func() *condition {
			direct := and(not(g.control1(wlanToDS)), test(4))
			return or(direct, and(g.control1(wlanToDS), test(16)))
		})
}

// wlanSource finds the source address: the second address, or in a data frame from the distribution
// system the third, or the fourth if it also goes to one.
func (g *generator) wlanSource(test func(at uint32) *condition) *condition {
	return g.wlanFrames(
		func() *condition { return test(10) },
		func() *condition {
			direct := and(not(g.control1(wlanFromDS)), test(10))
			from := g.control1(wlanFromDS)
			third := and(not(g.control1(wlanToDS)), test(16))
			return or(direct, and(from, or(third, and(g.control1(wlanToDS), test(24)))))
		})
}

// wlanHost tests an address of an 802.11 header.
func (g *generator) wlanHost(address [6]byte, d direction) *condition {
	test := func(at uint32) *condition { return g.equalBytes(fromLink, at, address[:]) }
	switch d {
	case dirAddr1:
		return test(4)
	case dirAddr2:
		return and(g.wlanHasAddress2(), test(10))
	case dirAddr3:
		notControl := not(g.equalMasked(fromLink, 0, sizeB, wlanControl, wlanTypeMask))
		return and(notControl, test(16))
	case dirAddr4:
		both := g.equalMasked(fromLink, 1, sizeB, wlanToDS|wlanFromDS, wlanDirMask)
		return and(both, test(24))
	case dirRA:
		// Management frames have no receiver address.
		notManagement := g.control0(wlanData)
		return and(notManagement, test(4))
	case dirTA:
		// Nor a transmitter address.
		notManagement := g.control0(wlanData)
		return and(and(notManagement, g.wlanHasAddress2()), test(10))
	}
	return g.eachEnd(d,
		func() *condition { return g.wlanSource(test) },
		func() *condition { return g.wlanDestination(test) })
}

// wlanHasAddress2 is true unless the frame is one of the control frames CTS and ACK.
func (g *generator) wlanHasAddress2() *condition {
	notControl := not(g.equalMasked(fromLink, 0, sizeB, wlanControl, wlanTypeMask))
	notCTS := not(g.equalMasked(fromLink, 0, sizeB, 0xc0, wlanSubtypeMask))
	notACK := not(g.equalMasked(fromLink, 0, sizeB, 0xd0, wlanSubtypeMask))
	return or(notControl, and(notCTS, notACK))
}

func (g *generator) wlanMulticast() *condition { return g.wlanDestination(g.groupBit) }

// requireWLAN fails on other link types.
func (g *generator) requireWLAN(what string) {
	if !g.isWLAN() {
		g.fail("%s applies only to 802.11, not to link type %s", what, g.linkType)
	}
}

// wlanFrameType is a type of frames with the names of its subtypes, by number. Reserved ones have
// an empty name.
type wlanFrameType struct {
	names    []string
	value    uint32
	subtypes []string
}

func wlanFrameTypes() []wlanFrameType {
	return []wlanFrameType{
		{[]string{"mgt", "management"}, 0x00, []string{"assoc-req", "assoc-resp", "reassoc-req", "reassoc-resp",
			"probe-req", "probe-resp", "", "", "beacon", "atim", "disassoc", "auth", "deauth"}},
		{[]string{"ctl", "control"}, wlanControl,
			[]string{"", "", "", "", "", "", "", "", "", "", "ps-poll", "rts", "cts",
				"ack", "cf-end", "cf-end-ack"}},
		{[]string{"data"}, wlanData, []string{"data", "data-cf-ack", "data-cf-poll", "data-cf-ack-poll", "null",
			"cf-ack", "cf-poll", "cf-ack-poll", "qos-data", "qos-data-cf-ack", "qos-data-cf-poll",
			"qos-data-cf-ack-poll", "qos", "", "qos-cf-poll", "qos-cf-ack-poll"}},
	}
}

// alias returns the name in the tables for another name of a subtype.
func alias(name string) string {
	switch name {
	case "assocreq":
		return "assoc-req"
	case "assocresp":
		return "assoc-resp"
	case "reassocreq":
		return "reassoc-req"
	case "reassocresp":
		return "reassoc-resp"
	case "probereq":
		return "probe-req"
	case "proberesp":
		return "probe-resp"
	case "disassociation":
		return "disassoc"
	case "authentication":
		return "auth"
	case "deauthentication":
		return "deauth"
	}
	return name
}

// subtypeOf finds a subtype by name.
func (t wlanFrameType) subtypeOf(name string) (uint32, bool) {
	i := slices.Index(t.subtypes, alias(lower(name)))
	return uint32(i) << 4, i >= 0
}

// wlanType compiles "type T" and "type T subtype S".
func (g *generator) wlanType(n *primitive) *condition {
	word := n.names[0]
	g.pos = word.pos
	value, found := word.value, word.kind == tokenNumber
	if found && value&^wlanTypeMask != 0 {
		g.fail("%s is no 802.11 type; its bits are those of %#x", word.text, wlanTypeMask)
	}
	var named *wlanFrameType
	for _, t := range wlanFrameTypes() {
		if !found && slices.Contains(t.names, lower(word.text)) || found && t.value == value {
			named, value = &t, t.value
			found = true
			break
		}
	}
	if !found {
		g.fail("%q is no type of 802.11 frame; mgt, ctl and data are", word.text)
	}
	if len(n.names) == 1 {
		g.pos = n.pos
		g.requireWLAN("type")
		return g.equalMasked(fromLink, 0, sizeB, value, wlanTypeMask)
	}
	word = n.names[1]
	g.pos = word.pos
	subtype := word.value
	if word.kind == tokenNumber {
		if subtype&^wlanSubtypeMask != 0 {
			g.fail("%s is no 802.11 subtype; its bits are those of %#x", word.text, wlanSubtypeMask)
		}
	} else {
		ok := false
		if named != nil {
			subtype, ok = named.subtypeOf(word.text)
		}
		if !ok {
			g.fail("%q is no subtype of these 802.11 frames", word.text)
		}
	}
	g.pos = n.pos
	g.requireWLAN("type")
	return g.equalMasked(fromLink, 0, sizeB, value|subtype, wlanTypeMask|wlanSubtypeMask)
}

// wlanSubtype compiles "subtype S", where the name also tells the type.
func (g *generator) wlanSubtype(n *primitive) *condition {
	for _, t := range wlanFrameTypes() {
		if subtype, ok := t.subtypeOf(n.names[0].text); ok {
			g.requireWLAN("subtype")
			return g.equalMasked(fromLink, 0, sizeB, t.value|subtype, wlanTypeMask|wlanSubtypeMask)
		}
	}
	g.pos = n.names[0].pos
	g.fail("%q is no subtype of 802.11 frames", n.names[0].text)
	return nil
}

// wlanDirection compiles "dir D".
func (g *generator) wlanDirection(n *primitive) *condition {
	word := n.names[0]
	value := word.value
	if word.kind == tokenName {
		i := slices.Index([]string{"nods", "tods", "fromds", "dstods"}, lower(word.text))
		if i < 0 {
			g.pos = word.pos
			g.fail("%q is no 802.11 direction; nods, tods, fromds and dstods are", word.text)
		}
		value = uint32(i)
	}
	g.requireWLAN("dir")
	return g.equalMasked(fromLink, 1, sizeB, value, wlanDirMask)
}
