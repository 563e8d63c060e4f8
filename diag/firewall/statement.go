package firewall

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// statement writes an expression that does something with a packet.
func (t *translator) statement(name string, a attributes) {
	switch name {
	case "log":
		t.log(a)
	case "reject":
		t.reject(a)
	case "limit":
		t.limit(a)
	case "nat":
		t.nat(a)
	case "masq":
		t.portsOf("masquerade", a, unix.NFTA_MASQ_REG_PROTO_MIN, unix.NFTA_MASQ_REG_PROTO_MAX, unix.NFTA_MASQ_FLAGS)
	case "redir":
		t.portsOf("redirect", a, unix.NFTA_REDIR_REG_PROTO_MIN, unix.NFTA_REDIR_REG_PROTO_MAX, unix.NFTA_REDIR_FLAGS)
	case "notrack":
		t.say("notrack")
	case "objref":
		t.object(a)
	case "match", "target": // of iptables
		t.say("[xt %s %s]", name, bare(strconv.Quote(text(a[unix.NFTA_MATCH_NAME]))))
	default:
		clear(t.registers) // it may have loaded one
		t.say("[%s]", bare(name))
	}
}

// object writes that a rule uses what has a name of its own.
func (t *translator) object(a attributes) {
	name, number := a[unix.NFTA_OBJREF_IMM_NAME], a.number(unix.NFTA_OBJREF_IMM_TYPE)
	kind := map[uint32]string{unix.NFT_OBJECT_COUNTER: "counter", unix.NFT_OBJECT_QUOTA: "quota", unix.NFT_OBJECT_LIMIT: "limit"}[number]
	switch {
	case name == nil:
		t.say("[objects]")
	case kind == "":
		t.say("[object %s]", bare(strconv.Quote(text(name))))
	default:
		t.say("%s name %s", kind, quoted(text(name)))
	}
}

