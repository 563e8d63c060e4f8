package filter

// LooksBehindHeaders tells whether an expression reads more of a packet than its headers, which
// would make a filter an oracle of contents that are not shown: a count of the packets that match
// answers one question about them. The *Error names the first place that does; nil is the answer
// for an expression that reads headers only, and for one that is none, which Compile refuses.
//
// Headers are those of link and IP, the fixed ones of TCP, UDP, SCTP and ICMP, ARP, and one label of
// MPLS or the session header of PPPoE. What is inside a tunnel counts as contents.
func LooksBehindHeaders(expression string) *Error {
	if len(expression) > maxExpression {
		return nil
	}
	p := &parser{expression: expression, tokens: lex(expression)}
	tree, err := p.parseAll()
	if err != nil {
		return nil
	}
	c := contents{ports: portsOf(tree)}
	for _, n := range p.done {
		if at, reads := c.reads(n); reads {
			return &Error{
				Expression: expression,
				Position:   at,
				Message:    "this looks behind the headers of packets",
				Hint:       "addresses, ports, protocols, lengths and bytes of a header, such as tcp[tcpflags] & tcp-syn != 0, can be asked for",
			}
		}
		if t, ok := n.(*primitive); ok && (t.kind == primMPLS || t.kind == primPPPoES) {
			c.tunnel = true
		}
	}
	return nil
}

// contents is what is known on the way through an expression.
type contents struct {
	tunnel bool              // what follows is looked for inside of one
	ports  map[protocol]bool // of which every packet that matches has ports
}

// portsOf is the protocols of ports that all packets have that match: the ports of a chain without
// "or". Such a packet is no later fragment, if it is IPv4.
func portsOf(tree node) map[protocol]bool {
	terms := []node{tree}
	if c, ok := tree.(*chain); ok {
		terms[0] = c.first
		for _, l := range c.rest {
			if l.or {
				return nil
			}
			terms = append(terms, l.term)
		}
	}
	ports := make(map[protocol]bool)
	for _, t := range terms {
		if i, ok := t.(*identifier); ok && (i.q.typ == typePort || i.q.typ == typePortRange) {
			ports[i.q.proto] = true
		}
	}
	return ports
}

// reads says where a primitive reads contents, if it does.
func (c *contents) reads(n node) (at int, reads bool) {
	switch n := n.(type) {
	case *byteTest:
		return n.pos, c.tunnel || n.index >= accessible(protoLink)
	case *relation:
		tested := make(map[protocol]bool)
		testedFor(n.left, tested)
		testedFor(n.right, tested)
		if at, reads = c.readsNumber(n.left, tested); !reads {
			at, reads = c.readsNumber(n.right, tested)
		}
		return at, reads
	case *primitive:
		switch n.kind {
		case primLess, primGreater, primInbound, primOutbound, primIfindex:
			return n.pos, false
		case primGeneve, primVXLAN: // their own headers are the contents of a datagram, which can be any
			return n.pos, true
		}
	case *identifier:
		// A chain is followed at offsets that the packet names.
		return n.pos, c.tunnel || n.q.typ == typeProtoChain
	}
	return n.position(), c.tunnel
}

// testedFor gathers the protocols that a packet is tested for before a number is computed. Of an
// operation that is what its left side needs (generator.operation).
func testedFor(n number, tested map[protocol]bool) {
	switch n := n.(type) {
	case *packetData:
		tested[n.proto] = true
		switch n.proto {
		case protoTCP, protoUDP, protoSCTP, protoICMP:
			tested[protoIP] = true
		}
	case *operation:
		testedFor(n.left, tested)
	case *negative:
		testedFor(n.operand, tested)
	}
}

// readsNumber says where a number reads contents, if it does.
func (c *contents) readsNumber(n number, tested map[protocol]bool) (at int, reads bool) {
	switch n := n.(type) {
	case *packetData:
		offset, fixed := n.offset.(*constant)
		certain := n.proto == protoLink || tested[n.proto] || tested[protoIP] && c.ports[n.proto]
		return n.pos, c.tunnel || !fixed || !certain || uint64(offset.value)+uint64(n.size) > uint64(accessible(n.proto))
	case *operation:
		if at, reads = c.readsNumber(n.left, tested); !reads {
			at, reads = c.readsNumber(n.right, tested)
		}
		return at, reads
	case *negative:
		return c.readsNumber(n.operand, tested)
	}
	return n.at(), false
}

// accessible is how many bytes of a protocol belong to a header in every packet: the least length
// of its header, and none where the header is not told from what follows.
func accessible(p protocol) uint32 {
	switch p {
	case protoLink:
		return 14
	case protoIP, protoTCP:
		return 20
	case protoIPv6:
		return ipv6HeaderLength
	case protoUDP, protoICMP, protoICMPv6:
		return 8
	case protoSCTP:
		return 12
	case protoARP, protoRARP:
		return 28
	}
	return 0
}
