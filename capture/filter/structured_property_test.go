package filter

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// The oracle here decides from the meaning of the fields and knows nothing of
// the language or of programs: a random filter is made as sets of numbers
// together with its text, and matched against the numbers a packet was built from.

// structuredPacket is a frame by its numbers; an ARP packet has no protocol.
type structuredPacket struct {
	ethSrc, ethDst   mac
	etherType        uint16
	src, dst         netip.Addr
	protocol         uint8
	srcPort, dstPort uint16
}

func (p structuredPacket) isIP() bool { return p.etherType != 0x0806 }

func (p structuredPacket) hasPorts() bool {
	return p.isIP() && (p.protocol == 6 || p.protocol == 17 || p.protocol == 132)
}

func (p structuredPacket) bytes() []byte {
	if !p.isIP() {
		return ethernet(p.ethDst, p.ethSrc, p.etherType, arpPacket(1, p.ethSrc, p.ethDst, p.src, p.dst))
	}
	payload := transport(p.protocol, p.srcPort, p.dstPort, 0x10, make([]byte, 40))
	return ethernet(p.ethDst, p.ethSrc, p.etherType, ipPacket(p.src, p.dst, p.protocol, payload))
}

// A valueSet is a field of a filter: what it says, and what it means.
type valueSet[V any] struct {
	text             string
	wanted, excluded []func(V) bool
}

// match decides on a field that has one of the values given.
func (s valueSet[V]) match(values ...V) bool {
	return (len(s.wanted) == 0 || anyMatch(s.wanted, values)) && !anyMatch(s.excluded, values)
}

func anyMatch[V any](set []func(V) bool, values []V) bool {
	for _, match := range set {
		if slices.ContainsFunc(values, match) {
			return true
		}
	}
	return false
}

// randomSet makes a list of up to four entries, some of them excluded. Half of
// the lists are empty, which is a field that is not set.
func randomSet[V any](random *rand.Rand, entry func() (string, func(V) bool)) valueSet[V] {
	var s valueSet[V]
	if random.IntN(2) == 0 {
		return s
	}
	var texts []string
	for range 1 + random.IntN(4) {
		text, match := entry()
		if random.IntN(4) == 0 {
			text = "!" + text
			s.excluded = append(s.excluded, match)
		} else {
			s.wanted = append(s.wanted, match)
		}
		texts = append(texts, text)
	}
	s.text = strings.Join(texts, ";")
	return s
}

// structuredGenerator draws from few values, so that filters and packets meet.
type structuredGenerator struct{ *rand.Rand }

func (g structuredGenerator) family() string { return []string{"192.0.2.", "2001:db8::"}[g.IntN(2)] }

func (g structuredGenerator) addressIn(family string) netip.Addr {
	return netip.MustParseAddr(family + fmt.Sprint(g.IntN(10)))
}

func (g structuredGenerator) addresses(families ...string) valueSet[netip.Addr] {
	return randomSet(g.Rand, func() (string, func(netip.Addr) bool) {
		family := families[g.IntN(len(families))]
		a, b := g.addressIn(family), g.addressIn(family)
		if b.Less(a) {
			a, b = b, a
		}
		switch g.IntN(3) {
		case 0:
			return a.String(), func(x netip.Addr) bool { return x == a }
		case 1:
			network := netip.PrefixFrom(a, a.BitLen()-g.IntN(4)).Masked()
			return network.String(), network.Contains
		}
		return a.String() + "-" + b.String(), func(x netip.Addr) bool {
			return x.Is4() == a.Is4() && a.Compare(x) <= 0 && x.Compare(b) <= 0
		}
	})
}

func (g structuredGenerator) ports() valueSet[uint16] {
	return randomSet(g.Rand, func() (string, func(uint16) bool) {
		a, b := uint16(g.IntN(8)), uint16(g.IntN(8))
		if g.IntN(2) == 0 {
			return fmt.Sprint(a), func(x uint16) bool { return x == a }
		}
		low, high := min(a, b), max(a, b)
		return fmt.Sprintf("%d-%d", low, high), func(x uint16) bool { return low <= x && x <= high }
	})
}

func (g structuredGenerator) mac() mac { return mac{2, 0, 0, 0, 0, byte(g.IntN(3))} }

func (g structuredGenerator) macs() valueSet[mac] {
	return randomSet(g.Rand, func() (string, func(mac) bool) {
		m := g.mac()
		return fmt.Sprintf("%02X-%02X-%02X-%02X-%02X-%02X", m[0], m[1], m[2], m[3], m[4],
			m[5]), func(x mac) bool { return x == m }
	})
}

func (g structuredGenerator) etherTypes() valueSet[uint16] {
	return randomSet(g.Rand, func() (string, func(uint16) bool) {
		n := g.IntN(3)
		number := []uint16{0x0800, 0x86dd, 0x0806}[n]
		return []string{"IPv4", "0x86DD", "arp"}[n], func(x uint16) bool { return x == number }
	})
}

func (g structuredGenerator) protocols() valueSet[structuredPacket] {
	return randomSet(g.Rand, func() (string, func(structuredPacket) bool) {
		number := func(n uint8) func(structuredPacket) bool {
			return func(p structuredPacket) bool { return p.protocol == n }
		}
		switch g.IntN(6) {
		case 0:
			return "TCP", number(6)
		case 1:
			return "udp", number(17)
		case 2:
			return "132", number(132)
		case 3:
			return "5-17", func(p structuredPacket) bool { return 5 <= p.protocol && p.protocol <= 17 }
		case 4:
			return "GRE", number(47)
		}
		return "ICMP", func(p structuredPacket) bool {
			return p.src.Is4() && p.protocol == 1 || p.src.Is6() && p.protocol == 58
		}
	})
}