// levels are those of syslog, and one more.
var levels = []string{"emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "audit"}

func (t *translator) log(a attributes) {
	t.say("log")
	if p := a[unix.NFTA_LOG_PREFIX]; p != nil {
		t.say("prefix %s", quoted(text(p)))
	}
	level, flags := a[unix.NFTA_LOG_LEVEL], a.number(unix.NFTA_LOG_FLAGS)
	switch n := number32(level); {
	case level == nil || n == 4: // nft leaves the level out that is meant if none is given
	case int(n) < len(levels):
		t.say("level %s", levels[n])
	default:
		t.say("[level %d]", n)
	}
	switch {
	case flags == 0x2f:
		t.say("flags all")
	case flags&^0x2f != 0:
		t.say("[flags 0x%x]", flags)
	default:
		for _, one := range []struct {
			bits, of uint32
			name     string
		}{{3, 3, "tcp sequence,options"}, {1, 3, "tcp sequence"}, {2, 3, "tcp options"}, {4, 4, "ip options"}, {8, 8, "skuid"}, {0x20, 0x20, "ether"}} {
			if flags&one.of == one.bits {
				t.say("flags %s", one.name)
			}
		}
	}
	if g := a[unix.NFTA_LOG_GROUP]; g != nil {
		t.say("group %s", network.write(g))
	}
	if n := a.number(unix.NFTA_LOG_SNAPLEN); n > 0 {
		t.say("snaplen %d", n)
	}
	if q := a[unix.NFTA_LOG_QTHRESHOLD]; q != nil && !isZero(q) {
		t.say("queue-threshold %s", network.write(q))
	}
}

// natFlags are those that nft has a word for, and the two that say that an address or a port is given.
var natFlags = []struct {
	bit  uint32
	name string
}{{unix.NF_NAT_RANGE_PROTO_RANDOM, "random"}, {unix.NF_NAT_RANGE_PROTO_RANDOM_FULLY, "fully-random"}, {unix.NF_NAT_RANGE_PERSISTENT, "persistent"},
	{unix.NF_NAT_RANGE_MAP_IPS, ""}, {unix.NF_NAT_RANGE_PROTO_SPECIFIED, ""}}

// natWords returns the words for flags, with a space before them. It is not ok if there are others.
func natWords(flags uint32) (words string, ok bool) {
	var names []string
	for _, f := range natFlags {
		if flags&f.bit != 0 && f.name != "" {
			names = append(names, f.name)
		}
		flags &^= f.bit
	}
	if len(names) > 0 {
		words = " " + strings.Join(names, ",")
	}
	return words, flags == 0
}

func (t *translator) nat(a attributes) {
	word := map[bool]string{true: "dnat", false: "snat"}[a.number(unix.NFTA_NAT_TYPE) == unix.NFT_NAT_DNAT]
	flags, ok := natWords(a.number(unix.NFTA_NAT_FLAGS))
	ports, portsOK := t.span(a, unix.NFTA_NAT_REG_PROTO_MIN, unix.NFTA_NAT_REG_PROTO_MAX, network)
	k := map[uint32]kind{unix.AF_INET: ip4, unix.AF_INET6: ip6}[a.number(unix.NFTA_NAT_FAMILY)]
	addresses, addressesOK := t.span(a, unix.NFTA_NAT_REG_ADDR_MIN, unix.NFTA_NAT_REG_ADDR_MAX, k)
	if !ok || !portsOK || !addressesOK || addresses == "" && ports == "" || strings.Contains(addresses, " map ") && ports != "" {
		t.say("[%s]", word)
		return
	}
	if t.family == "inet" && addresses != "" {
		word += map[kind]string{ip4: " ip", ip6: " ip6"}[k]
	}
	if k == ip6 && addresses != "" && ports != "" {
		addresses = strings.ReplaceAll("["+addresses+"]", "-", "]-[")
	}
	if ports != "" {
		ports = ":" + ports
	}
	t.say("%s to %s%s%s", word, addresses, ports, flags)
}

// portsOf writes what translates to ports of the machine itself.
func (t *translator) portsOf(word string, a attributes, least, most, flagsAt uint16) {
	flags, ok := natWords(a.number(flagsAt))
	ports, portsOK := t.span(a, least, most, network)
	switch {
	case !ok || !portsOK || strings.Contains(ports, " map "):
		t.say("[%s]", word)
	case ports == "":
		t.say("%s%s", word, flags)
	default:
		t.say("%s to :%s%s", word, ports, flags)
	}
}

// span writes what is translated to: from the value in one register to that in another, "" if there is
// none. It is not ok if that is not read.
func (t *translator) span(a attributes, least, most uint16, k kind) (text string, ok bool) {
	if a[least] == nil {
		return "", a[most] == nil
	}
	from := t.registers[a.register(least)]
	to := from
	if a[most] != nil {
		to = t.registers[a.register(most)]
	}
	switch {
	case from.value != nil && len(from.value) == len(to.value) && len(from.value) >= sizes[k] && k != hex:
		if k != network {
			return between(k, from.value, to.value), true
		}
		first, last := k.write(from.value[:min(2, len(from.value))]), k.write(to.value[:min(2, len(to.value))])
		if first != last {
			first += "-" + last
		}
		return first, true
	case from.unread, from.name == "", from.mask != nil, from.part > 0, a[most] != nil && a.register(most) != a.register(least):
		return "", false
	}
	return from.name, true
}

// icmpCodes and icmp6Codes are the reasons of a refusal.
var (
	icmpCodes = map[byte]string{0: "net-unreachable", 1: "host-unreachable", 2: "prot-unreachable", 3: "port-unreachable", 9: "net-prohibited",
		10: "host-prohibited", 13: "admin-prohibited"}
	icmp6Codes = map[byte]string{0: "no-route", 1: "admin-prohibited", 3: "addr-unreachable", 4: "port-unreachable", 5: "policy-fail", 6: "reject-route"}
	icmpxCodes = map[byte]string{0: "no-route", 1: "port-unreachable", 2: "host-unreachable", 3: "admin-prohibited"}
)

// reject writes how a packet is refused.
func (t *translator) reject(a attributes) {
	code := a[unix.NFTA_REJECT_ICMP_CODE]
	how, usual := "", false
	switch kind := a.number(unix.NFTA_REJECT_TYPE); {
	case kind == unix.NFT_REJECT_TCP_RST:
		if t.family == "ip" || t.family == "ip6" {
			t.drop(&t.impliedTransport)
		}
		t.say("reject with tcp reset")
		return
	case len(code) != 1:
	case kind == unix.NFT_REJECT_ICMPX_UNREACH && icmpxCodes[code[0]] != "":
		how, usual = "icmpx "+icmpxCodes[code[0]], code[0] == 1
	case kind == unix.NFT_REJECT_ICMP_UNREACH && t.network == "ip" && icmpCodes[code[0]] != "":
		how, usual = "icmp "+icmpCodes[code[0]], t.family == "ip" && code[0] == 3
	case kind == unix.NFT_REJECT_ICMP_UNREACH && t.network == "ip6" && icmp6Codes[code[0]] != "":
		how, usual = "icmpv6 "+icmp6Codes[code[0]], t.family == "ip6" && code[0] == 4
	}
	switch {
	case how == "":
		t.say("[reject]")
	case usual:
		t.say("reject")
	default:
		if !strings.HasPrefix(how, "icmpx") {
			t.drop(&t.impliedFamily)
		}
		t.say("reject with %s", how)
	}
}

var units = map[uint64]string{1: "second", 60: "minute", 3600: "hour", 86400: "day", 604800: "week"}

// limit writes how often a rule holds.
func (t *translator) limit(a attributes) {
	unit := units[number64(a[unix.NFTA_LIMIT_UNIT])]
	over := map[bool]string{true: "over "}[a.number(unix.NFTA_LIMIT_FLAGS)&unix.NFT_LIMIT_F_INV != 0]
	rate, burst := number64(a[unix.NFTA_LIMIT_RATE]), a.number(unix.NFTA_LIMIT_BURST)
	switch {
	case unit == "":
		t.say("[limit]")
	case a.number(unix.NFTA_LIMIT_TYPE) == unix.NFT_LIMIT_PKT_BYTES:
		t.say("limit rate %s%s/%s", over, volume(rate), unit)
		if burst > 0 {
			t.say("burst %s", volume(uint64(burst)))
		}
	default:
		t.say("limit rate %s%d/%s", over, rate, unit)
		if burst != 0 && burst != 5 { // nft leaves out what is meant if none is given
			t.say("burst %d packets", burst)
		}
	}
}

// volume writes a number of bytes.
func volume(n uint64) string {
	names := []string{"bytes", "kbytes", "mbytes"}
	for n != 0 && n%1024 == 0 && len(names) > 1 {
		n, names = n/1024, names[1:]
	}
	return fmt.Sprint(n, " ", names[0])
}

func isZero(b []byte) bool { return !slices.ContainsFunc(b, func(one byte) bool { return one != 0 }) }
