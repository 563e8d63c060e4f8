package peers_test

import (
	"encoding/binary"
	"maps"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"diagsh/internal/test/await"
)

type queueRow struct {
	Protocol     string `json:"protocol"`
	Queued       int    `json:"queued"`
	Incomplete   int    `json:"incomplete"`
	Maximum      int    `json:"maximum"`
	LocalAddress string `json:"localAddress"`
	LocalPort    int    `json:"localPort"`
}

func TestQueuesEqualSS(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ss")
	var v4, v6 net.Listener
	b.ns.Do(t, func() {
		v4, v6 = accepting(t, "tcp4", "127.0.0.1:0"), accepting(t, "tcp6", "[::1]:0")
		accepting(t, "tcp", ":0")
		for range 7 { // which wait to be accepted
			for _, l := range []net.Listener{v4, v6} {
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
			}
		}
	})
	var mine []string
	for _, r := range ours[queueRow](b, "netstat queues numeric yes") {
		local := r.LocalAddress
		if r.Protocol == "tcp46" {
			local = "*"
		}
		mine = append(mine, row(r.Queued, r.Maximum, local, r.LocalPort))
		if want := 7; r.LocalAddress != "::" && (local == "127.0.0.1" || local == "::1") && r.Queued != want && r.Queued != 0 {
			t.Errorf("%d wait, not %d", r.Queued, want)
		}
	}
	var theirs []string
	for line := range strings.Lines(b.run("ss", "-ltnH")) {
		f := strings.Fields(line)
		local, port := ssEndpoint(f[3])
		theirs = append(theirs, row(f[1], f[2], local, port))
	}
	compare(t, count(theirs), count(mine), count(theirs), never)
}

// TestIncomplete sends SYNs from addresses that never answer, to listeners that are told apart by
// their address alone.
func TestIncomplete(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ss")
	var exact, wildcard, both net.Listener
	b.ns.Do(t, func() {
		addLoopback(t, "192.0.2.1/32")
		addLoopback(t, "192.0.2.2/32")
		deadEnd(t)
		exact = sharing(t, "192.0.2.1:0")
		wildcard = sharing(t, "0.0.0.0:"+port(exact))
		both = accepting(t, "tcp", "[::]:0")
		for i := range 5 {
			syn(t, "192.0.2.1", exact, i)
		}
		for i := range 3 {
			syn(t, "192.0.2.2", exact, i)
		}
		syn(t, "192.0.2.2", both, 0)
	})
	want := map[string]int{"192.0.2.1 " + port(exact): 5, "0.0.0.0 " + port(wildcard): 3, ":: " + port(both): 1}
	// The kernel works on packets on the loopback interface in their order, but after send returns.
	var got map[string]int
	var peer int
	if !await.Within(await.Patience, func() bool {
		got = map[string]int{}
		for _, r := range ours[queueRow](b, "netstat queues numeric yes") {
			if key := row(r.LocalAddress, r.LocalPort); want[key] > 0 {
				got[key] = r.Incomplete
			}
		}
		peer = strings.Count(b.run("ss", "-tanH", "state", "syn-recv"), "\n")
		return maps.Equal(got, want) && peer == 9
	}) {
		t.Fatalf("incomplete connections are %v, not %v; ss has %d", got, want, peer)
	}
	if text := b.Local("netstat queues numeric yes").Out; !strings.Contains(text, "0/5/") || !strings.Contains(text, "192.0.2.1."+port(exact)) {
		t.Errorf("the text has no 0/5/N:\n%s", text)
	}
}

// sharing listens at a port that others listen at too.
func sharing(t *testing.T, address string) net.Listener {
	t.Helper()
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	}}
	l, err := config.Listen(t.Context(), "tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func addLoopback(t *testing.T, address string) {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	a, err := netlink.ParseAddr(address)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.AddrAdd(lo, a); err != nil {
		t.Fatal(err)
	}
}

// deadEnd makes 198.51.100.0/24 a network in which nobody answers. The address of 198.51.100.77 on
// the link is known: when nobody answers for that the kernel gives up what is half open, after
// three seconds (tcp_req_err in net/ipv4/tcp_ipv4.c, Linux 6.18).
func deadEnd(t *testing.T) {
	t.Helper()
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "dead"}, PeerName: "end"}
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dead", "end"} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(l); err != nil {
			t.Fatal(err)
		}
		if name == "dead" {
			a, _ := netlink.ParseAddr("198.51.100.1/24")
			if err := netlink.AddrAdd(l, a); err != nil {
				t.Fatal(err)
			}
			neighbour := &netlink.Neigh{LinkIndex: l.Attrs().Index, IP: net.IPv4(198, 51, 100, 77),
				HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 77}, State: unix.NUD_PERMANENT}
			if err := netlink.NeighSet(neighbour); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// syn sends the beginning of a handshake from 198.51.100.0/24.
func syn(t *testing.T, to string, l net.Listener, n int) {
	t.Helper()
	from, dst := netip.MustParseAddr("198.51.100.77").As4(), netip.MustParseAddr(to).As4()
	p := make([]byte, 40)
	p[0], p[8], p[9] = 0x45, 64, unix.IPPROTO_TCP
	copy(p[12:], from[:])
	copy(p[16:], dst[:])
	tcp := p[20:]
	binary.BigEndian.PutUint16(tcp, uint16(10000+n))
	binary.BigEndian.PutUint16(tcp[2:], uint16(l.Addr().(*net.TCPAddr).Port))
	tcp[12], tcp[13] = 5<<4, 2
	binary.BigEndian.PutUint16(tcp[14:], 1000)
	sum := uint32(unix.IPPROTO_TCP + len(tcp))
	for _, part := range [][]byte{p[12:20], tcp} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(tcp[16:], ^uint16(sum))
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, p, 0, &unix.SockaddrInet4{Addr: dst}); err != nil {
		t.Fatal(err)
	}
}
