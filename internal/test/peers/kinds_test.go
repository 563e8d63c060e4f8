package peers_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// kindsOpen are the sockets of TestOtherSocketsEqualSS.
type kindsOpen struct {
	t       *testing.T
	udplite bool // the kernel has it
	ring    int
}

func (k *kindsOpen) socket(family, kind, protocol int) int {
	k.t.Helper()
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		k.t.Fatalf("socket(%d, %d, %d): %v", family, kind, protocol, err)
	}
	k.t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func (k *kindsOpen) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// open makes sockets of every kind, with packets that nobody reads, and with such that found no
// room.
func (k *kindsOpen) open() {
	loopback, loopback6 := [4]byte{127, 0, 0, 1}, [16]byte{15: 1}
	small := func(fd int) int {
		k.must(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1)) // as small as can be
		return fd
	}
	order := func(n uint16) uint16 { return n>>8 | n<<8 }
	packet := func(kind int, protocol uint16, index int) int {
		fd := k.socket(unix.AF_PACKET, kind, 0)
		k.must(unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: order(protocol), Ifindex: index}))
		return fd
	}
	packet(unix.SOCK_RAW, unix.ETH_P_ALL, 1)
	small(packet(unix.SOCK_RAW, unix.ETH_P_ALL, 1))
	packet(unix.SOCK_DGRAM, unix.ETH_P_ARP, 0)
	packet(unix.SOCK_RAW, unix.ETH_P_LLDP, 1)
	k.socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	k.ring = k.socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	k.must(unix.SetsockoptTpacketReq(k.ring, unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq{Block_size: 4096, Block_nr: 1, Frame_size: 2048, Frame_nr: 2}))
	k.must(unix.Bind(k.ring, &unix.SockaddrLinklayer{Protocol: order(unix.ETH_P_IP), Ifindex: 1}))

	for n := range 300 { // more than the kernel writes into a page
		fd := k.socket(unix.AF_INET, unix.SOCK_RAW, 143+n%100)
		k.must(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, byte(n / 250), byte(n%250 + 1)}}))
	}
	k.must(unix.BindToDevice(k.socket(unix.AF_INET, unix.SOCK_RAW, 89), "lo"))
	send := k.socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW) // which only sends
	small(k.socket(unix.AF_INET, unix.SOCK_RAW, 253))
	k.socket(unix.AF_INET, unix.SOCK_RAW, 253)
	k.must(unix.Connect(k.socket(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6), &unix.SockaddrInet6{Addr: loopback6}))
	k.socket(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6)
	for range 100 {
		datagram := append([]byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, 253, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1}, make([]byte, 100)...)
		k.must(unix.Sendto(send, datagram, 0, &unix.SockaddrInet4{Addr: loopback}))
	}

	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE)
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return
	}
	k.must(err)
	unix.Close(fd)
	k.udplite = true
	k.must(unix.Bind(small(k.socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE)), &unix.SockaddrInet4{Addr: loopback, Port: 777}))
	k.must(unix.Bind(k.socket(unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE), &unix.SockaddrInet6{Port: 778}))
	client := k.socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE)
	k.must(unix.Connect(client, &unix.SockaddrInet4{Addr: loopback, Port: 777}))
	for range 100 {
		_, err := unix.Write(client, make([]byte, 100))
		k.must(err)
	}
}

