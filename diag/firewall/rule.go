package firewall

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"diagsh/diag/netlink"
)

// An operand is what a register holds.
type operand struct {
	name   string
	unread bool // it is not known how nft writes it: it stands by its name in brackets
	kind   kind
	big    bool   // a number of the machine was put into the order of the network
	part   int    // of an address: of how many bytes only the first are looked at; 0: all
	mask   []byte // that is applied to it; nil: none
	value  []byte // of a constant

	// fields are several in an operand that is unread itself.
	fields []field
}

// write writes a value that is compared with the operand.
func (o operand) write(b []byte) string {
	if o.big {
		b = reversed(b)
	}
	return o.kind.write(b)
}

// A translator writes the expressions of one rule. Registers are counted in four bytes, as the kernel
// has them.
type translator struct {
	rule      *Rule
	family    string
	sets      func(name string) *set
	registers map[uint32]operand
	words     []string
	network   string // the protocol of the network that the rule asks for
	transport string // the protocol of the transport that the rule asks for
	ethernet  bool   // the link is one

	// implied are words, counted from 1, that nft leaves out where what follows implies them: that it
	// is this link, this family, and this transport.
	impliedLink, impliedFamily, impliedTransport int

	from lower
}

// A lower is the lower end of a range: the word that asks for it, counted from 1.
type lower struct {
	word     int
	register uint32
	value    string
}

// read reads the expressions of a rule in a table of a family.
func (r *Rule) read(family string, expressions []byte, sets func(name string) *set) {
	t := translator{rule: r, family: family, sets: sets, registers: map[uint32]operand{}}
	t.ethernet = family == "bridge"
	if family == "ip" || family == "ip6" || family == "arp" {
		t.network = family
	}
	netlink.Attributes(expressions, func(_ uint16, value []byte) {
		name, data := "", []byte(nil)
		netlink.Attributes(value, func(number uint16, value []byte) {
			switch number {
			case unix.NFTA_EXPR_NAME:
				name = text(value)
			case unix.NFTA_EXPR_DATA:
				data = value
			}
		})
		t.expression(name, attributesOf(data))
	})
	r.Text = strings.Join(slices.DeleteFunc(t.words, func(w string) bool { return w == "" }), " ")
}

// attributes are those of an expression, by their numbers.
type attributes map[uint16][]byte

func attributesOf(b []byte) attributes {
	a := attributes{}
	netlink.Attributes(b, func(number uint16, value []byte) { a[number] = value })
	return a
}

func (a attributes) number(n uint16) uint32 { return number32(a[n]) }

// register returns a register in four bytes.
func (a attributes) register(n uint16) uint32 {
	r := a.number(n)
	if r <= unix.NFT_REG_4 {
		return r * 4
	}
	return r - unix.NFT_REG32_00 + 4
}

func (t *translator) say(format string, a ...any) {
	t.words = append(t.words, fmt.Sprintf(format, a...))
}

// drop takes back a word that is implied.
func (t *translator) drop(implied *int) {
	if *implied > 0 {
		t.words[*implied-1], *implied = "", 0
	}
}

// loaders are the expressions that load what is not read, by the attribute of the register.
var loaders = map[string]uint16{"fib": 1, "rt": 1, "numgen": 1, "osf": 1, "xfrm": 1, "exthdr": 1, "hash": 2, "socket": 2, "tunnel": 2}

// option returns what header an option is of, and takes back the words that this implies.
func (t *translator) option(of uint32) string {
	switch of {
	case unix.NFT_EXTHDR_OP_IPV6:
		t.drop(&t.impliedFamily)
		return "ip6 exthdr"
	case 2: // of IPv4
		t.drop(&t.impliedFamily)
		return "ip option"
	case unix.NFT_EXTHDR_OP_TCPOPT:
		return "tcp option"
	}
	return "exthdr"
}

// expression writes one expression, or notes what it loads into a register.
func (t *translator) expression(name string, a attributes) {
	if to, ok := loaders[name]; ok && a[to] != nil {
		if name == "exthdr" {
			name = t.option(a.number(unix.NFTA_EXTHDR_OP))
		}
		t.registers[a.register(to)] = operand{name: name, unread: true}
		return
	}
	switch name {
	case "meta":
		t.meta(a)
	case "payload":
		t.payload(a)
	case "ct":
		t.ct(a)
	case "cmp":
		t.compare(a)
	case "bitwise":
		t.bitwise(a)
	case "byteorder":
		o := t.registers[a.register(unix.NFTA_BYTEORDER_SREG)]
		o.unread = o.unread || o.big || !o.kind.ofMachine() || o.mask != nil || a.number(unix.NFTA_BYTEORDER_LEN) != a.number(unix.NFTA_BYTEORDER_SIZE)
		o.big = true
		t.registers[a.register(unix.NFTA_BYTEORDER_DREG)] = o
	case "range":
		t.between(a)
	case "lookup":
		t.lookup(a)
	case "immediate":
		t.immediate(a)
	case "counter":
		packets, bytes := number64(a[unix.NFTA_COUNTER_PACKETS]), number64(a[unix.NFTA_COUNTER_BYTES])
		t.rule.Packets, t.rule.Bytes = &packets, &bytes
	default:
		t.statement(name, a)
	}
}

