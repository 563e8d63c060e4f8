package firewall

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"diagsh/diag/netlink"
)

// An operand is what a register holds.
type operand struct {
	name  string
	kind  kind
	part  int    // of an address: of how many bytes only the first are looked at; 0: all
	mask  []byte // that is applied to it; nil: none
	value []byte // of a constant
}

// A translator writes the expressions of one rule. Registers are counted in four bytes, as the kernel
// has them.
type translator struct {
	rule      *Rule
	sets      func(name string) *set
	registers map[uint32]operand
	words     []string
	transport string // the protocol of the transport that the rule asks for

	// implied are words, counted from 1, that nft leaves out where what follows implies them: that it
	// is this family, and this transport.
	impliedFamily, impliedTransport int
}

// read reads the expressions of a rule.
func (r *Rule) read(expressions []byte, sets func(name string) *set) {
	t := translator{rule: r, sets: sets, registers: map[uint32]operand{}}
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

// expression writes one expression, or notes what it loads into a register.
func (t *translator) expression(name string, a attributes) {
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
	case "range":
		not := map[bool]string{true: "!= "}[a.number(unix.NFTA_RANGE_OP) == unix.NFT_RANGE_NEQ]
		o := t.registers[a.register(unix.NFTA_RANGE_SREG)]
		t.match(o, fmt.Sprintf("%s%s-%s", not, o.kind.write(dataOf(a[unix.NFTA_RANGE_FROM_DATA])), o.kind.write(dataOf(a[unix.NFTA_RANGE_TO_DATA]))))
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

// statement writes an expression that does something with a packet.
func (t *translator) statement(name string, a attributes) {
	switch name {
	case "log":
		t.say("log")
		if p := a[unix.NFTA_LOG_PREFIX]; p != nil {
			t.say("prefix %q", text(p))
		}
		if g := a[unix.NFTA_LOG_GROUP]; len(g) == 2 {
			t.say("group %s", network.write(g))
		}
	case "reject":
		t.say("%s", rejection(a.number(unix.NFTA_REJECT_TYPE), a[unix.NFTA_REJECT_ICMP_CODE]))
	case "limit":
		t.limit(a)
	case "nat":
		word := map[bool]string{true: "dnat", false: "snat"}[a.number(unix.NFTA_NAT_TYPE) == unix.NFT_NAT_DNAT]
		t.say("%s to %s", word, t.target(a, unix.NFTA_NAT_REG_ADDR_MIN, unix.NFTA_NAT_REG_PROTO_MIN))
	case "masq", "redir":
		word, register := "masquerade", uint16(unix.NFTA_MASQ_REG_PROTO_MIN)
		if name == "redir" {
			word, register = "redirect", unix.NFTA_REDIR_REG_PROTO_MIN
		}
		if t.say("%s", word); a[register] != nil {
			t.say("to %s", t.target(a, 0, register))
		}
	case "notrack":
		t.say("notrack")
	case "objref":
		if object := a[unix.NFTA_OBJREF_IMM_NAME]; object != nil {
			t.say("[object %q]", text(object))
			return
		}
		t.say("[objects]")
	case "match", "target": // of iptables
		t.say("[xt %s %q]", name, text(a[unix.NFTA_MATCH_NAME]))
	default:
		t.say("[%s]", name)
	}
}

// A key is what meta and ct load: its name and how it is written.
type key struct {
	name string
	kind kind
}

var metaKeys = map[uint32]key{unix.NFT_META_LEN: {"meta length", host}, unix.NFT_META_PROTOCOL: {"meta protocol", etherType},
	unix.NFT_META_PRIORITY: {"meta priority", host}, unix.NFT_META_MARK: {"meta mark", host},
	unix.NFT_META_IIF: {"iif index", host}, unix.NFT_META_OIF: {"oif index", host},
	unix.NFT_META_IIFNAME: {"iifname", words}, unix.NFT_META_OIFNAME: {"oifname", words},
	unix.NFT_META_SKUID: {"meta skuid", host}, unix.NFT_META_SKGID: {"meta skgid", host},
	unix.NFT_META_NFPROTO: {"meta nfproto", family}, unix.NFT_META_L4PROTO: {"meta l4proto", protocol},
	unix.NFT_META_PKTTYPE: {"meta pkttype", host}, unix.NFT_META_CPU: {"meta cpu", host}, unix.NFT_META_CGROUP: {"meta cgroup", host}}

var ctKeys = map[uint32]key{unix.NFT_CT_STATE: {"ct state", state}, unix.NFT_CT_DIRECTION: {"ct direction", host},
	unix.NFT_CT_STATUS: {"ct status", host}, unix.NFT_CT_MARK: {"ct mark", host}}

func (t *translator) meta(a attributes) {
	k, known := metaKeys[a.number(unix.NFTA_META_KEY)]
	if !known {
		k = key{fmt.Sprintf("[meta %d]", a.number(unix.NFTA_META_KEY)), hex}
	}
	if a[unix.NFTA_META_SREG] != nil {
		t.say("%s set %s", k.name, t.constant(a.register(unix.NFTA_META_SREG), k.kind))
		return
	}
	t.registers[a.register(unix.NFTA_META_DREG)] = operand{name: k.name, kind: k.kind}
}

func (t *translator) ct(a attributes) {
	k, known := ctKeys[a.number(unix.NFTA_CT_KEY)]
	if !known {
		k = key{fmt.Sprintf("[ct %d]", a.number(unix.NFTA_CT_KEY)), hex}
	}
	if a[unix.NFTA_CT_SREG] != nil {
		t.say("%s set %s", k.name, t.constant(a.register(unix.NFTA_CT_SREG), k.kind))
		return
	}
	t.registers[a.register(unix.NFTA_CT_DREG)] = operand{name: k.name, kind: k.kind}
}

// A field is a field of a header, by its place.
type field struct {
	base, offset, length uint32
	name                 string
	kind                 kind
}

var fields = []field{
	{unix.NFT_PAYLOAD_LL_HEADER, 0, 6, "ether daddr", mac}, {unix.NFT_PAYLOAD_LL_HEADER, 6, 6, "ether saddr", mac},
	{unix.NFT_PAYLOAD_LL_HEADER, 12, 2, "ether type", etherType},
	{unix.NFT_PAYLOAD_NETWORK_HEADER, 2, 2, "ip length", network}, {unix.NFT_PAYLOAD_NETWORK_HEADER, 8, 1, "ip ttl", network},
	{unix.NFT_PAYLOAD_NETWORK_HEADER, 9, 1, "ip protocol", protocol},
	{unix.NFT_PAYLOAD_NETWORK_HEADER, 12, 4, "ip saddr", ip4}, {unix.NFT_PAYLOAD_NETWORK_HEADER, 16, 4, "ip daddr", ip4},
	{unix.NFT_PAYLOAD_NETWORK_HEADER, 6, 1, "ip6 nexthdr", protocol}, {unix.NFT_PAYLOAD_NETWORK_HEADER, 7, 1, "ip6 hoplimit", network},
	{unix.NFT_PAYLOAD_NETWORK_HEADER, 8, 16, "ip6 saddr", ip6}, {unix.NFT_PAYLOAD_NETWORK_HEADER, 24, 16, "ip6 daddr", ip6},
	{unix.NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2, "sport", network}, {unix.NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, "dport", network},
	{unix.NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, "type", icmp}, {unix.NFT_PAYLOAD_TRANSPORT_HEADER, 1, 1, "code", network},
	{unix.NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1, "flags", hex},
}

func (t *translator) payload(a attributes) {
	base, offset, length := a.number(unix.NFTA_PAYLOAD_BASE), a.number(unix.NFTA_PAYLOAD_OFFSET), a.number(unix.NFTA_PAYLOAD_LEN)
	o := operand{name: fmt.Sprintf("@%s,%d,%d", map[uint32]string{0: "ll", 1: "nh", 2: "th", 3: "ih"}[base], 8*offset, 8*length)}
	for _, f := range fields {
		address := (f.kind == ip4 || f.kind == ip6) && length < f.length
		if f.base != base || f.offset != offset || f.length != length && !address || address && o.kind != hex {
			continue
		}
		if base == unix.NFT_PAYLOAD_TRANSPORT_HEADER && !t.transportHas(f.name) {
			continue
		}
		o.name, o.kind = t.named(f), f.kind
		if address { // nft compares only the first bytes of a network's address
			o.part = int(length)
		}
	}
	if a[unix.NFTA_PAYLOAD_SREG] != nil {
		t.say("%s set %s", o.name, t.constant(a.register(unix.NFTA_PAYLOAD_SREG), o.kind))
		return
	}
	t.registers[a.register(unix.NFTA_PAYLOAD_DREG)] = o
}

// transportHas reports whether the protocol that the rule asks for has a field.
func (t *translator) transportHas(name string) bool {
	switch name {
	case "type", "code":
		return t.transport == "icmp" || t.transport == "ipv6-icmp"
	case "flags":
		return t.transport == "tcp"
	}
	return t.transport != "icmp" && t.transport != "ipv6-icmp"
}

// named returns the name of a field.
func (t *translator) named(f field) string {
	inIP := f.base == unix.NFT_PAYLOAD_NETWORK_HEADER || strings.Contains(t.transport, "icmp")
	if inIP && t.impliedFamily > 0 {
		t.words[t.impliedFamily-1], t.impliedFamily = "", 0
	}
	switch {
	case f.base != unix.NFT_PAYLOAD_TRANSPORT_HEADER:
		return f.name
	case t.transport == "":
		return "th " + f.name
	}
	if t.impliedTransport > 0 { // tcp dport says that it is tcp
		t.words[t.impliedTransport-1], t.impliedTransport = "", 0
	}
	return strings.Replace(t.transport, "ipv6-icmp", "icmpv6", 1) + " " + f.name
}

var comparisons = map[uint32]string{unix.NFT_CMP_EQ: "", unix.NFT_CMP_NEQ: "!= ", unix.NFT_CMP_LT: "< ", unix.NFT_CMP_LTE: "<= ",
	unix.NFT_CMP_GT: "> ", unix.NFT_CMP_GTE: ">= "}

func (t *translator) compare(a attributes) {
	o, op, value := t.registers[a.register(unix.NFTA_CMP_SREG)], a.number(unix.NFTA_CMP_OP), dataOf(a[unix.NFTA_CMP_DATA])
	bits, contiguous := prefix(o.mask)
	switch {
	case o.mask != nil && o.kind == state && op == unix.NFT_CMP_NEQ && native(value) == 0:
		t.match(o, o.kind.write(o.mask))
	case o.mask != nil && (o.kind == ip4 || o.kind == ip6) && contiguous:
		t.match(o, fmt.Sprintf("%s%s/%d", comparisons[op], o.kind.write(value), bits))
	case o.mask != nil:
		sign := comparisons[op]
		if op == unix.NFT_CMP_EQ {
			sign = "== "
		}
		t.match(o, fmt.Sprintf("& %s %s%s", hex.write(o.mask), sign, hex.write(value)))
	case o.part > 0:
		whole := append(slices.Clone(value), make([]byte, sizes[o.kind]-len(value))...)
		t.match(o, fmt.Sprintf("%s%s/%d", comparisons[op], o.kind.write(whole), 8*o.part))
	default:
		t.match(o, comparisons[op]+o.kind.write(value))
		if op == unix.NFT_CMP_EQ && len(value) == 1 {
			t.imply(o.name, value[0])
		}
	}
}

// imply notes what the rule asked for by the last word.
func (t *translator) imply(name string, value byte) {
	switch name {
	case "meta nfproto":
		t.impliedFamily = len(t.words)
	case "ip protocol", "ip6 nexthdr":
		t.transport, t.impliedTransport = protocols[value], 0
	case "meta l4proto":
		if t.transport, t.impliedTransport = protocols[value], 0; t.transport != "" {
			t.impliedTransport = len(t.words)
		}
	}
}

// match writes what a rule asks of an operand.
func (t *translator) match(o operand, what string) {
	if o.name == "" {
		o.name = "[register]"
	}
	t.say("%s %s", o.name, what)
}

func (t *translator) bitwise(a attributes) {
	from := t.registers[a.register(unix.NFTA_BITWISE_SREG)]
	if a.number(bitwiseOp) != 0 || slices.ContainsFunc(dataOf(a[unix.NFTA_BITWISE_XOR]), func(b byte) bool { return b != 0 }) {
		from.name, from.kind, from.mask = "[bitwise "+from.name+"]", hex, nil
	} else {
		from.mask = dataOf(a[unix.NFTA_BITWISE_MASK])
	}
	t.registers[a.register(unix.NFTA_BITWISE_DREG)] = from
}

// bitwiseOp is NFTA_BITWISE_OP of Linux 5.6 and later: 0 is a mask.
const bitwiseOp = 6

func (t *translator) lookup(a attributes) {
	name, from := text(a[unix.NFTA_LOOKUP_SET]), a.register(unix.NFTA_LOOKUP_SREG)
	s := t.sets(name)
	what := "@" + name
	if s != nil && s.anonymous {
		what = "{ " + strings.Join(s.texts(), ", ") + " }"
	}
	if a.number(unix.NFTA_LOOKUP_FLAGS)&unix.NFT_LOOKUP_F_INV != 0 {
		what = "!= " + what
	}
	o := t.together(from, s)
	switch to := a[unix.NFTA_LOOKUP_DREG]; {
	case to == nil:
		t.match(o, what)
	case number32(to) == unix.NFT_REG_VERDICT:
		t.match(o, "vmap "+what)
	default:
		t.registers[a.register(unix.NFTA_LOOKUP_DREG)] = operand{name: o.name + " map " + what}
	}
}

// together returns what the registers from one on hold that are looked up at once.
func (t *translator) together(from uint32, s *set) operand {
	o := t.registers[from]
	if s == nil || len(s.key) < 2 {
		return o
	}
	var names []string
	for at := from; at < from+uint32((s.length+3)/4); at++ {
		if one, ok := t.registers[at]; ok {
			names = append(names, one.name)
		}
	}
	return operand{name: strings.Join(names, " . ")}
}

func (t *translator) immediate(a attributes) {
	data := a[unix.NFTA_IMMEDIATE_DATA]
	if v := verdictOf(data); v != "" {
		t.say("%s", v)
		return
	}
	t.registers[a.register(unix.NFTA_IMMEDIATE_DREG)] = operand{value: dataOf(data)}
}

// constant writes what a register holds.
func (t *translator) constant(register uint32, k kind) string {
	o := t.registers[register]
	switch {
	case o.value != nil:
		return k.write(o.value)
	case o.name != "":
		return o.name
	}
	return "[register]"
}

// target writes where an address or a port is translated to.
func (t *translator) target(a attributes, address, port uint16) string {
	text := ""
	if address != 0 && a[address] != nil {
		register := a.register(address)
		k := ip4
		if len(t.registers[register].value) == 16 {
			k = ip6
		}
		text = t.constant(register, k)
		if k == ip6 && a[port] != nil {
			text = "[" + text + "]"
		}
	}
	if a[port] != nil {
		text += ":" + t.constant(a.register(port), network)
	}
	return text
}

// rejection writes how a packet is refused.
func rejection(kind uint32, code []byte) string {
	if kind == unix.NFT_REJECT_TCP_RST {
		return "reject with tcp reset"
	}
	if kind == unix.NFT_REJECT_ICMPX_UNREACH && len(code) == 1 && int(code[0]) < 4 {
		return "reject with icmpx " + []string{"no-route", "port-unreachable", "host-unreachable", "admin-prohibited"}[code[0]]
	}
	return "reject with icmp code " + network.write(code)
}

// limit writes how often a rule holds.
func (t *translator) limit(a attributes) {
	unit := map[uint64]string{1: "second", 60: "minute", 3600: "hour", 86400: "day", 604800: "week"}[number64(a[unix.NFTA_LIMIT_UNIT])]
	over := map[bool]string{true: "over "}[a.number(unix.NFTA_LIMIT_FLAGS)&unix.NFT_LIMIT_F_INV != 0]
	rate := strconv.FormatUint(number64(a[unix.NFTA_LIMIT_RATE]), 10)
	bytes := map[bool]string{true: " bytes"}[a.number(unix.NFTA_LIMIT_TYPE) == unix.NFT_LIMIT_PKT_BYTES]
	t.say("limit rate %s%s%s/%s", over, rate, bytes, unit)
	if burst := a.number(unix.NFTA_LIMIT_BURST); burst > 0 {
		t.say("burst %d%s", burst, map[bool]string{true: " bytes", false: " packets"}[bytes != ""])
	}
}
