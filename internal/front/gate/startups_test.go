package gate

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// prefix is the source that an address is of.
func prefix(address string) netip.Prefix { return SourceOf(netip.MustParseAddr(address)) }

// Those who have exchanged keys meet shares, chance and the end of room.
func TestDoor(t *testing.T) {
	limits := Limits{Early: 20, Full: 40, OfSource: 10, Checks: 2, Kept: 3}
	d := NewStartups(limits)
	var inside []*Slot
	enter := func(from netip.Prefix) error {
		p, err := d.Enter(from, func() { t.Errorf("somebody from %v had to make room who had exchanged keys", from) })
		if err == nil {
			p.Known()
			inside = append(inside, p)
		}
		return err
	}
	for range 10 {
		check(t, enter(prefix("192.0.2.1")))
	}
	if enter(prefix("192.0.2.1")) == nil {
		t.Error("an address got more than its share")
	}
	inside[0].Leave()
	inside = inside[1:]
	check(t, enter(prefix("192.0.2.1")))

	// A /64 is one source: 2001:db8::1 and ::2 share.
	for i, a := range []string{"2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"} {
		for range []int{5, 5, 0}[i] {
			check(t, enter(prefix(a)))
		}
	}
	if enter(prefix("2001:db8::3")) == nil {
		t.Error("a network got more than its share")
	}

	// From 20 on it is chance, at 40 it is certain.
	refused := 0
	for i := 0; len(inside) < 40; i++ {
		if enter(netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 32)) != nil {
			refused++
		}
	}
	if refused == 0 {
		t.Error("nobody was refused early")
	}
	for range 100 {
		if enter(prefix("203.0.113.1")) == nil {
			t.Fatal("somebody entered a full house")
		}
	}
	// Who was here before finds slots that are kept.
	d.Visited(prefix("203.0.113.9"))
	for range 3 {
		check(t, enter(prefix("203.0.113.9")))
	}
	if enter(prefix("203.0.113.9")) == nil {
		t.Error("a visitor got more slots than are kept")
	}
	for _, p := range inside {
		if p.Leave() {
			t.Error("somebody made room")
		}
	}
	if d.taken != 0 || len(d.sources) != 0 {
		t.Errorf("%d connections and %d sources are left", d.taken, len(d.sources))
	}
}

// Who has not exchanged keys makes room for newcomers: the oldest of the address that has the most
// of them.
func TestStrangersMakeRoom(t *testing.T) {
	d := NewStartups(Limits{Early: 4, Full: 8, OfSource: 4, Checks: 2, Kept: 1})
	var gone []string
	slots := map[string]*Slot{}
	enter := func(name, address string) {
		t.Helper()
		p, err := d.Enter(prefix(address), func() { gone = append(gone, name) })
		check(t, err)
		slots[name] = p
	}
	expectGone := func(names ...string) {
		t.Helper()
		if !slices.Equal(gone, names) {
			t.Errorf("gone: %v, not %v", gone, names)
		}
		gone = nil
	}
	for i, address := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.3"} {
		enter(fmt.Sprint(i), address)
	}
	expectGone()
	enter("own share", "192.0.2.1")
	expectGone("0")
	if d.taken != 6 {
		t.Errorf("%d are inside", d.taken)
	}
	enter("7th", "192.0.2.4")
	enter("8th", "192.0.2.5")
	slots["2"].Known() // 192.0.2.1 has 3, 4 and "own share" left
	enter("9th", "192.0.2.6")
	expectGone("3")
	enter("10th", "192.0.2.7")
	expectGone("4")
	enter("11th", "192.0.2.8") // all have one now
	expectGone("1")
	if !slots["1"].Leave() || slots["2"].Leave() {
		t.Error("it is not known who had to make room")
	}
	for _, p := range slots {
		p.Leave()
	}
	if d.taken != 0 || len(d.sources) != 0 {
		t.Errorf("%d connections and %d sources are left", d.taken, len(d.sources))
	}
	for i := range 2 * maxVisitors {
		d.Visited(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32))
	}
	if len(d.visitors) != maxVisitors || d.order.Len() != maxVisitors {
		t.Errorf("%d visitors are known", len(d.visitors))
	}
}

func TestSourceOf(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7:22":                   "192.0.2.7/32",
		"[::ffff:192.0.2.7]:22":          "192.0.2.7/32",
		"[2001:db8:1:2:3:4:5:6]:22":      "2001:db8:1:2::/64",
		"[fe80::1%lo]:22":                "fe80::/64",
		"[2001:db8:1:2:ffff:4:5:6]:2222": "2001:db8:1:2::/64",
	} {
		if got := SourceOf(AddressOf(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address)))); got.String() != want {
			t.Errorf("%s: %s, not %s", address, got, want)
		}
	}
}

// The log tells how many lines it left out.
func TestDoorLog(t *testing.T) {
	l := NewRefusalLog()
	now := time.Now()
	told := 0
	for range 1000 {
		if _, ok := l.Due(now); ok {
			told++
		}
	}
	if told != refusalBurst {
		t.Errorf("%d lines at once", told)
	}
	if leftOut, ok := l.Due(now.Add(refusalEvery)); !ok || leftOut != 1000-refusalBurst {
		t.Errorf("then %v, with %d left out", ok, leftOut)
	}
	if leftOut, ok := l.Due(now.Add(2 * refusalEvery)); !ok || leftOut != 0 {
		t.Errorf("then %v, with %d left out", ok, leftOut)
	}
}