func (g structuredGenerator) packet() structuredPacket {
	p := structuredPacket{ethSrc: g.mac(), ethDst: g.mac(), srcPort: uint16(g.IntN(8)), dstPort: uint16(g.IntN(8))}
	family := g.family()
	p.src, p.dst = g.addressIn(family), g.addressIn(family)
	p.etherType, p.protocol = 0x86dd, []uint8{6, 6, 17, 17, 132, 58, 1, 47}[g.IntN(8)]
	if p.src.Is4() {
		p.etherType = 0x0800
		if g.IntN(8) == 0 {
			p.etherType, p.protocol = 0x0806, 0
		}
	}
	return p
}

// azure makes a filter of the fields that Azure has, and its meaning on a host.
func (g structuredGenerator) azure(host Host) (Structured, func(structuredPacket) bool) {
	local, remote := g.addresses("192.0.2.", "2001:db8::"), g.addresses("192.0.2.", "2001:db8::")
	localPort, remotePort := g.ports(), g.ports()
	protocol := g.protocols()
	f := Structured{
		Protocol: protocol.text, LocalAddress: local.text, RemoteAddress: remote.text,
		LocalPort: localPort.text, RemotePort: remotePort.text,
	}
	if local.text == "" && len(host.Addresses) > 0 {
		local.wanted = append(local.wanted, func(x netip.Addr) bool { return slices.Contains(host.Addresses, x) })
	}
	return f, func(p structuredPacket) bool {
		if f.Protocol != "" && !(p.isIP() && protocol.match(p)) {
			return false
		}
		if f.LocalAddress+f.RemoteAddress+f.LocalPort+f.RemotePort == "" {
			return true
		}
		if !p.isIP() || f.LocalPort+f.RemotePort != "" && !p.hasPorts() {
			return false
		}
		return local.match(p.src) && localPort.match(p.srcPort) && remote.match(p.dst) && remotePort.match(p.dstPort) ||
			local.match(p.dst) && localPort.match(p.dstPort) && remote.match(p.src) && remotePort.match(p.srcPort)
	}
}

// netsh adds the fields that netsh has.
func (g structuredGenerator) netsh(f *Structured, azure func(structuredPacket) bool) func(structuredPacket) bool {
	types, macs, macSrc := g.etherTypes(), g.macs(), g.macs()
	v4, v6Dst := g.addresses("192.0.2."), g.addresses("2001:db8::")
	f.EthernetType, f.EthernetAddress, f.EthernetSourceAddress = types.text, macs.text, macSrc.text
	f.IPv4Address, f.IPv6DestinationAddress = v4.text, v6Dst.text
	return func(p structuredPacket) bool {
		return azure(p) &&
			types.match(p.etherType) && macs.match(p.ethSrc, p.ethDst) && macSrc.match(p.ethSrc) &&
			(v4.text == "" || p.etherType == 0x0800 && v4.match(p.src, p.dst)) &&
			(v6Dst.text == "" || p.etherType == 0x86dd && v6Dst.match(p.dst))
	}
}

func TestStructuredFiltersMeanWhatTheySay(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of cases, or a peer for each")
	}
	t.Parallel()
	g := structuredGenerator{rand.New(rand.NewPCG(13, *differentialSeed))}
	packets := make([]structuredPacket, 500)
	frames := make([][]byte, len(packets))
	for i := range packets {
		packets[i] = g.packet()
		frames[i] = packets[i].bytes()
	}
	var matched, refused int
	const rounds = 2000
	for range rounds {
		host := structuredHost
		if g.IntN(4) == 0 {
			host = Host{}
		}
		var filters []Structured
		var meanings []func(structuredPacket) bool
		for range 1 + g.IntN(3) {
			f, meaning := g.azure(host)
			if g.IntN(4) == 0 {
				meaning = g.netsh(&f, meaning)
			}
			filters, meanings = append(filters, f), append(meanings, meaning)
		}
		expression, err := StructuredExpression(filters, host)
		if err != nil {
			if !strings.HasSuffix(err.Error(), "no port is left") {
				t.Fatalf("%+v\n%v", filters, err)
			}
			refused++
			continue
		}
		program, err := Compile(expression, Target{LinkType: EN10MB, SnapLength: corpusSnapLength})
		if err != nil && !strings.Contains(err.Error(), "rejects all packets") {
			t.Fatalf("%+v\n%s\n%v", filters, expression, err)
		}
		for i, p := range packets {
			want := slices.ContainsFunc(meanings, func(meaning func(structuredPacket) bool) bool { return meaning(p) })
			got := program != nil && program.Match(frames[i], Metadata{}) != 0
			if got != want {
				t.Fatalf("%+v\n%s\nmatches %+v: %v, want %v", filters, expression, p, got, want)
			}
			if want {
				matched++
			}
		}
	}
	t.Logf("%d sets of filters matched %d times in %d packets; %d left no port", rounds, matched,
		rounds*len(packets), refused)
	if matched < rounds || refused > rounds/5 {
		t.Error("the filters and packets are too far apart to say much")
	}
}
