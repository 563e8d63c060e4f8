package sockets

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	links "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"diagsh/diag/netlink"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
)

// TestParseLine parses lines as Linux 6.18 writes them on a little-endian machine, lines of an
// older kernel, and broken ones.
func TestParseLine(t *testing.T) {
	at := netip.MustParseAddrPort
	for _, c := range []struct {
		kind   Kind
		family uint8
		line   string
		want   Socket
	}{
		{KindRaw, unix.AF_INET,
			" 103: 0100007F:0001 00000000:0000 07 00000010:00000D00 00:00000000 00000000    33        0 5805777 2 0000000047636a8a 5",
			Socket{Kind: KindRaw, State: Closed, Protocol: 1, Local: at("127.0.0.1:0"), Remote: at("0.0.0.0:0"),
				SendQ: 16, RecvQ: 0xd00, UID: 33,
				Inode: 5805777, Drops: 5, DropsKnown: true, Unknown: UnknownDevice}},
		{KindRaw, unix.AF_INET6,
			"  130: B80D0120000000000000000001000000:003A 00000000000000000000000001000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 5805779 2 0000000057e20209 0",
			Socket{Kind: KindRaw, IPv6: true, State: Established, Protocol: 58, Local: at("[2001:db8::1]:0"),
				Remote: at("[::1]:0"), Inode: 5805779,
				DropsKnown: true, Unknown: UnknownDevice}},
		{KindUDPLite, unix.AF_INET,
			"13255: 0100007F:B3D3 0200007F:0309 01 00000000:00000000 00:00000000 00000000     0        0 4294967298 2 00000000ddd56d29 0       ",
			Socket{Kind: KindUDPLite, State: Established, Local: at("127.0.0.1:46035"), Remote: at("127.0.0.2:777"),
				Inode: 2, DropsKnown: true, Unknown: UnknownDevice}},
		{KindUDP, unix.AF_INET,
			"   1: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 7 2 c1234567",
			Socket{Kind: KindUDP, State: Closed, Local: at("0.0.0.0:67"), Remote: at("0.0.0.0:0"), Inode: 7,
				Unknown: UnknownDevice}},
	} {
		if got, ok := parseLine(c.kind, c.family, []byte(c.line)); !ok || got != c.want {
			t.Errorf("%s\nis %+v, %v, not\n%+v", c.line, got, ok, c.want)
		}
		// Every field that is read matters, and no address parses as the other family's.
		f := strings.Fields(c.line)
		for i := range f {
			if slices.Contains([]int{0, 5, 6, 8, 10, 11}, i) {
				continue
			}
			broken := slices.Clone(f)
			broken[i] = "-x"
			if got, ok := parseLine(c.kind, c.family, []byte(strings.Join(broken, " "))); ok {
				t.Errorf("%v is %+v", broken, got)
			}
		}
		if got, ok := parseLine(c.kind, unix.AF_INET+unix.AF_INET6-c.family, []byte(c.line)); ok {
			t.Errorf("in the other family %s is %+v", c.line, got)
		}
	}
	for _, line := range []string{"",
		"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops",
		"0: 00000000 00000000 07 0:0 0:0 0 0 0 1 2 0 0", "0: 00000000:00001 00000000:0 07 0:0 0:0 0 0 0 1 2 0 0x",
		"0: 00000000:FFFFF 00000000:0 07 0:0 0:0 0 0 0 1 2 0 0", "0: 0000000G:1 00000000:0 07 0:0 0:0 0 0 0 1 2 0 0",
		"0: 00000000:1 00000000:0 100 0:0 0:0 0 0 0 1 2 0 0", "0: 00000000:1 00000000:0 07 00 0:0 0 0 0 1 2 0 0",
		"0: 00000000:1 00000000:0 07 1FFFFFFFF:0 0:0 0 0 0 1 2 0 0"} {
		if got, ok := parseLine(KindRaw, unix.AF_INET, []byte(line)); ok {
			t.Errorf("%q is %+v", line, got)
		}
	}
}

