package filter

import (
	"fmt"
)

// maxDepth bounds how deep parentheses, brackets, "not" and operators may nest.
const maxDepth = 1000

// undefined are the qualifiers after a term that has none to pass on.
var undefined = qualifiers{typ: typeUndefined}

// parser turns words into a tree.
//
// The one subtlety of the language is where the qualifiers of a bare identifier come from. They are
// those of the term to its left: `host A or B` looks for two hosts. Terms without an identifier
// ("tcp", relations, "vlan") leave nothing in force, and a closing parenthesis brings back what was
// in force before the opening one. So every parsing function gets the qualifiers in force at its
// left end and returns those in force after it.
type parser struct {
	expression string
	tokens     []token
	next       int
	depth      int
	// done holds the primitives in textual order. When parsing fails, those before the failure are
	// still compiled, since the leftmost error is the one to report.
	done []node
}

// parse returns the tree of an expression, nil for the empty one. On an error the tree is a chain
// of the primitives before it.
func parse(expression string) (node, *Error) {
	p := &parser{expression: expression, tokens: lex(expression)}
	tree, err := p.parseAll()
	if err == nil {
		return tree, nil
	}
	if len(p.done) == 0 {
		return nil, err
	}
	partial := &chain{first: p.done[0]}
	for _, n := range p.done[1:] {
		partial.rest = append(partial.rest, link{term: n})
	}
	return partial, err
}

func (p *parser) parseAll() (tree node, err *Error) {
	defer caught(&err)
	if p.peek().kind == tokenEnd {
		return nil, nil
	}
	u := p.unit(undefined, false)
	if u.kind != unitTerm {
		p.notATerm(u)
	}
	tree = p.chainFrom(u)
	if t := p.peek(); t.kind != tokenEnd {
		p.unexpected("and, or, or the end of the expression")
	}
	return tree, nil
}

