package filter

// node is a part of an expression that is true or false for a packet.
type node interface {
	position() int
}

// chain is terms joined by "and" and "or", which bind equally and to the left.
type chain struct {
	first node
	rest  []link
}

// link is one more term of a chain.
type link struct {
	or   bool
	term node
}

func (c *chain) position() int { return c.first.position() }

// negation is "not" and its term.
type negation struct {
	pos  int
	term node
}

func (n *negation) position() int { return n.pos }

// qualifiers say how an identifier is to be understood.
type qualifiers struct {
	proto protocol
	dir   direction
	typ   addressType
}

// identifierKind is the form of an identifier.
type identifierKind uint8

const (
	identName identifierKind = iota
	identNumber
	identQuad     // IPv4 address, or the first two or three numbers of one
	identQuadLen  // with "/" and a number of bits
	identQuadMask // with "mask" and a second quad
	identIPv6     // with a number of bits, 128 if none is given
	identEther
	identARCnet
)

// identifier is an address, a number or a name together with the qualifiers in force there.
type identifier struct {
	pos    int
	kind   identifierKind
	q      qualifiers
	text   string // as written, without the mask
	number uint32 // of identNumber
	bits   uint32 // of identQuadLen and identIPv6
	mask   string // of identQuadMask
}

func (i *identifier) position() int { return i.pos }

// bareProtocol is a protocol alone: "tcp".
type bareProtocol struct {
	pos   int
	proto protocol
}

func (p *bareProtocol) position() int { return p.pos }

// primitive is everything else that tests a packet without arithmetic.
type primitive struct {
	pos       int
	kind      primitiveKind
	proto     protocol // of broadcast and multicast
	number    uint32
	hasNumber bool
	names     []token // arguments of type, subtype, dir and llc
}

func (p *primitive) position() int { return p.pos }

// byteTest is "byte N op N".
type byteTest struct {
	pos   int
	index uint32
	op    tokenKind
	value uint32
}

func (b *byteTest) position() int { return b.pos }

// relation compares two numbers.
type relation struct {
	op          tokenKind
	left, right number
}

func (r *relation) position() int { return r.left.at() }

// number is an arithmetic expression.
type number interface {
	at() int
}

// constant is a literal.
type constant struct {
	pos   int
	value uint32
}

func (c *constant) at() int { return c.pos }

// packetLength is "len".
type packetLength struct {
	pos int
}

func (l *packetLength) at() int { return l.pos }

// packetData is "proto[offset:size]".
type packetData struct {
	pos    int
	proto  protocol
	offset number
	size   uint32
}

func (d *packetData) at() int { return d.pos }

// operation is two numbers and an operator.
type operation struct {
	pos         int
	op          tokenKind
	left, right number
}

func (o *operation) at() int { return o.pos }

// negative is unary minus.
type negative struct {
	pos     int
	operand number
}

func (n *negative) at() int { return n.pos }