func TestParsePacketLine(t *testing.T) {
	for line, want := range map[string]Socket{
		"00000000aef9445e 3      3    0003   1     1 8320   7      5805781": {Kind: KindPacket, State: Closed,
			Type: PacketRaw, Protocol: 3, Device: 1, RecvQ: 8320,
			UID: 7, Inode: 5805781, Unknown: UnknownSendQ},
		"000000008b4f4244 3      2    88cc   -1    0 0      0      5805784": {Kind: KindPacket, State: Closed,
			Type: PacketDatagram, Protocol: 0x88cc,
			DeviceGone: true, Inode: 5805784, Unknown: UnknownSendQ},
	} {
		if got, ok := parsePacketLine([]byte(line)); !ok || got != want {
			t.Errorf("%s\nis %+v, %v, not\n%+v", line, got, ok, want)
		}
	}
	for _, line := range []string{"", "sk               RefCnt Type Proto  Iface R Rmem   User   Inode",
		"0 3 3 0003 1 1 0 0", "0 3 3 10003 1 1 0 0 1",
		"0 3 3 0003 x 1 0 0 1", "0 3 300 0003 1 1 0 0 1", "0 3 3 0003 1 1 -1 0 1", "0 3 3 0003 1 1 0 x 1",
		"0 3 3 0003 1 1 0 0 1x"} {
		if got, ok := parsePacketLine([]byte(line)); ok {
			t.Errorf("%q is %+v", line, got)
		}
	}
}

func FuzzTables(f *testing.F) {
	f.Add(
		[]byte(
			" 103: 0100007F:0001 00000000:0000 07 00000010:00000D00 00:00000000 00000000    33        0 5805777 2 0000000047636a8a 5"))
	f.Add([]byte("00000000aef9445e 3      3    0003   1     1 8320   7      5805781"))
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
			if s, ok := parseLine(KindRaw, family, line); ok &&
				(!s.Local.IsValid() || !s.Remote.IsValid() || s.Local.Port() != 0) {
				t.Errorf("%+v", s)
			}
		}
		parsePacketLine(line)
	})
}

// array encodes an attribute of numbers.
func array(numbers ...uint32) (b []byte) {
	for _, n := range numbers {
		b = binary.NativeEndian.AppendUint32(b, n)
	}
	return b
}

// TestRawDiag parses answers of raw_diag, which sends every state, and has the IP protocol in place
// of a port.
func TestRawDiag(t *testing.T) {
	message := make([]byte, messageSize)
	message[0], message[1], message[5] = unix.AF_INET, byte(Closed), 89
	copy(message[8:], []byte{192, 0, 2, 1})
	copy(message[24:], []byte{192, 0, 2, 9})
	message[7] = 77 // connect(2) took a port that means nothing
	binary.NativeEndian.PutUint32(message[40:], 3)
	binary.NativeEndian.PutUint32(message[56:], 512)
	binary.NativeEndian.PutUint32(message[68:], 4711)
	message = netlink.AppendAttribute(message, inetDiagMeminfo, array(1, 2, 3, 4, 5, 6, 7, 8, 9))
	want := Socket{Kind: KindRaw, State: Closed, Protocol: 89, Local: netip.MustParseAddrPort("192.0.2.1:0"),
		Remote: netip.MustParseAddrPort("192.0.2.9:0"),
		Device: 3, RecvQ: 512, Inode: 4711, Drops: 9, DropsKnown: true}
	for _, c := range []struct {
		q    Query
		want int
	}{{Query{}, 1}, {Query{States: []State{Closed}}, 1}, {Query{States: []State{Established}}, 0}} {
		n := 0
		if err := reader(KindRaw, c.q, func(s *Socket) error {
			if n++; *s != want {
				t.Errorf("%+v, not\n%+v", *s, want)
			}
			return nil
		})(0, message); err != nil || n != c.want {
			t.Errorf("%v: %d sockets, %v", c.q.States, n, err)
		}
	}
	if r := (Query{}).request(unix.AF_INET6, KindRaw); r[0] != unix.AF_INET6 || r[1] != unix.IPPROTO_RAW ||
		r[2] != 1<<(inetDiagMeminfo-1) || r[3] != 0 {
		t.Errorf("the request is % x", r[:8])
	}
}

