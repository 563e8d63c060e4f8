package tuples

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"diagsh/capture/filter"
)

var seed = flag.Uint64("seed", 1, "of the random filters")

// A field is a random field of a filter: its text, and the values that match.
type field[V any] struct {
	text  string
	match []func(V) bool
}

func (f field[V]) has(v V) bool {
	return f.text == "" || slices.ContainsFunc(f.match, func(match func(V) bool) bool { return match(v) })
}

// A generator draws filters and the packets that are near to their bounds.
type generator struct {
	*rand.Rand
	addresses [2][]netip.Addr // bounds of the filters at hand, by family
	ports     []uint16
}

// list makes a list of one to four entries, with a semicolon at its end sometimes.
func list[V any](g *generator, entry func() (string, func(V) bool)) (f field[V]) {
	if g.IntN(3) == 0 {
		return f
	}
	var texts []string
	for range 1 + g.IntN(4)*g.IntN(2) {
		text, match := entry()
		texts, f.match = append(texts, text), append(f.match, match)
	}
	f.text = strings.Join(texts, ";")
	if g.IntN(4) == 0 {
		f.text += ";"
	}
	return f
}

// address returns an address with many bytes at their ends, where comparisons go wrong.
func (g *generator) address(six bool) netip.Addr {
	b := make([]byte, 4)
	if six {
		b = make([]byte, 16)
	}
	for i := range b {
		b[i] = []byte{0, 0, 1, 0xff, byte(g.IntN(256))}[g.IntN(5)]
	}
	if six {
		b[0] = 0x20 // ::ffff:0:0/96 is IPv4 in other clothes
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func (g *generator) addressField() field[netip.Addr] {
	six := g.IntN(2) == 0
	return list(g, func() (string, func(netip.Addr) bool) {
		a, b := g.address(six), g.address(six)
		if b.Less(a) {
			a, b = b, a
		}
		family := 0
		if six {
			family = 1
		}
		g.addresses[family] = append(g.addresses[family], a, b)
		switch g.IntN(4) {
		case 0:
			return a.String(), func(x netip.Addr) bool { return x == a }
		case 1:
			network := netip.PrefixFrom(a, g.IntN(a.BitLen()+1)).Masked()
			return network.String(), network.Contains
		}
		return a.String() + "-" + b.String(), func(x netip.Addr) bool {
			return x.BitLen() == a.BitLen() && a.Compare(x) <= 0 && x.Compare(b) <= 0
		}
	})
}

func (g *generator) portField() field[uint16] {
	if g.IntN(8) == 0 {
		return field[uint16]{"1-65535", []func(uint16) bool{func(uint16) bool { return true }}}
	}
	return list(g, func() (string, func(uint16) bool) {
		a, b := uint16(g.IntN(1<<16)), uint16(g.IntN(1<<16))
		a, b = min(a, b), max(a, b)
		g.ports = append(g.ports, a, b)
		if g.IntN(2) == 0 {
			return fmt.Sprint(a), func(x uint16) bool { return x == a }
		}
		return fmt.Sprintf("%d-%d", a, b), func(x uint16) bool { return a <= x && x <= b }
	})
}

// filter returns a random filter with its meaning, which is written down here a second time.
func (g *generator) filter() (Filter, func(frame) bool) {
	number := []uint8{0, 6, 17, 132, 6, 17}[g.IntN(6)]
	name := map[uint8]string{0: []string{"", "Any", "any"}[g.IntN(3)], 6: []string{"TCP", "tcp", "6"}[g.IntN(3)], 17: "Udp", 132: "132"}[number]
	local, remote, localPort, remotePort := g.addressField(), g.addressField(), g.portField(), g.portField()
	f := Filter{name, local.text, localPort.text, remote.text, remotePort.text}
	every := func(text string) bool { return text == "1-65535" }
	ports := localPort.text+remotePort.text != ""
	narrow := localPort.text != "" && !every(localPort.text) || remotePort.text != "" && !every(remotePort.text)
	return f, func(p frame) bool {
		if p.arp || p.secondVLAN {
			return number == 0 && local.text+remote.text == "" && !ports
		}
		seen := p.fragment == 0 || p.fragment == 1 && p.local.Is4() // whether its ports are
		switch {
		case number != 0 && p.protocol != number, ports && !p.hasPorts(), narrow && !seen:
			return false
		}
		either := func(here, there netip.Addr, herePort, therePort uint16) bool {
			return local.has(here) && remote.has(there) &&
				(!narrow || localPort.has(herePort) && remotePort.has(therePort))
		}
		return either(p.local, p.remote, p.localPort, p.remotePort) ||
			either(p.remote, p.local, p.remotePort, p.localPort)
	}
}

// near returns an address at, before or after a bound.
func (g *generator) near(family int) netip.Addr {
	known := g.addresses[family]
	if len(known) == 0 || g.IntN(6) == 0 {
		return g.address(family == 1)
	}
	a := known[g.IntN(len(known))]
	switch g.IntN(4) {
	case 0:
		if a.Prev().IsValid() {
			return a.Prev()
		}
	case 1:
		if a.Next().IsValid() {
			return a.Next()
		}
	}
	return a
}

func (g *generator) nearPort() uint16 {
	if len(g.ports) == 0 || g.IntN(6) == 0 {
		return uint16(g.IntN(1 << 16))
	}
	return g.ports[g.IntN(len(g.ports))] + uint16(g.IntN(3)) - 1
}

func (g *generator) packet() frame {
	family := g.IntN(2)
	p := frame{
		local: g.near(family), remote: g.near(family), localPort: g.nearPort(), remotePort: g.nearPort(),
		protocol: []uint8{6, 6, 17, 17, 132, 1, 47}[g.IntN(7)], outgoing: g.IntN(2) == 0, arp: g.IntN(20) == 0,
		options: g.IntN(4) == 0, vlan: g.IntN(4) == 0, secondVLAN: g.IntN(20) == 0,
	}
	if g.IntN(6) == 0 {
		p.fragment = 1 + g.IntN(2)
	}
	return p
}

// TestMeaning compares programs of random filters with what the fields say, in both directions.
func TestMeaning(t *testing.T) {
	rounds := 250
	if testing.Short() {
		rounds = 50
	}
	g := &generator{Rand: rand.New(rand.NewPCG(13, *seed))}
	matched, most, bare := 0, 0, 0
	for range rounds {
		g.addresses, g.ports = [2][]netip.Addr{}, nil
		var list List
		var meanings []func(frame) bool
		for range 1 + g.IntN(3) {
			f, meaning := g.filter()
			list, meanings = append(list, f), append(meanings, meaning)
		}
		set := g.wayOf(t, list)
		programs := []*filter.Program{compile(t, set.Expression)}
		for _, e := range set.Expressions {
			programs = append(programs, compile(t, e))
		}
		if programs[0] != nil {
			most = max(most, len(programs[0].Instructions))
		}
		if set.Expression == "" {
			bare++
		}
		for range 60 {
			p := g.packet()
			data, meta := p.bytes()
			want := false
			for i, meaning := range meanings {
				one := meaning(p)
				want = want || one
				if got := programs[i+1] != nil && programs[i+1].Match(data, meta) != 0; got != one {
					t.Fatalf("%+v\n%s\n%+v: %v, want %v", list[i], set.Expressions[i], p, got, one)
				}
			}
			if got := programs[0] != nil && programs[0].Match(data, meta) != 0; got != want {
				t.Fatalf("%+v\n%s\n%+v: %v, want %v", list, set.Expression, p, got, want)
			}
			if want {
				matched++
			}
		}
	}
	t.Logf("%d lists of filters, %d of them matching everything; %d of %d packets matched; the longest program has %d instructions",
		rounds, bare, matched, rounds*60, most)
	if matched < rounds*2 || matched > rounds*40 || bare > rounds/5 {
		t.Error("filters and packets are too far from each other, or too near, to say much")
	}
	if most > 4000 {
		t.Error("a program is longer than the kernel takes")
	}
}

// wayOf reads a list as it is, from its line, or from its JSON: all are the same.
func (g *generator) wayOf(t *testing.T, list List) Set {
	t.Helper()
	var read List
	take := func(text string) {
		switch err := read.Set(text); {
		case err == nil:
		case strings.Contains(err.Error(), "no packet can"):
			read = list // what it means is compared all the same: no packet may match it
		default:
			t.Fatalf("%s: %v", text, err)
		}
	}
	switch g.IntN(3) {
	case 0:
		read = list
	case 1:
		take(list.String())
	case 2:
		text, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		take(string(text))
	}
	set, err := Parse(read)
	if err != nil {
		t.Fatalf("%+v: %v", read, err)
	}
	return set
}

// compile returns the program that the kernel runs, nil if it rejects every packet.
func compile(t *testing.T, expression string) *filter.Program {
	t.Helper()
	p, err := filter.Compile(expression, filter.Target{LinkType: filter.EN10MB, Kind: filter.Live})
	if err != nil && strings.Contains(err.Error(), "rejects all packets") {
		return nil
	}
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	if ready, why := p.KernelReady(); !ready {
		t.Fatalf("%s: %s", expression, why)
	}
	return p
}

// TestRanges looks at every bound of ranges, and at the addresses beside it.
func TestRanges(t *testing.T) {
	g := &generator{Rand: rand.New(rand.NewPCG(14, *seed))}
	for range 200 {
		six := g.IntN(2) == 0
		low, high := g.address(six), g.address(six)
		if high.Less(low) {
			low, high = high, low
		}
		set, err := Parse([]Filter{{RemoteAddress: low.String() + "-" + high.String()}})
		if err != nil {
			t.Fatal(err)
		}
		program := compile(t, set.Expression)
		for _, a := range around(low, high) {
			data, meta := frame{local: g.outside(low, high), remote: a, protocol: 6}.bytes()
			want := low.Compare(a) <= 0 && a.Compare(high) <= 0
			if got := program.Match(data, meta) != 0; got != want {
				t.Fatalf("%s-%s\n%s\n%s: %v", low, high, set.Expression, a, got)
			}
		}
	}
}

// outside returns an address that is not in the range; the range of all has none.
func (g *generator) outside(low, high netip.Addr) netip.Addr {
	if low.Prev().IsValid() {
		return low.Prev()
	}
	return high.Next()
}

// around returns the bounds and addresses that differ from them in one part by one.
func around(low, high netip.Addr) (list []netip.Addr) {
	for _, a := range []netip.Addr{low, high} {
		b := a.AsSlice()
		for at := 0; at < len(b); at += 4 {
			for _, step := range []uint32{0, 1, ^uint32(0)} {
				c := slices.Clone(b)
				binary.BigEndian.PutUint32(c[at:], binary.BigEndian.Uint32(c[at:])+step)
				near, _ := netip.AddrFromSlice(c)
				list = append(list, near)
			}
		}
	}
	return list
}
