package drops

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/udptest"
)

// A provoked is a way to have packets dropped.
type provoked struct {
	name   string
	do     func(*testing.T) int // returns how many
	reason string
	places []string // one of these, which the versions of the kernel call differently
	device string   // that they came by, or were to leave by
	socket bool     // of which they are
}

func TestProvoked(t *testing.T) {
	netnstest.NeedsRoot(t, "a network namespace")
	tool := netnstest.Tool(t, "nft")
	for _, p := range []provoked{
		{"closed TCP port", func(t *testing.T) int { return dial(t, "127.0.0.1:9", 5) }, "NO_SOCKET", []string{"tcp_v4_rcv"}, "lo", false},
		{"closed TCP port, IPv6", func(t *testing.T) int { return dial(t, "[::1]:9", 5) }, "NO_SOCKET", []string{"tcp_v6_rcv"}, "lo", false},
		{"closed UDP port", func(t *testing.T) int { return sendFrom(t, "127.0.0.1:9", 7) }, "NO_SOCKET", []string{"__udp4_lib_rcv", "udp_rcv"}, "lo", false},
		{"input", func(t *testing.T) int { return rule(t, tool, "input", "drop") },
			"NETFILTER_DROP", []string{"nft_do_chain", "nf_hook_slow"}, "lo", false},
		{"output", func(t *testing.T) int { return rule(t, tool, "output", "drop") },
			"NETFILTER_DROP", []string{"nft_do_chain", "nf_hook_slow"}, "lo", true},
		{"reject", func(t *testing.T) int { return rule(t, tool, "input", "reject") },
			"NETFILTER_DROP", []string{"nft_do_chain", "nf_hook_slow"}, "lo", false},
		{"receiver that does not read", func(t *testing.T) int { return udptest.Overfill(t) }, "SOCKET_RCVBUFF", []string{"udp_queue_rcv_one_skb"}, "lo", true},
		{"bad checksum", badChecksum, "TCP_CSUM", []string{"tcp_v4_rcv"}, "lo", false},
		{"no neighbour", silentNeighbour, "NEIGH_FAILED", []string{"neigh_invalidate", "arp_error_report"}, "left", true},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			ns := netnstest.New(t)
			if p.device != "lo" {
				ns.Veth(t, p.device, "right")
			}
			ns.Do(t, func() { provoke(t, p) })
		})
	}
}

// provoke has packets dropped, and looks that all of them are told and counted, and no other.
func provoke(t *testing.T, p provoked) {
	e := New(Options{})
	told := make(chan struct{}, 1000) // more than are dropped
	stop, err := e.Watch(func(d *Drop) {
		if d.Noise || d.Reason != p.reason {
			return
		}
		told <- struct{}{}
		if !slices.Contains(p.places, d.Place) || d.Interface != p.device || (d.Inode != 0) != p.socket {
			t.Errorf("%+v, inode %d: %x", d.Where, d.Inode, d.Data[:20])
		}
		if age := time.Since(d.Time); age < 0 || age > time.Minute {
			t.Errorf("it was dropped at %v", d.Time)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if blind, ok := e.Running(); !ok || len(blind) > 0 {
		t.Errorf("%v, %v", blind, ok)
	}
	packets := p.do(t)
	late := time.After(await.Patience)
	for n := range packets {
		select {
		case <-told:
		case <-late: // a neighbour that does not answer is given up after a while
			t.Fatalf("%d of %d are told", n, packets)
		}
	}
	counts, uncounted, err := e.Counts()
	if err != nil || uncounted > 0 {
		t.Fatal(uncounted, err)
	}
	n := uint64(0)
	for _, c := range counts {
		if c.Reason == p.reason && slices.Contains(p.places, c.Place) {
			n += c.Packets
		} else if !c.Noise && c.Reason != p.reason {
			t.Logf("%+v", c)
		}
	}
	if n != uint64(packets) {
		t.Errorf("%d are counted", n)
	}
	flows, err := e.Flows()
	if err != nil {
		t.Fatal(err)
	}
	n = 0
	for _, f := range flows {
		if f.Reason == p.reason {
			n += f.Packets
		}
	}
	if n != uint64(packets) {
		t.Errorf("%d are counted by flows: %+v", n, flows)
	}
	stop()
	if more := len(told); more > 0 {
		t.Errorf("%d more are told", more)
	}
}

func dial(t *testing.T, address string, times int) int {
	for range times {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			t.Fatalf("somebody listens at %s", address)
		}
	}
	return times
}

// sendFrom sends datagrams from one socket, which nobody told that they were refused.
func sendFrom(t *testing.T, address string, times int) int {
	to, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.ListenUDP("udp", &net.UDPAddr{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	for range times {
		if _, err := c.WriteToUDP([]byte("hello"), to); err != nil && !strings.Contains(err.Error(), "not permitted") {
			t.Fatal(err)
		}
	}
	return times
}

// rule has the firewall refuse datagrams, and sends 3.
func rule(t *testing.T, tool, chain, verdict string) int {
	text := fmt.Sprintf("add table inet t\nadd chain inet t c { type filter hook %s priority 0; }\n"+
		"add rule inet t c udp dport 9 %s\n", chain, verdict)
	c := exec.Command(tool, "-f", "-")
	c.Stdin = strings.NewReader(text)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	return sendFrom(t, "127.0.0.1:9", 3)
}

// badChecksum sends a segment whose checksum is wrong.
func badChecksum(t *testing.T) int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	packet := make([]byte, 40)
	packet[0], packet[3], packet[8], packet[9] = 0x45, 40, 64, unix.IPPROTO_TCP
	copy(packet[12:], []byte{127, 0, 0, 1, 127, 0, 0, 1})
	binary.BigEndian.PutUint16(packet[20:], 1000)
	binary.BigEndian.PutUint16(packet[22:], 9)
	packet[32], packet[33], packet[36] = 0x50, 2, 0xff
	if err := unix.Sendto(fd, packet, 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	return 1
}

// silentNeighbour sends a datagram to a neighbour that is not there.
func silentNeighbour(t *testing.T) int {
	for name, value := range map[string]string{"retrans_time_ms": "20", "mcast_solicit": "1"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/neigh/left/"+name, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	link, err := netlink.LinkByName("left")
	if err != nil {
		t.Fatal(err)
	}
	address, _ := netlink.ParseAddr("192.0.2.1/24")
	if err := netlink.AddrAdd(link, address); err != nil {
		t.Fatal(err)
	}
	return sendFrom(t, "192.0.2.9:9", 1)
}