// TestPacketReader parses complete, partial and broken answers.
func TestPacketReader(t *testing.T) {
	message := func(kind byte, attributes ...[]byte) []byte {
		b := make([]byte, packetMessageSize)
		b[0], b[1] = unix.AF_PACKET, kind
		binary.NativeEndian.PutUint16(b[2:], 0x806)
		binary.NativeEndian.PutUint32(b[4:], 9)
		return slices.Concat(append([][]byte{b}, attributes...)...)
	}
	attribute := func(name uint16, numbers ...uint32) []byte {
		return netlink.AppendAttribute(nil, name, array(numbers...))
	}
	memory := attribute(packetDiagMeminfo, 10, 0, 30, 0, 0, 0, 0, 0, 5)
	base := Socket{Kind: KindPacket, State: Closed, Type: PacketDatagram, Protocol: 0x806, Inode: 9}
	with := func(change func(s *Socket)) Socket { s := base; change(&s); return s }
	for _, c := range []struct {
		message []byte
		want    Socket
	}{
		{message(2, attribute(packetDiagInfo, 4, 0, 0, 0, 0, 0), attribute(packetDiagUID, 33), memory),
			with(func(s *Socket) {
				s.Device, s.UID, s.RecvQ, s.SendQ, s.Drops, s.DropsKnown = 4, 33, 10, 30, 5, true
			})},
		// which counts its drops elsewhere
		{message(2, attribute(packetDiagInfo, 4), attribute(packetDiagRXRing, 0, 0, 0, 0, 0, 0, 0), memory),
			with(func(s *Socket) { s.Device, s.RecvQ, s.SendQ = 4, 10, 30 })},
		{message(2, attribute(packetDiagInfo, 0xffffffff), memory),
			with(func(s *Socket) { s.DeviceGone, s.RecvQ, s.SendQ, s.Drops, s.DropsKnown = true, 10, 30, 5, true })},
		{message(2, attribute(packetDiagInfo, 4), attribute(packetDiagMeminfo, 10)),
			with(func(s *Socket) { s.Device, s.RecvQ, s.Unknown = 4, 10, UnknownSendQ })},
		{message(2), with(func(s *Socket) { s.Unknown = UnknownDevice | UnknownRecvQ | UnknownSendQ })},
		{message(2, []byte{200, 0, 0, 0}),
			with(func(s *Socket) { s.Unknown = UnknownDevice | UnknownRecvQ | UnknownSendQ })},
		{message(2, netlink.AppendAttribute(nil, packetDiagInfo, []byte{1})),
			with(func(s *Socket) { s.Unknown = UnknownDevice | UnknownRecvQ | UnknownSendQ })},
	} {
		n := 0
		read := packetReader(func(s *Socket) error {
			if n++; n == 2 && *s != c.want {
				t.Errorf("% x is\n%+v, not\n%+v", c.message, *s, c.want)
			}
			return nil
		})
		// No value of the previous message may stay.
		if err := errors.Join(read(0, message(10, attribute(packetDiagInfo, 0xffffffff), attribute(packetDiagRXRing, 1),
			memory)), read(0, c.message)); err != nil || n != 2 {
			t.Errorf("%d sockets, %v", n, err)
		}
		if err := read(0, c.message[:packetMessageSize-1]); err == nil {
			t.Error("a message that is cut off is taken")
		}
	}
	if r := packetRequest(); len(r) != 20 || r[0] != unix.AF_PACKET || r[1] != 0 ||
		binary.NativeEndian.Uint32(r[8:])&0x20 != 0 {
		t.Errorf("the request is % x, which asks for filters or for what the kernel refuses", r)
	}
}

func FuzzPacketReader(f *testing.F) {
	f.Add(netlink.AppendAttribute(make([]byte, packetMessageSize), packetDiagMeminfo, make([]byte, 36)))
	f.Fuzz(func(t *testing.T, b []byte) {
		packetReader(func(s *Socket) error {
			if s.Local.IsValid() || s.DeviceGone && s.Device != 0 {
				t.Errorf("%+v", s)
			}
			return nil
		})(0, b)
	})
}

