package filter

import "slices"

// ReadsLink reports whether an expression reads bytes of the header of the link, as ether[0] and byte 0
// do. Compile takes it for packets without that header too, as libpcap does, and reads those of IP then.
func ReadsLink(expression string) bool {
	if len(expression) > maxExpression {
		return false
	}
	p := &parser{expression: expression, tokens: lex(expression)}
	if _, err := p.parseAll(); err != nil {
		return false
	}
	return slices.ContainsFunc(p.done, func(n node) bool {
		switch n := n.(type) {
		case *byteTest:
			return true
		case *relation:
			return computedOfLink(n.left) || computedOfLink(n.right)
		}
		return false
	})
}

// computedOfLink reports whether a number is computed from bytes of the header of the link.
func computedOfLink(n number) bool {
	switch n := n.(type) {
	case *packetData:
		return n.proto == protoLink || computedOfLink(n.offset)
	case *operation:
		return computedOfLink(n.left) || computedOfLink(n.right)
	case *negative:
		return computedOfLink(n.operand)
	}
	return false
}
