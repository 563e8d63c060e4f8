package owners

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"diagsh/capture"
	"diagsh/capture/headers"
)

// The tests have times in milliseconds after the table begins.
var begin = time.Unix(1_700_000_000, 0)

func at(ms float64) time.Time { return begin.Add(time.Duration(ms * float64(time.Millisecond))) }

const here, there, port = "192.0.2.1", "198.51.100.9", 4000

func newTestTable(flows ...Flow) *Table {
	t := NewTable()
	t.Begin(begin, 1)
	t.Addresses(begin, []netip.Prefix{netip.MustParsePrefix(here + "/32"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("2001:db8::1/128")})
	for _, f := range flows {
		t.Add(f)
	}
	t.Known(at(1e9))
	return t
}

// had is a flow of TCP or UDP between here:4000 and there:80; until 0 is forever.
func had(protocol Protocol, pid int, from, until float64) Flow {
	f := Flow{NetNS: 1, Protocol: protocol, LocalAddress: netip.MustParseAddr(here), LocalPort: port,
		RemoteAddress: netip.MustParseAddr(there), RemotePort: 80, From: at(from), Socket: uint64(pid), Process: Process{PID: pid}}
	if until > 0 {
		f.Until = at(until)
	}
	return f
}

// with changes a flow.
func with(f Flow, change func(*Flow)) Flow {
	change(&f)
	return f
}

// listener makes a flow one with any end, on an address.
func listener(address string) func(*Flow) {
	return func(f *Flow) {
		f.LocalAddress, f.RemoteAddress, f.RemotePort = netip.MustParseAddr(address), netip.Addr{}, 0
	}
}

// packet is raw IPv4 of the protocol; flags, and a sequence number, are of TCP.
func packet(ms float64, protocol uint8, from, to string, flags byte, sequence uint32, data int) *capture.Packet {
	source, target := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	transport := make([]byte, 8+data)
	if protocol == 6 {
		transport = make([]byte, 20+data)
		binary.BigEndian.PutUint32(transport[4:], sequence)
		transport[12], transport[13] = 5<<4, flags
	} else {
		binary.BigEndian.PutUint16(transport[4:], uint16(len(transport)))
	}
	binary.BigEndian.PutUint16(transport, source.Port())
	binary.BigEndian.PutUint16(transport[2:], target.Port())
	b := []byte{0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0}
	a4, b4 := source.Addr().As4(), target.Addr().As4()
	b = append(append(append(b, a4[:]...), b4[:]...), transport...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return &capture.Packet{Time: at(ms).UnixNano(), Data: b, Length: uint32(len(b))}
}

func pid(p *Process) int {
	if p == nil {
		return 0
	}
	return p.PID
}

const (
	us, them  = "192.0.2.1:4000", "198.51.100.9:80"
	syn       = headers.SYN
	synAck    = headers.SYN | headers.ACK
	ack       = headers.ACK
	rst       = headers.RST | headers.ACK
	tcp, udp_ = 6, 17
)

// TestJoin has the rules by which a packet has an owner, and when it has none.
func TestJoin(t *testing.T) {
	anyTCP := func(pid int, address string) Flow { return with(had(TCP, pid, 0, 0), listener(address)) }
	anyUDP := func(pid int, address string) Flow { return with(had(UDP, pid, 0, 0), listener(address)) }
	took := func(pid int, from, unused float64) Flow {
		return with(had(TCP, pid, from, 0), func(f *Flow) { f.Socket, f.Unused = 5, at(unused) })
	}
	first := func(f Flow, sequence uint32) Flow { f.First = sequence; return f }
	for _, test := range []struct {
		name             string
		flows            []Flow
		packet           *capture.Packet
		sender, receiver int
	}{
		{"out", []Flow{had(TCP, 7, 10, 20)}, packet(15, tcp, us, them, ack, 1, 5), 7, 0},
		{"in", []Flow{had(TCP, 7, 10, 20)}, packet(15, tcp, them, us, ack, 1, 5), 0, 7},
		{"before it began", []Flow{had(TCP, 7, 100, 200)}, packet(15, tcp, us, them, ack, 1, 5), 0, 0},
		{"a moment before it is told", []Flow{had(TCP, 7, 15.1, 20)}, packet(15, tcp, us, them, syn, 1, 0), 7, 0},
		{"of another protocol", []Flow{had(UDP, 7, 10, 20)}, packet(15, tcp, us, them, ack, 1, 5), 0, 0},
		{"of another namespace", []Flow{with(had(TCP, 7, 10, 20), func(f *Flow) { f.NetNS = 2 })}, packet(15, tcp, us, them, ack, 1, 5), 0, 0},

		// A port is used again: each time has its owner, also while the one before is in TIME_WAIT.
		{"the first use", []Flow{had(TCP, 7, 10, 20), had(TCP, 8, 30, 40)}, packet(15, tcp, us, them, ack, 1, 5), 7, 0},
		{"the second use", []Flow{had(TCP, 7, 10, 20), had(TCP, 8, 30, 40)}, packet(35, tcp, us, them, ack, 1, 5), 8, 0},
		{"between them", []Flow{had(TCP, 7, 10, 20), had(TCP, 8, 60, 70)}, packet(25, tcp, us, them, ack, 1, 0), 7, 0},
		{"right before the second", []Flow{had(TCP, 7, 10, 20), had(TCP, 8, 60, 70)}, packet(59, tcp, us, them, ack, 1, 0), 0, 0},
		{"the second's answer to SYN", []Flow{had(TCP, 7, 10, 20), had(TCP, 8, 60, 70), anyTCP(5, here)}, packet(59, tcp, us, them, synAck, 1, 0), 5, 0},

		// What comes after the socket was closed.
		{"TIME_WAIT", []Flow{had(TCP, 7, 10, 20)}, packet(59_000, tcp, us, them, ack, 1, 0), 7, 0},
		{"after TIME_WAIT", []Flow{had(TCP, 7, 10, 20)}, packet(61_000, tcp, us, them, ack, 1, 0), 0, 0},
		{"a new connection from the same port to nobody", []Flow{had(TCP, 7, 10, 20)}, packet(500, tcp, them, us, syn, 1, 0), 0, 0},
		{"its refusal", []Flow{had(TCP, 7, 10, 20)}, packet(500, tcp, us, them, rst, 0, 0), 0, 0},
		{"a refusal right when the same ends are used", []Flow{had(TCP, 7, 10, 20)}, packet(15, tcp, us, them, rst, 0, 0), 0, 0},
		{"a reset of the old one", []Flow{had(TCP, 7, 10, 20)}, packet(500, tcp, us, them, rst, 99, 0), 7, 0},
		{"a datagram that waited", []Flow{had(UDP, 7, 10, 20)}, packet(25, udp_, us, them, 0, 0, 5), 7, 0},
		{"an answer that comes too late", []Flow{had(UDP, 7, 10, 20)}, packet(25, udp_, them, us, 0, 0, 5), 0, 0},

		// Before accept(2) it is the listener's.
		{"SYN", []Flow{anyTCP(5, "0.0.0.0")}, packet(15, tcp, them, us, syn, 1, 0), 0, 5},
		{"its answer", []Flow{anyTCP(5, "0.0.0.0")}, packet(15, tcp, us, them, synAck, 1, 0), 5, 0},
		{"a stray segment", []Flow{anyTCP(5, "0.0.0.0")}, packet(15, tcp, them, us, ack, 1, 0), 0, 0},
		{"after accept", []Flow{anyTCP(5, "0.0.0.0"), had(TCP, 6, 10, 0)}, packet(15, tcp, us, them, ack, 1, 5), 6, 0},
		{"after its close", []Flow{anyTCP(5, "0.0.0.0"), had(TCP, 6, 10, 12)}, packet(15, tcp, us, them, ack, 1, 0), 6, 0},
		{"a listener that is closed", []Flow{with(had(TCP, 5, 1, 2), listener(here))}, packet(15, tcp, them, us, syn, 1, 0), 0, 0},
		{"two listeners", []Flow{anyTCP(5, here), anyTCP(6, here)}, packet(15, tcp, them, us, syn, 1, 0), 0, 0},
		{"a listener of IPv6, which may take none of IPv4", []Flow{anyTCP(5, "::")}, packet(15, tcp, them, us, syn, 1, 0), 0, 0},

		// Any end, on any address: only of addresses that are ours.
		{"a datagram to a server", []Flow{anyUDP(5, "0.0.0.0")}, packet(15, udp_, them, us, 0, 0, 5), 0, 5},
		{"one that is forwarded", []Flow{anyUDP(5, "0.0.0.0")}, packet(15, udp_, them, "203.0.113.7:4000", 0, 0, 5), 0, 0},
		{"one that another machine sent from the same port", []Flow{anyUDP(5, "0.0.0.0")}, packet(15, udp_, "203.0.113.7:4000", them, 0, 0, 5), 0, 0},
		{"one to all", []Flow{anyUDP(5, "0.0.0.0")}, packet(15, udp_, them, "255.255.255.255:4000", 0, 0, 5), 0, 0},
		{"one to a group", []Flow{anyUDP(5, "0.0.0.0")}, packet(15, udp_, them, "224.0.0.251:4000", 0, 0, 5), 0, 0},
		{"the address before any", []Flow{anyUDP(5, "0.0.0.0"), anyUDP(6, here)}, packet(15, udp_, them, us, 0, 0, 5), 0, 6},
		{"the ends before any", []Flow{anyUDP(5, here), had(UDP, 6, 10, 20)}, packet(15, udp_, them, us, 0, 0, 5), 0, 6},
		{"two that share a port", []Flow{anyUDP(5, here), anyUDP(6, here)}, packet(15, udp_, them, us, 0, 0, 5), 0, 0},
		{"two that share a port, and one reads it", []Flow{anyUDP(5, here), anyUDP(6, here), had(UDP, 6, 15.5, 0)}, packet(15, udp_, them, us, 0, 0, 5), 0, 6},
		{"one that was refused before the port was open", []Flow{had(UDP, 6, 15.5, 0)}, packet(15, udp_, them, us, 0, 0, 5), 0, 0},

		// Two processes, one socket.
		{"the first of two", []Flow{had(TCP, 5, 10, 1100), with(had(TCP, 6, 1100, 0), func(f *Flow) { f.Socket = 5 })}, packet(15, tcp, us, them, ack, 1, 5), 5, 0},
		{"the second of two", []Flow{had(TCP, 5, 10, 100), with(had(TCP, 6, 100, 0), func(f *Flow) { f.Socket = 5 })}, packet(101, tcp, us, them, ack, 1, 5), 6, 0},
		{"either of two", []Flow{had(TCP, 5, 10, 100), with(had(TCP, 6, 100, 0), func(f *Flow) { f.Socket = 5 })}, packet(99.9, tcp, us, them, ack, 1, 5), 0, 0},
		{"either of two that had to wait for the processor", []Flow{had(TCP, 5, 10, 900), with(had(TCP, 6, 900, 0), func(f *Flow) { f.Socket = 5 })}, packet(15, tcp, us, them, ack, 1, 5), 0, 0},
		{"either of two programs of a process", []Flow{had(TCP, 5, 10, 100), with(had(TCP, 5, 100, 0), func(f *Flow) { f.Exe = "/bin/other" })}, packet(99.9, tcp, us, them, ack, 1, 5), 0, 0},
		{"either of two, of which one was told late", []Flow{had(UDP, 5, 15.5, 100), with(had(UDP, 6, 100, 0), func(f *Flow) { f.Socket = 5 })}, packet(15, udp_, us, them, 0, 0, 5), 0, 0},
		{"the first's last data", []Flow{had(TCP, 5, 10, 900), took(6, 900, 400)}, packet(399, tcp, us, them, ack, 1, 5), 5, 0},
		{"data of a call that took long", []Flow{had(TCP, 5, 10, 90_000), took(6, 90_000, 400)}, packet(500, tcp, us, them, ack, 1, 5), 0, 0},
		{"data of a call that took long, by its number", []Flow{had(TCP, 5, 10, 90_000), first(took(6, 90_000, 400), 1)}, packet(500, tcp, us, them, ack, 1, 5), 6, 0},
		{"data that the first left to the kernel", []Flow{had(TCP, 5, 10, 90_000), first(took(6, 90_000, 400), 2)}, packet(500, tcp, us, them, ack, 1, 5), 5, 0},
		{"data that the first left to the kernel, later", []Flow{had(TCP, 5, 10, 900), first(took(6, 900, 400), 2)}, packet(950, tcp, us, them, ack, 1, 5), 5, 0},
		{"numbers that begin again", []Flow{had(TCP, 5, 10, 900), first(took(6, 900, 400), 2)}, packet(950, tcp, us, them, ack, 1<<31, 5), 6, 0},
		{"two that send at the same time", []Flow{had(TCP, 5, 10, 450), first(with(took(6, 450, 400), func(f *Flow) { f.Until = at(900) }), 9), first(took(5, 900, 450), 3)},
			packet(500, tcp, us, them, ack, 10, 5), 0, 0},
		{"no data meanwhile", []Flow{had(TCP, 5, 10, 90_000), took(6, 90_000, 400)}, packet(500, tcp, us, them, ack, 1, 0), 5, 0},
		{"what came in meanwhile", []Flow{had(TCP, 5, 10, 90_000), took(6, 90_000, 400)}, packet(500, tcp, them, us, ack, 1, 5), 0, 5},
		{"what came when the first had ended", []Flow{had(TCP, 5, 10, 500), with(had(TCP, 0, 500, 900), func(f *Flow) { f.Socket = 5 }), took(6, 900, 400)},
			packet(600, tcp, them, us, ack, 1, 5), 0, 0},
		{"its acknowledgement", []Flow{had(TCP, 5, 10, 500), with(had(TCP, 0, 500, 900), func(f *Flow) { f.Socket = 5 }), took(6, 900, 400)},
			packet(600, tcp, us, them, ack, 1, 0), 0, 0},
		{"nobody who is known", []Flow{had(TCP, 0, 10, 20)}, packet(15, tcp, us, them, ack, 1, 5), 0, 0},
	} {
		o := NewJoiner(newTestTable(test.flows...)).Join(test.packet, capture.Raw)
		if pid(o.Sender) != test.sender || pid(o.Receiver) != test.receiver {
			t.Errorf("%s: from %d to %d; want from %d to %d", test.name, pid(o.Sender), pid(o.Receiver), test.sender, test.receiver)
		}
	}
}

// Outside of what was told nobody is named: before, after, while events were lost, and after a
// pause in which another process may have got the port.
func TestUnknownTimes(t *testing.T) {
	table := NewTable()
	table.Begin(at(0), 1)
	table.Add(had(TCP, 7, 0, 0))
	table.Known(at(1000))
	table.Lost(at(400), at(500))
	table.Begin(at(5000), 1)
	table.Add(had(TCP, 8, 5000, 0))
	table.Known(at(6000))
	j := NewJoiner(table)
	for ms, want := range map[float64]int{-1: 0, 100: 7, 450: 0, 600: 7, 1001: 0, 4000: 0, 5500: 8, 7000: 0} {
		if got := pid(j.Join(packet(ms, tcp, us, them, ack, 1, 5), capture.Raw).Sender); got != want {
			t.Errorf("at %v ms it is of %d; want %d", ms, got, want)
		}
	}
}

// Where events were lost nobody is named, in whichever order the times are told: the clock may be set
// back in between.
func TestLostInAnyOrder(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 3, 0, 2}, {2, 0, 3, 1}} {
		table := newTestTable(had(TCP, 7, 0, 0))
		windows := [][2]float64{{100, 200}, {180, 250}, {400, 500}, {900, 901}}
		for _, n := range order {
			table.Lost(at(windows[n][0]), at(windows[n][1]))
		}
		j := NewJoiner(table)
		for ms, want := range map[float64]int{99: 7, 100: 0, 190: 0, 225: 0, 251: 7, 399: 7, 450: 0, 501: 7, 900.5: 0, 902: 7} {
			if got := pid(j.Join(packet(ms, tcp, us, them, ack, 1, 0), capture.Raw).Sender); got != want {
				t.Errorf("in the order %v, at %v ms it is of %d; want %d", order, ms, got, want)
			}
		}
	}
}