// open makes a socket that the end of the test closes.
func open(t *testing.T, family, kind, protocol int) int {
	t.Helper()
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		t.Fatalf("socket(%d, %d, %d): %v", family, kind, protocol, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func networkOrder(n uint16) int { return int(n>>8 | n<<8) }

// listed returns the sockets of each, without what the tables lack.
func listed(t *testing.T, each func(yield func(*Socket) error) error) (all []string) {
	if err := each(func(s *Socket) error {
		if s.Kind == KindUDP {
			s.V6Only = false
		} else {
			s.Drops, s.DropsKnown, s.SendQ = 0, false, 0
		}
		s.Unknown, s.Cookie = 0, 0
		all = append(all, fmt.Sprintf("%+v", *s))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// TestTablesEqualSockDiag reads this kernel in both ways. Without packet_diag or udp_diag the
// result is the same, except for what the tables lack.
func TestTablesEqualSockDiag(t *testing.T) {
	ns := netnstest.New(t)
	ns.Do(t, func() {
		for n, kind := range []int{unix.SOCK_RAW, unix.SOCK_DGRAM, unix.SOCK_PACKET} {
			open(t, unix.AF_PACKET, kind, networkOrder(unix.ETH_P_ALL))
			if err := unix.Bind(open(t, unix.AF_PACKET, unix.SOCK_RAW, 0),
				&unix.SockaddrLinklayer{Protocol: uint16(networkOrder(uint16(0x88b5 + n))), Ifindex: 1}); err != nil {
				t.Fatal(err)
			}
		}
		for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
			for range 20 {
				bindAny(t, open(t, family, unix.SOCK_DGRAM, unix.IPPROTO_UDP), family)
			}
		}
		for _, c := range []struct {
			kind Kind
			want int
			each func(yield func(*Socket) error) error
		}{
			{KindPacket, 6, func(y func(*Socket) error) error { return eachInPacketTable(t.Context(), y) }},
			{KindUDP, 40, func(y func(*Socket) error) error {
				return errors.Join(eachInTable(t.Context(), Query{}, KindUDP, unix.AF_INET, y),
					eachInTable(t.Context(), Query{}, KindUDP, unix.AF_INET6, y))
			}},
		} {
			diag := listed(t, func(y func(*Socket) error) error {
				return Each(t.Context(), Query{Kinds: []Kind{c.kind}}, y)
			})
			if table := listed(t, c.each); len(diag) != c.want || !slices.Equal(diag, table) {
				t.Errorf("sock_diag has\n%s\nthe table\n%s", strings.Join(diag, "\n"), strings.Join(table, "\n"))
			}
		}
		err := eachLine(t.Context(), "nosuch", func([]byte) error { return nil })
		if !errors.Is(err, unix.ENOENT) {
			t.Errorf("a table that the kernel does not have: %v", err)
		}
		enough := errors.New("enough")
		for _, kind := range []Kind{KindUDP, KindPacket} {
			if err := Each(t.Context(), Query{Kinds: []Kind{kind}},
				func(*Socket) error { return enough }); !errors.Is(err, enough) {
				t.Errorf("an early end is %v", err)
			}
		}
	})
}

func bindAny(t *testing.T, fd, family int) {
	t.Helper()
	var address unix.Sockaddr = &unix.SockaddrInet4{}
	if family == unix.AF_INET6 {
		address = &unix.SockaddrInet6{}
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if err := unix.Bind(fd, address); err != nil {
		t.Fatal(err)
	}
}

// TestInterfaceOfPacketSocketGoes: a socket bound to an interface that was removed is not shown as
// bound to all.
func TestInterfaceOfPacketSocketGoes(t *testing.T) {
	ns := netnstest.New(t)
	ns.Veth(t, "left", "right")
	ns.Do(t, func() {
		link, err := links.LinkByName("left")
		if err != nil {
			t.Fatal(err)
		}
		left := link.Attrs().Index
		fd := open(t, unix.AF_PACKET, unix.SOCK_RAW, 0)
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: uint16(networkOrder(unix.ETH_P_ALL)),
			Ifindex: left}); err != nil {
			t.Fatal(err)
		}
		one := func() (found Socket) {
			if err := Each(t.Context(), Query{Kinds: []Kind{KindPacket}},
				func(s *Socket) error { found = *s; return nil }); err != nil {
				t.Fatal(err)
			}
			return found
		}
		if s := one(); int(s.Device) != left || s.DeviceGone {
			t.Errorf("%+v", s)
		}
		if err := links.LinkDel(link); err != nil {
			t.Fatal(err)
		}
		await.Until(t, "a socket whose interface is gone", func() bool { return one().DeviceGone })
		if s := one(); s.Device != 0 {
			t.Errorf("%+v", s)
		}
	})
}