var comparisons = map[uint32]string{unix.NFT_CMP_EQ: "", unix.NFT_CMP_NEQ: "!= ", unix.NFT_CMP_LT: "< ", unix.NFT_CMP_LTE: "<= ",
	unix.NFT_CMP_GT: "> ", unix.NFT_CMP_GTE: ">= "}

func (t *translator) compare(a attributes) {
	register, op, value := a.register(unix.NFTA_CMP_SREG), a.number(unix.NFTA_CMP_OP), dataOf(a[unix.NFTA_CMP_DATA])
	o := t.registers[register]
	size := sizes[o.kind]
	switch from := t.from; {
	case o.mask != nil:
		t.masked(o, op, value)
	case o.fields != nil && op == unix.NFT_CMP_EQ:
		t.compareEach(o, value)
	case o.part > 0 && len(value) == o.part && op <= unix.NFT_CMP_NEQ:
		whole := append(slices.Clone(value), make([]byte, size-len(value))...)
		t.match(o, fmt.Sprintf("%s%s/%d", comparisons[op], o.write(whole), 8*o.part))
	case o.part > 0, o.kind != words && size != 0 && size != len(value), o.kind.isFlags() && op > unix.NFT_CMP_NEQ:
		t.unread(o)
	case op == unix.NFT_CMP_LTE && from.word == len(t.words) && from.word > 0 && from.register == register:
		t.words = t.words[:from.word-1]
		t.match(o, o.span(from.value, value))
	case op > unix.NFT_CMP_NEQ && o.kind.inRange() == hex:
		t.unread(o)
	case o.kind == tcpFlags && op == unix.NFT_CMP_EQ:
		t.match(o, "== "+o.write(value))
	default:
		t.match(o, comparisons[op]+o.write(value))
		switch {
		case op == unix.NFT_CMP_GTE:
			t.from = lower{len(t.words), register, string(value)}
		case op == unix.NFT_CMP_EQ:
			t.imply(o.name, value)
		}
	}
}

// compareEach writes that several fields that follow each other have a value.
func (t *translator) compareEach(o operand, value []byte) {
	for _, f := range o.fields {
		if len(value) < int(f.length) {
			t.unread(o)
			return
		}
		one := operand{name: f.protocol + " " + f.name, kind: f.kind}
		t.match(one, one.write(value[:f.length]))
		t.imply(one.name, value[:f.length])
		value = value[f.length:]
	}
}

// span writes the values from one to another.
func (o operand) span(from string, to []byte) string {
	o.kind = o.kind.inRange()
	return o.write([]byte(from)) + "-" + o.write(to)
}

func (t *translator) between(a attributes) {
	o := t.registers[a.register(unix.NFTA_RANGE_SREG)]
	if o.mask != nil || o.part > 0 {
		t.unread(o)
		return
	}
	not := map[bool]string{true: "!= "}[a.number(unix.NFTA_RANGE_OP) == unix.NFT_RANGE_NEQ]
	t.match(o, not+o.span(string(dataOf(a[unix.NFTA_RANGE_FROM_DATA])), dataOf(a[unix.NFTA_RANGE_TO_DATA])))
}

// masked writes what a rule asks of some bits of an operand.
func (t *translator) masked(o operand, op uint32, value []byte) {
	bits, contiguous := prefix(o.mask)
	zero, equal := isZero(value), op == unix.NFT_CMP_EQ
	switch {
	case op > unix.NFT_CMP_NEQ, len(value) != len(o.mask), !slices.Equal(and(value, o.mask), value), o.part > 0:
		t.unread(o)
	case o.kind.isFlags() && zero && !equal:
		t.match(o, o.write(o.mask))
	case o.kind.isFlags() && zero:
		t.match(o, "! "+o.write(o.mask))
	case o.kind.isFlags() && equal:
		t.match(o, o.write(value)+" / "+o.write(o.mask))
	case (o.kind == ip4 || o.kind == ip6) && contiguous:
		t.match(o, fmt.Sprintf("%s%s/%d", comparisons[op], o.write(value), bits))
	case o.kind == ip4, o.kind == mark, o.kind == mac:
		t.match(o, fmt.Sprintf("& %s %s %s", o.write(o.mask), map[bool]string{true: "==", false: "!="}[equal], o.write(value)))
	default:
		t.unread(o)
	}
}