// TestOtherSocketsEqualSS lists what netstat sockets lists of UDP-Lite, raw and packet sockets
// beside ss and /proc/net.
func TestOtherSocketsEqualSS(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ss")
	k := &kindsOpen{t: t}
	b.ns.Do(t, k.open)
	list := func(protocol string) []socketRow {
		return ours[socketRow](b, "netstat sockets numeric yes processes yes protocol "+protocol)
	}
	raw, packets, udplite := list("raw"), list("packet"), list("udplite")

	var mine []string
	for _, r := range raw {
		if r.Protocol == "raw6" && r.LocalAddress == "::" {
			r.LocalAddress, r.RemoteAddress = "*", "*" // as ss writes the wildcard of a socket that is not for IPv6 only, also of a raw one
		}
		mine = append(mine, r.canonical())
	}
	theirs := count(b.ss("raw", "-wanpH"))
	compare(t, theirs, count(mine), theirs, never)
	if len(raw) != 306 {
		t.Errorf("%d raw sockets, not 306", len(raw))
	}
	for protocol, members := range map[string][]string{"raw": {"localPort", "remotePort", "etherType"},
		"packet": {"localPort", "remotePort", "localAddress", "remoteAddress", "ipProtocol"}} {
		for _, r := range ours[map[string]any](b, "netstat sockets protocol "+protocol) {
			for _, member := range members {
				if value, there := r[member]; there {
					t.Errorf("a %s socket has the %s %v", protocol, member, value)
				}
			}
		}
	}
	names := map[string]bool{}
	for _, r := range raw {
		names[r.IPProtocolName] = true
	}
	for _, name := range []string{"ospf", "ipv6-icmp", "raw", ""} {
		if !names[name] {
			t.Errorf("no raw socket is of %q", name)
		}
	}

	mine = nil
	for _, r := range packets {
		mine = append(mine, r.packetLikeSS(t))
	}
	theirs = count(b.ssPackets())
	compare(t, theirs, count(mine), theirs, never)
	if len(packets) != 6 {
		t.Errorf("%d packet sockets, not 6", len(packets))
	}

	b.equalTables(raw, "raw", "raw6")
	if k.udplite {
		b.equalTables(udplite, "udplite", "udplite6")
		if len(udplite) != 3 {
			t.Errorf("%d sockets of UDP-Lite, not 3: %+v", len(udplite), udplite)
		}
		services := map[string]int{}
		for _, s := range ours[struct {
			Node string
			Port int
		}](b, "tcpservices udp yes") {
			services[row(s.Node, s.Port)]++
		}
		if services["UDPLITE 777"] != 1 || services["UDPLITE 778"] != 1 {
			t.Errorf("who waits at ports of UDP-Lite is not among %v", services)
		}
	} else if len(udplite) != 0 {
		t.Errorf("a kernel without UDP-Lite has %+v", udplite)
	}

	// What was dropped is counted, but for a ring, of which only its process knows.
	for what, rows := range map[string][]socketRow{"raw": raw, "packet": packets, "udplite": udplite} {
		if !slices.ContainsFunc(rows, func(r socketRow) bool { return r.Drops != nil && *r.Drops > 0 }) && (what != "udplite" || k.udplite) {
			t.Errorf("no %s socket dropped anything", what)
		}
	}
	statistics, err := unix.GetsockoptTpacketStats(k.ring, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil || statistics.Drops == 0 {
		t.Errorf("the ring lost %+v, %v", statistics, err)
	}
	for _, r := range packets {
		if (r.Drops == nil) != (*r.EtherType == unix.ETH_P_IP) {
			t.Errorf("drops of %+v", r)
		}
	}

	// All of them are in the one list, and each is its process's.
	self := strconv.Itoa(os.Getpid())
	if all, want := list("all process "+self), len(raw)+len(packets)+len(udplite); len(all) != want {
		t.Errorf("of this process are %d sockets, not %d", len(all), want)
	}
	for line, want := range map[string]int{"raw process " + self: len(raw), "packet user root": len(packets), "raw user nobody": 0, "raw port 89": 0, "packet port 3": 0,
		"raw state ESTABLISHED": 1, "packet state LISTEN": 0, "packet address 127.0.0.1": 0, "raw address 127.0.1.0/24": 50, "tcp process " + self: 0} {
		if got := len(list(line)); got != want {
			t.Errorf("protocol %s: %d sockets, not %d", line, got, want)
		}
	}
}

// packetLikeSS is a packet socket in the words of ss -0 -n -p.
func (r socketRow) packetLikeSS(t *testing.T) string {
	if r.EtherType == nil {
		t.Fatalf("%+v", r)
	}
	kind, protocol, device := "p_dgr", fmt.Sprintf("[%d]", *r.EtherType), r.Interface
	if r.Type == "raw" {
		kind = "p_raw"
	}
	if *r.EtherType == unix.ETH_P_ALL {
		protocol = "*"
	}
	if device == "" {
		device = "*"
	}
	return row(kind, r.RecvQ, r.SendQ, protocol, device, fmt.Sprintf("%s/%d", r.Process, r.PID))
}

// ssPackets reads what ss writes of packet sockets.
func (b *bed) ssPackets() (rows []string) {
	b.t.Helper()
	for line := range strings.Lines(b.run("ss", "-0anpH")) {
		f := strings.Fields(line)
		held := ssUser.FindStringSubmatch(line)
		if f[1] == "UNCONN" {
			f = slices.Delete(f, 1, 2)
		}
		if len(f) < 4 || held == nil {
			b.t.Fatalf("ss writes %q", line)
		}
		i := strings.LastIndexByte(f[3], ':')
		rows = append(rows, row(f[0], f[1], f[2], f[3][:i], f[3][i+1:], held[1]+"/"+held[2]))
	}
	return rows
}

// equalTables compares with what the kernel writes into /proc/net.
func (b *bed) equalTables(rows []socketRow, tables ...string) {
	b.t.Helper()
	var mine, theirs []string
	for _, r := range rows {
		mine = append(mine, r.tableLine())
	}
	for _, name := range tables {
		for i, line := range slices.Collect(strings.Lines(b.run("cat", "/proc/net/"+name))) {
			if i == 0 {
				continue
			}
			f := strings.Fields(line)
			hexadecimal := func(text string) string {
				n, _ := strconv.ParseUint(text, 16, 32)
				return strconv.FormatUint(n, 10)
			}
			sendQ, recvQ, _ := strings.Cut(f[4], ":")
			theirs = append(theirs, row(tableEnd(f[1]), tableEnd(f[2]), hexadecimal(f[3]), hexadecimal(recvQ), hexadecimal(sendQ), f[12]))
		}
	}
	peer := count(theirs)
	compare(b.t, peer, count(mine), peer, never)
}

// tableEnd reads an address and a port as the kernel writes them on a machine with the least byte
// first.
func tableEnd(text string) string {
	address, port, _ := strings.Cut(text, ":")
	n, _ := strconv.ParseUint(port, 16, 16)
	b, _ := hex.DecodeString(address)
	for i := 0; i < len(b); i += 4 {
		slices.Reverse(b[i : i+4])
	}
	a, _ := netip.AddrFromSlice(b)
	return fmt.Sprint(a, " ", n)
}

// tableLine is what equalTables compares.
func (r socketRow) tableLine() string {
	state := map[string]int{"ESTABLISHED": 1, "": 7}[r.State]
	local := max(r.LocalPort, r.IPProtocol) // which stands there as the port
	return row(fmt.Sprint(withoutZone(r.LocalAddress), " ", local), fmt.Sprint(withoutZone(r.RemoteAddress), " ", r.RemotePort), state, r.RecvQ, r.SendQ, *r.Drops)
}
