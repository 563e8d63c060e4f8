package filter

// LooksBehindHeaders reports whether an expression reads more of a packet than its headers, which
// would make a filter an oracle of contents that are not shown: a count of the packets that match
// answers one question about them. The *Error names the first place that does; nil is the answer
// for an expression that reads headers only, and for one that is none, which Compile refuses.
//
// Headers are those of link and IP, the fixed ones of TCP, UDP, SCTP and ICMP, ARP, and one label
// of MPLS or the session header of PPPoE. What is inside a tunnel counts as contents.
//
// Every vlan moves what stands after it in the expression by four bytes, in packets without a tag
// too: of those, "vlan or vlan or ... or ether proto 0x6b65" asks for bytes of their contents. So
// only packets that have the tags may be asked anything after a vlan.
func LooksBehindHeaders(expression string) *Error {
	if len(expression) > maxExpression {
		return nil
	}
	p := &parser{expression: expression, tokens: lex(expression)}
	tree, err := p.parseAll()
	if err != nil {
		return nil
	}
	c := contents{ports: portsOf(tree), has: make(map[node]int)}
	c.count(tree, 0)
	for _, n := range p.done {
		if at, reads := c.reads(n); reads {
			return &Error{
				Expression: expression,
				Position:   at,
				Message:    "this reads beyond the headers of packets",
				Hint:       c.hint(n),
			}
		}
		if t, ok := n.(*primitive); ok {
			switch t.kind {
			case primMPLS, primPPPoES:
				c.tunnel = true
			case primVLAN:
				c.tags++
			}
		}
	}
	return nil
}

// contents is what is known on the way through an expression.
type contents struct {
	tunnel bool              // what follows is looked for inside of one
	ports  map[protocol]bool // of which every packet that matches has ports
	tags   int               // how many vlans stand before
	has    map[node]int      // how many of them a packet has that the term is asked about
}

// count notes for each term of a tree how many vlans a packet has for which the answer matters, and
// returns how many one has that matches the tree. Of a packet that is asked about the tree it is
// has.
func (c *contents) count(n node, has int) (matching int) {
	switch n := n.(type) {
	case *chain:
		matching = c.count(n.first, has)
		for _, l := range n.rest {
			if l.or {
				c.count(l.term, has)
				matching = 0
			} else {
				matching += c.count(l.term, has+matching)
			}
		}
	case *negation:
		c.count(n.term, has)
	case nil: // the expression without a term
	default:
		c.has[n] = has
		if t, ok := n.(*primitive); ok && t.kind == primVLAN {
			matching = 1
		}
	}
	return matching
}

// moved reports whether a term is asked about bytes that are elsewhere in packets without a tag.
func (c *contents) moved(n node) bool { return c.has[n] < c.tags }

// hint says what can be asked for instead of a term.
func (c *contents) hint(n node) string {
	if c.moved(n) {
		return "what follows vlan is read four bytes further on, in packets without a tag too: write it before, as in port 25 or (vlan and port 25)"
	}
	return "addresses, ports, protocols, lengths and bytes of a header, such as tcp[tcpflags] & tcp-syn != 0, can be asked for"
}

// portsOf returns the protocols of ports that all packets have that match: the ports of a chain
// without "or". Such a packet is no later fragment, if it is IPv4.
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
		if c.moved(n) && (readsPacket(n.left) || readsPacket(n.right)) {
			return n.position(), true
		}
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
		return n.pos, c.tunnel || c.moved(n) || n.q.typ == typeProtoChain
	}
	return n.position(), c.tunnel || c.moved(n)
}

// readsPacket reports whether a number is computed from bytes of a packet.
func readsPacket(n number) bool {
	switch n := n.(type) {
	case *packetData:
		return true
	case *operation:
		return readsPacket(n.left) || readsPacket(n.right)
	case *negative:
		return readsPacket(n.operand)
	}
	return false
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
		return n.pos, c.tunnel || !fixed || !certain ||
			uint64(offset.value)+uint64(n.size) > uint64(accessible(n.proto))
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

// accessible returns how many bytes of a protocol belong to a header in every packet: the least
// length of its header, and none where the header is not told from what follows.
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