// Of a datagram in fragments the first has an owner; of a tunnel its carrier has, and what is
// inside has none.
func TestFragmentsAndTunnels(t *testing.T) {
	table := newTestTable(had(UDP, 7, 0, 0))
	first := packet(5, udp_, us, them, 0, 0, 800)
	first.Data[6] = 0x20 // more fragments
	rest := packet(5, udp_, us, them, 0, 0, 0)
	rest.Data[6], rest.Data[7] = 0, 101
	inner := packet(5, udp_, us, them, 0, 0, 5)
	ipip := append([]byte{0x45, 0, 0, byte(20 + len(inner.Data)), 0, 1, 0, 0, 64, 4, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}, inner.Data...)
	for name, test := range map[string]struct {
		packet *capture.Packet
		want   int
	}{
		"first": {first, 7}, "second": {rest, 0},
		"inside a tunnel": {&capture.Packet{Time: at(5).UnixNano(), Data: ipip, Length: uint32(len(ipip))}, 0},
	} {
		if got := pid(NewJoiner(table).Join(test.packet, capture.Raw).Sender); got != test.want {
			t.Errorf("%s: it is of %d; want %d", name, got, test.want)
		}
	}
}

// A port that is used again and again costs no more with each use, and memory is bounded.
func TestManyFlows(t *testing.T) {
	table := NewTable()
	table.Begin(begin, 1)
	for i := range 100_000 {
		table.Add(had(TCP, i+1, float64(i), float64(i)+0.5))
	}
	table.Known(at(1e9))
	j := NewJoiner(table)
	for _, n := range []int{0, 50_000, 99_999} {
		if got := pid(j.Join(packet(float64(n)+0.25, tcp, us, them, ack, 1, 0), capture.Raw).Sender); got != n+1 {
			t.Errorf("use %d is of %d", n+1, got)
		}
	}
	for i := range mostFlows {
		table.Add(with(had(TCP, 1, 0, 0), func(f *Flow) { f.Socket = uint64(i) + 1e6; f.RemotePort = uint16(i); f.LocalPort = uint16(i >> 16) }))
	}
	if table.count > mostFlows {
		t.Errorf("it has %d flows", table.count)
	}
	table.Forget(at(1e6))
	if n := len(table.flows[keyForTest(table, had(TCP, 1, 0, 0))]); n > 0 {
		t.Errorf("%d flows that are over are kept", n)
	}
}