// fail ends parsing; parseAll recovers the error.
func (p *parser) fail(pos int, hint, format string, args ...any) {
	panic(&Error{Expression: p.expression, Position: pos, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (p *parser) peek() token { return p.tokens[p.next] }

func (p *parser) peekAfter() token {
	return p.tokens[min(p.next+1, len(p.tokens)-1)]
}

func (p *parser) take() token {
	t := p.tokens[p.next]
	if p.next < len(p.tokens)-1 {
		p.next++
	}
	return t
}

// accept takes the next token if it is of this kind.
func (p *parser) accept(k tokenKind) bool {
	if p.peek().kind != k {
		return false
	}
	p.take()
	return true
}

func (p *parser) expect(k tokenKind, wanted string) token {
	if p.peek().kind != k {
		p.unexpected(wanted)
	}
	return p.take()
}

// unexpected fails because the next token does not fit.
func (p *parser) unexpected(wanted string) {
	t := p.peek()
	switch t.kind {
	case tokenError:
		p.fail(t.pos, "", "%s", t.text)
	case tokenEnd:
		p.fail(t.pos, "", "the expression ends where %s must follow", wanted)
	}
	hint := ""
	switch {
	case t.kind == tokenName:
		hint = suggestion(t.text)
	case t.kind == tokenSlash && p.next > 0 && p.tokens[p.next-1].kind == tokenNumber:
		hint = fmt.Sprintf("write the network with a dot, as in %s.0.0.0/8", p.tokens[p.next-1].text)
	}
	p.fail(t.pos, hint, "%q is not expected here; wanted %s", t.text, wanted)
}

// enter counts one level of nesting; the caller defers leave.
func (p *parser) enter() {
	if p.depth++; p.depth > maxDepth {
		p.fail(p.peek().pos, "", "nested more than %d levels deep", maxDepth)
	}
}

func (p *parser) leave() { p.depth-- }

// complete notes a primitive.
func (p *parser) complete(n node) node {
	p.done = append(p.done, n)
	return n
}

type unitKind uint8

const (
	unitTerm       unitKind = iota // true or false
	unitIdentifier                 // an identifier or several, in need of qualifiers
	unitNumber                     // one number: an identifier, or the start of arithmetic
	unitArithmetic                 // needs a comparison
)

// unit is what stands between two of "and", "or", parentheses.
type unit struct {
	kind   unitKind
	node   node       // of unitTerm and unitIdentifier
	number number     // of unitNumber and unitArithmetic
	q      qualifiers // in force after it
}

// asTerm makes a bare number an identifier, now that it is known not to be compared.
func (p *parser) asTerm(u unit) unit {
	if u.kind != unitNumber {
		return u
	}
	c := u.number.(*constant)
	n := p.complete(&identifier{pos: c.pos, kind: identNumber, q: u.q, number: c.value})
	return unit{kind: unitIdentifier, node: n, q: u.q}
}

// notATerm fails because a unit is neither true nor false by itself.
func (p *parser) notATerm(u unit) {
	switch u.kind {
	case unitIdentifier:
		pos := u.node.position()
		text, hint := "", ""
		if id, ok := u.node.(*identifier); ok {
			text = id.text
			if id.kind == identName {
				hint = suggestion(id.text)
			}
		}
		p.fail(pos, hint, "%q needs a qualifier before it, such as host, net or port", text)
	case unitNumber:
		p.fail(u.number.at(), "", "a number needs a qualifier before it (port, net, ...) or a comparison after it")
	}
	p.unexpected("a comparison (=, !=, <, <=, >, >=)")
}

// chainFrom parses what follows a first term: any number of and/or with a term or an identifier.
func (p *parser) chainFrom(first unit) node {
	q := first.q
	var c *chain
	for {
		k := p.peek().kind
		if k != tokenAnd && k != tokenOr {
			break
		}
		p.take()
		u := p.unit(q, true)
		if u.kind == unitArithmetic {
			p.notATerm(u)
		}
		u = p.asTerm(u)
		q = u.q
		if c == nil {
			c = &chain{first: first.node}
		}
		c.rest = append(c.rest, link{or: k == tokenOr, term: u.node})
	}
	if c == nil {
		return first.node
	}
	return c
}

// unit parses one unit. Identifiers are accepted only where the grammar has a left neighbour that
// could qualify them.
func (p *parser) unit(q qualifiers, identifiers bool) unit {
	p.enter()
	defer p.leave()
	t := p.peek()
	switch t.kind {
	case tokenNot:
		p.take()
		u := p.unit(q, identifiers)
		if u.kind == unitArithmetic || u.kind == unitNumber && !identifiers {
			p.notATerm(u)
		}
		u = p.asTerm(u)
		u.node = &negation{pos: t.pos, term: u.node}
		return u
	case tokenOpen:
		return p.comparison(p.parenthesis(q, identifiers))
	case tokenNumber, tokenMinus, tokenLength:
		n := p.operand()
		if c, ok := n.(*constant); ok {
			return p.comparison(unit{kind: unitNumber, number: c, q: q})
		}
		return p.comparison(unit{kind: unitArithmetic, number: n, q: q})
	case tokenProtocol:
		if p.peekAfter().kind == tokenOpenIndex {
			return p.comparison(unit{kind: unitArithmetic, number: p.operand(), q: q})
		}
		return p.protocolTerm()
	case tokenDirection, tokenType:
		return p.head(protoDefault)
	case tokenPrimitive, tokenByte:
		return unit{kind: unitTerm, node: p.complete(p.primitive(t.pos, protoDefault)), q: undefined}
	case tokenForeign, tokenRNR:
		// The arguments of these never matter: no supported link type has them.
		p.fail(t.pos, "", "%q works only on ATM, SS7 or pf log captures, which are not supported", t.text)
	case tokenName, tokenQuad, tokenIPv6, tokenEther, tokenARCnet:
		id := p.plainIdentifier(q)
		if !identifiers {
			p.notATerm(unit{kind: unitIdentifier, node: id})
		}
		return unit{kind: unitIdentifier, node: p.complete(id), q: q}
	}
	p.unexpected("a primitive such as tcp, host 192.0.2.1 or port 80")
	panic("unreachable")
}

// comparison continues a unit that may be the left side of a relation.
func (p *parser) comparison(u unit) unit {
	if u.kind != unitNumber && u.kind != unitArithmetic {
		return u
	}
	left := p.operators(u.number, 0)
	switch op := p.peek().kind; op {
	case tokenGT, tokenGE, tokenLT, tokenLE, tokenEQ, tokenNE:
		p.take()
		r := &relation{op: op, left: left, right: p.arithmetic()}
		return unit{kind: unitTerm, node: p.complete(r), q: undefined}
	}
	if left != u.number {
		u.kind = unitArithmetic
	}
	u.number = left
	return u
}

// parenthesis parses "(" ... ")", which may hold a number, arithmetic, identifiers or terms: only
// what is inside tells.
func (p *parser) parenthesis(q qualifiers, identifiers bool) unit {
	p.take()
	u := p.unit(q, identifiers)
	more := p.peek().kind == tokenAnd || p.peek().kind == tokenOr
	switch {
	case u.kind == unitTerm:
		u.node = p.chainFrom(u)
		u.q = q
	case u.kind == unitArithmetic && more, u.kind == unitNumber && more && !identifiers:
		p.notATerm(u)
	case more:
		u = p.identifiersFrom(p.asTerm(u))
	case u.kind == unitIdentifier && !identifiers:
		p.notATerm(u)
	}
	if u.kind == unitIdentifier {
		// A group of identifiers cannot be the whole of another group: host ((A)) is refused.
		if _, grouped := u.node.(*group); grouped {
			p.unexpected("and, or")
		}
		u.node = &group{u.node}
	}
	p.expect(tokenClose, `")"`)
	return u
}

// group marks identifiers in parentheses.
type group struct {
	node
}

// identifiersFrom parses the rest of a list of identifiers: and/or with an identifier.
func (p *parser) identifiersFrom(first unit) unit {
	if _, grouped := first.node.(*group); grouped {
		p.unexpected(`")"`)
	}
	c := &chain{first: first.node}
	for {
		k := p.peek().kind
		if k != tokenAnd && k != tokenOr {
			break
		}
		p.take()
		c.rest = append(c.rest, link{or: k == tokenOr, term: p.identifier(first.q)})
	}
	return unit{kind: unitIdentifier, node: c, q: first.q}
}

// identifier parses an identifier with the given qualifiers: not ID, a group, or a plain one.
func (p *parser) identifier(q qualifiers) node {
	p.enter()
	defer p.leave()
	t := p.peek()
	switch t.kind {
	case tokenNot:
		p.take()
		return &negation{pos: t.pos, term: p.identifier(q)}
	case tokenOpen:
		u := p.identifierGroup(q)
		return p.asTerm(u).node
	}
	return p.complete(p.plainIdentifier(q))
}

// identifierGroup parses identifiers in parentheses.
func (p *parser) identifierGroup(q qualifiers) unit {
	p.enter()
	defer p.leave()
	p.take()
	var u unit
	switch t := p.peek(); t.kind {
	case tokenOpen:
		u = p.identifierGroup(q)
		if u.kind != unitNumber {
			p.fail(t.pos, "", "a list of identifiers must not begin with another list in parentheses")
		}
	case tokenNumber:
		p.take()
		u = unit{kind: unitNumber, number: &constant{pos: t.pos, value: t.value}, q: q}
	default:
		u = unit{kind: unitIdentifier, node: p.identifier(q), q: q}
	}
	if k := p.peek().kind; k == tokenAnd || k == tokenOr {
		u = p.identifiersFrom(p.asTerm(u))
	}
	p.expect(tokenClose, `and, or, or ")"`)
	return u
}

// plainIdentifier parses one address, number or name.
func (p *parser) plainIdentifier(q qualifiers) *identifier {
	t := p.peek()
	id := &identifier{pos: t.pos, q: q, text: t.text}
	switch t.kind {
	case tokenName:
		id.kind = identName
	case tokenNumber:
		id.kind, id.number = identNumber, t.value
	case tokenEther:
		id.kind = identEther
	case tokenARCnet:
		id.kind = identARCnet
	case tokenIPv6:
		id.kind, id.bits = identIPv6, 128
	case tokenQuad:
		id.kind = identQuad
	default:
		p.unexpected(wantedIdentifier(q.typ))
	}
	p.take()
	if t.kind != tokenQuad && t.kind != tokenIPv6 {
		return id
	}
	if p.accept(tokenSlash) {
		id.bits = p.expect(tokenNumber, "the number of bits of the network").value
		if t.kind == tokenQuad {
			id.kind = identQuadLen
		}
	} else if t.kind == tokenQuad && p.accept(tokenMask) {
		id.kind = identQuadMask
		id.mask = p.expect(tokenQuad, "a netmask such as 255.255.255.0").text
	}
	return id
}

func wantedIdentifier(t addressType) string {
	switch t {
	case typeNet:
		return "a network such as 192.0.2.0/24, or its name"
	case typePort:
		return "a port number or service name"
	case typePortRange:
		return "a range of ports such as 6000-6010"
	case typeProto, typeProtoChain:
		return `a protocol number or name (\tcp: names that are keywords need the backslash)`
	}
	return "an address or host name"
}

// protocolTerm parses what begins with a protocol: the protocol alone, or as a qualifier.
func (p *parser) protocolTerm() unit {
	t := p.take()
	proto := protocol(t.value)
	switch after := p.peek(); after.kind {
	case tokenDirection, tokenType:
		return p.head(proto)
	case tokenPrimitive:
		switch primitiveKind(after.value) {
		case primBroadcast, primMulticast, primWLANType, primWLANSubtype, primWLANDir:
			return unit{kind: unitTerm, node: p.complete(p.primitive(t.pos, proto)), q: undefined}
		}
	case tokenName, tokenQuad, tokenIPv6, tokenEther, tokenNumber:
		hint := ""
		if after.kind == tokenName {
			hint = suggestion(after.text)
		}
		p.fail(after.pos, hint, "%q cannot follow %q directly; put host, net, port, src, dst or proto between them",
			after.text, t.text)
	}
	return unit{kind: unitTerm, node: p.complete(&bareProtocol{pos: t.pos, proto: proto}), q: undefined}
}

// head parses qualifiers after an optional protocol, and the identifier that they qualify.
func (p *parser) head(proto protocol) unit {
	q := qualifiers{proto: proto}
	if p.peek().kind == tokenDirection {
		q.dir = p.direction()
	}
	if t := p.peek(); t.kind == tokenType {
		typ := addressType(t.value)
		if q.dir != dirDefault && (typ == typeProto || typ == typeProtoChain || typ == typeGateway) {
			p.fail(t.pos, "", "%q takes no direction such as %q", t.text, q.dir)
		}
		q.typ = typ
		p.take()
	}
	return unit{kind: unitTerm, node: p.identifier(q), q: q}
}

// direction parses a direction; "src or dst" and its like only when both words are there.
func (p *parser) direction() direction {
	d := direction(p.take().value)
	if d != dirSrc && d != dirDst {
		return d
	}
	other := p.peekAfter()
	if other.kind != tokenDirection || direction(other.value) != dirSrc+dirDst-d {
		return d
	}
	switch p.peek().kind {
	case tokenOr:
		d = dirSrcOrDst
	case tokenAnd:
		d = dirSrcAndDst
	default:
		return d
	}
	p.take()
	p.take()
	return d
}