// imply notes what the rule asked for by the last word.
func (t *translator) imply(name string, value []byte) {
	switch name {
	case "meta nfproto", "meta protocol", "ether type":
		t.impliedFamily = len(t.words)
		t.network = (map[bool]kind{true: family, false: etherType}[name == "meta nfproto"]).write(value)
		t.network = map[string]string{"ipv4": "ip", "ipv6": "ip6"}[t.network] + map[string]string{"ip": "ip", "ip6": "ip6", "arp": "arp", "8021q": "8021q"}[t.network]
	case "meta iiftype":
		t.impliedLink = len(t.words)
		t.ethernet = t.ethernet || hardware.write(value) == "ether"
	case "ip protocol", "ip6 nexthdr", "meta l4proto":
		t.transport, t.impliedTransport = protocol.write(value), 0
		if name == "meta l4proto" || t.family == "ip" || t.family == "ip6" { // else it implies the family, too
			t.impliedTransport = len(t.words)
		}
	}
}

// match writes what a rule asks of an operand, if both are read.
func (t *translator) match(o operand, what string) {
	if o.unread || o.name == "" || o.kind == hex && !strings.HasPrefix(what, "vmap ") && !strings.Contains(what, "@") && !strings.Contains(what, "{") {
		t.unread(o)
		return
	}
	t.say("%s %s", o.name, what)
}

// unread writes that a rule asks something of an operand.
func (t *translator) unread(o operand) {
	if o.name == "" {
		o.name = "register"
	}
	t.say("[%s]", bare(o.name))
}

func (t *translator) bitwise(a attributes) {
	o := t.registers[a.register(unix.NFTA_BITWISE_SREG)]
	mask := dataOf(a[unix.NFTA_BITWISE_MASK])
	o.unread = o.unread || a.number(bitwiseOp) != 0 || !isZero(dataOf(a[unix.NFTA_BITWISE_XOR])) || o.mask != nil || o.value != nil || mask == nil
	o.mask = mask
	t.registers[a.register(unix.NFTA_BITWISE_DREG)] = o
}

// bitwiseOp is NFTA_BITWISE_OP of Linux 5.6 and later: 0 is a mask.
const bitwiseOp = 6

func (t *translator) lookup(a attributes) {
	name, from := text(a[unix.NFTA_LOOKUP_SET]), a.register(unix.NFTA_LOOKUP_SREG)
	s := t.sets(name)
	o := t.together(from, s)
	what := "@" + identifier(name)
	if s != nil && s.anonymous {
		what = "{ " + strings.Join(s.written(o.kind), ", ") + " }"
	}
	if a.number(unix.NFTA_LOOKUP_FLAGS)&unix.NFT_LOOKUP_F_INV != 0 {
		what = "!= " + what
	}
	switch to := a[unix.NFTA_LOOKUP_DREG]; {
	case o.mask != nil, o.part > 0:
		o.unread = true
		fallthrough
	case to == nil:
		if t.match(o, what); to != nil {
			t.registers[a.register(unix.NFTA_LOOKUP_DREG)] = operand{name: bare(o.name) + " map", unread: true}
		}
	case number32(to) == unix.NFT_REG_VERDICT:
		t.match(o, "vmap "+what)
	default:
		m := operand{name: bare(o.name) + " map", unread: true}
		if !o.unread && o.name != "" && s != nil && len(s.data) == 1 {
			m = operand{name: o.name + " map " + what}
		}
		t.registers[a.register(unix.NFTA_LOOKUP_DREG)] = m
	}
}

// together returns what the registers from one on hold that are looked up at once.
func (t *translator) together(from uint32, s *set) operand {
	o := t.registers[from]
	if s == nil || len(s.key) < 2 {
		return o
	}
	var names []string
	whole := operand{}
	for _, k := range s.key {
		one := t.registers[from]
		whole.unread = whole.unread || one.unread || one.name == "" || one.mask != nil || one.part > 0 || k.keySize() == 0
		names = append(names, bare(one.name))
		from += uint32(k.keySize()+3) / 4
	}
	whole.name = strings.Join(names, " . ")
	return whole
}

func (t *translator) immediate(a attributes) {
	data := a[unix.NFTA_IMMEDIATE_DATA]
	if v := verdictOf(data); v != "" {
		t.say("%s", v)
		return
	}
	t.registers[a.register(unix.NFTA_IMMEDIATE_DREG)] = operand{value: dataOf(data)}
}

// set writes that something is given what a register holds.
func (t *translator) set(name string, k kind, register uint32) {
	switch o := t.registers[register]; {
	case k == hex, o.unread, o.value == nil && o.name == "", o.part > 0, o.mask != nil && (o.kind != mark || k != mark), o.big:
		t.say("[%s set]", bare(name))
	case o.value != nil:
		t.say("%s set %s", name, k.write(o.value))
	case o.mask != nil:
		t.say("%s set %s & %s", name, o.name, mark.write(o.mask))
	default:
		t.say("%s set %s", name, o.name)
	}
}