func keyForTest(table *Table, f Flow) key {
	k, _ := table.keyOf(f)
	return k
}

// What is written is read, up to the last whole line, also if strangers chose the names.
func TestFile(t *testing.T) {
	f := with(had(UDP, 7, 1, 2), func(f *Flow) { f.Process = Process{PID: 7, Name: "a\x1b\n\xffb", Exe: "/x y", UID: 3, User: "ann"} })
	b := AppendLine(nil, Line{Event: Began, Time: begin, NetNS: 1})
	b = AppendFlow(b, f)
	b = AppendLine(b, Line{Event: Known, Time: at(100)})
	whole := len(b)
	b = AppendFlow(b, had(UDP, 8, 3, 4))
	for _, text := range [][]byte{b, b[:whole], b[:whole+30]} {
		table := NewTable()
		if err := table.Read(bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		p := NewJoiner(table).Join(packet(1.5, udp_, us, them, 0, 0, 1), capture.Raw).Sender
		if p == nil || p.PID != 7 || p.Exe != "/x y" || p.User != "ann" || p.UID != 3 {
			t.Errorf("the owner is %+v", p)
		}
	}
	for _, text := range []string{"", "{}\n", "x\n", "\xd4\xc3\xb2\xa1", strings.Repeat("x", 1<<20)} {
		if err := NewTable().Read(strings.NewReader(text)); err != ErrNoFlows {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

func TestComments(t *testing.T) {
	curl := &Process{PID: 4242, Name: "curl", Exe: "/usr/bin/curl", UID: 1000, User: "alice"}
	odd := &Process{PID: 1, Name: "a b\n\x1b[2Jpid=7\u202e\xff", UID: 5}
	long := &Process{PID: 1, Name: "x", Exe: "/" + strings.Repeat("ü", 300)}
	for _, test := range []struct {
		owners Owners
		want   []string
	}{
		{Owners{}, nil},
		{Owners{Sender: curl}, []string{"process=curl pid=4242 user=alice exe=/usr/bin/curl"}},
		{Owners{Receiver: curl}, []string{"to process=curl pid=4242 user=alice exe=/usr/bin/curl"}},
		{Owners{Sender: odd}, []string{"process=a_b__[2Jpid=7__ pid=1 user=5"}},
	} {
		if got := test.owners.Comments(); strings.Join(got, "|") != strings.Join(test.want, "|") {
			t.Errorf("%q; want %q", got, test.want)
		}
	}
	for _, text := range (Owners{long, long}).Comments() {
		if len(text) > 200 || !utf8.ValidString(text) {
			t.Errorf("%d bytes: %q", len(text), text)
		}
	}
}

func TestChoice(t *testing.T) {
	o := Owners{Receiver: &Process{PID: 4242, Name: "curl", Exe: "/usr/bin/curl.real", UID: 1000, User: "alice"}}
	for choice, want := range map[Choice]bool{
		{}: true, {Name: "curl"}: true, {Name: "curl.real"}: true, {Name: "/usr/bin/curl.real"}: true, {Name: "cur"}: false,
		{PID: 4242}: true, {PID: 1}: false, {User: "alice"}: true, {User: "bob", PID: 4242}: false, {Name: "curl", User: "alice"}: true,
		{User: "1000"}: true, {User: "0"}: false, {User: "01000"}: false,
	} {
		if choice.Match(o) != want {
			t.Errorf("%+v: %v", choice, !want)
		}
	}
	if (Choice{PID: 1}).Match(Owners{}) || !(Choice{}).Match(Owners{}) {
		t.Error("a packet without an owner")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(AppendFlow(AppendLine(nil, Line{Event: Began, Time: begin}), had(UDP, 7, 1, 2)))
	f.Fuzz(func(_ *testing.T, b []byte) { NewTable().Read(bytes.NewReader(b)) })
}

// A look-up allocates nothing, whatever is in the table.
func TestJoinAllocatesNothing(t *testing.T) {
	j, p := NewJoiner(newTestTable(had(TCP, 7, 10, 20))), packet(15, tcp, us, them, ack, 1, 5)
	if n := testing.AllocsPerRun(100, func() { j.Join(p, capture.Raw) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// A full table takes less than 100 MB: each flow has ends of its own, and one process in ten is another.
func TestMemoryOfAFullTable(t *testing.T) {
	used := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := used()
	table := newTestTable()
	for n := range mostFlows {
		f := had(TCP, 1+n/10, float64(n), float64(n)+1)
		f.RemoteAddress = netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
		f.Name, f.Exe, f.User = "postfix-smtpd", fmt.Sprintf("/usr/lib/postfix/sbin/smtpd%d", n/1000), "postfix"
		f.Socket = uint64(n)
		table.Add(f)
	}
	if took := used() - before; took > 100<<20 {
		t.Errorf("%d flows take %d MB", mostFlows, took>>20)
	} else {
		t.Logf("%d flows take %d MB", mostFlows, took>>20)
	}
	runtime.KeepAlive(table)
}
