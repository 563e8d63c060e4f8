package netnstest

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Chain is a row of namespaces, each a router to the next, joined by Links. On link i, between
// node i and node i+1, the left end has the address 10.77.i.1 and fd77:0:0:i::1, the right end .2
// and ::2.
type Chain struct {
	Nodes []*Namespace
	Links []*Link
}

// NewChain makes a chain of so many nodes whose links delay each packet.
func NewChain(t testing.TB, nodes int, delay time.Duration) *Chain {
	t.Helper()
	c := &Chain{}
	for range nodes {
		n := New(t)
		n.Set(t, "net/ipv4/ip_forward", "1")
		n.Set(t, "net/ipv6/conf/all/forwarding", "1")
		// Peers that ask after each other shall get the same: no type of message has a limit,
		// neither for each host (icmp_ratelimit) nor for all together (icmp_msgs_burst). Of ICMPv6
		// one has to be named: 255, which nobody sends.
		n.Set(t, "net/ipv4/icmp_ratemask", "0")
		n.Set(t, "net/ipv6/icmp/ratemask", "255")
		c.Nodes = append(c.Nodes, n)
	}
	for i := range nodes - 1 {
		l := newLink(t, c.Nodes[i], "right", c.Nodes[i+1], "left", delay)
		c.Nodes[i].Address(t, "right", fmt.Sprintf("10.77.%d.1/24", i), fmt.Sprintf("fd77:0:0:%d::1/64", i))
		c.Nodes[i+1].Address(t, "left", fmt.Sprintf("10.77.%d.2/24", i), fmt.Sprintf("fd77:0:0:%d::2/64", i))
		c.Links = append(c.Links, l)
	}
	for i, n := range c.Nodes {
		for j := range c.Links {
			switch {
			case j > i:
				n.Route(t, fmt.Sprintf("10.77.%d.0/24", j), fmt.Sprintf("10.77.%d.2", i))
				n.Route(t, fmt.Sprintf("fd77:0:0:%d::/64", j), fmt.Sprintf("fd77:0:0:%d::2", i))
			case j < i-1:
				n.Route(t, fmt.Sprintf("10.77.%d.0/24", j), fmt.Sprintf("10.77.%d.1", i-1))
				n.Route(t, fmt.Sprintf("fd77:0:0:%d::/64", j), fmt.Sprintf("fd77:0:0:%d::1", i-1))
			}
		}
	}
	return c
}

// Address is the IPv4 address of the node with a number, counted from 0, as the first node sees it.
func (c *Chain) Address(node int) string { return fmt.Sprintf("10.77.%d.2", node-1) }

// Address6 is Address for IPv6.
func (c *Chain) Address6(node int) string { return fmt.Sprintf("fd77:0:0:%d::2", node-1) }

// A Link is a cable between two namespaces that the test holds in its hands: each packet is read
// here, kept for a while, and written to the other end. It needs no netem, which not every kernel
// has.
type Link struct {
	delay   time.Duration
	largest atomic.Int64 // a larger packet vanishes; 0: none does
	cut     atomic.Bool  // all packets vanish
	fate    atomic.Pointer[func(packet []byte) Fate]
}

// Fate is what becomes of a packet on a Link: the zero Fate is that it arrives.
type Fate struct {
	Lost  bool
	Late  time.Duration // behind others that come meanwhile
	Twice bool
}

// Decide has each packet be shown to a function, which may be called for both ways at once, and
// says what becomes of it.
func (l *Link) Decide(fate func(packet []byte) Fate) { l.fate.Store(&fate) }

// Lose makes packets that are larger vanish, as in a black hole; 0 lets all pass.
func (l *Link) Lose(larger int) { l.largest.Store(int64(larger)) }

// Cut makes all packets vanish, or none.
func (l *Link) Cut(cut bool) { l.cut.Store(cut) }

// newLink joins two namespaces by a pair of TUN interfaces (Documentation/networking/tuntap.rst).
func newLink(t testing.TB, left *Namespace, leftName string, right *Namespace, rightName string, delay time.Duration) *Link {
	t.Helper()
	return join(left.tun(t, leftName, unix.IFF_TUN), right.tun(t, rightName, unix.IFF_TUN), delay)
}

// Ethernet joins two namespaces by a pair of TAP interfaces: a Link on which neighbours have to ask
// for each other's address. Nobody looks first whether an address is somebody else's.
func Ethernet(t testing.TB, left *Namespace, leftName string, right *Namespace, rightName string, delay time.Duration) *Link {
	t.Helper()
	left.Set(t, "net/ipv6/conf/default/accept_dad", "0")
	right.Set(t, "net/ipv6/conf/default/accept_dad", "0")
	return join(left.tun(t, leftName, unix.IFF_TAP), right.tun(t, rightName, unix.IFF_TAP), delay)
}

func join(a, b *os.File, delay time.Duration) *Link {
	l := &Link{delay: delay}
	go l.carry(a, b)
	go l.carry(b, a)
	return l
}

// carry moves packets until an end is closed.
func (l *Link) carry(from, to *os.File) {
	type packet struct {
		due  time.Time
		data []byte
	}
	way := make(chan packet, 4096)
	go func() {
		for p := range way {
			time.Sleep(time.Until(p.due))
			to.Write(p.data)
		}
	}()
	defer close(way)
	for {
		buffer := make([]byte, 65536)
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if largest := int(l.largest.Load()); l.cut.Load() || largest > 0 && n > largest {
			continue
		}
		var fate Fate
		if decide := l.fate.Load(); decide != nil {
			fate = (*decide)(buffer[:n])
		}
		due := time.Now().Add(l.delay)
		switch {
		case fate.Lost:
		case fate.Late > 0:
			time.AfterFunc(l.delay+fate.Late, func() { to.Write(buffer[:n]) })
		default:
			way <- packet{due, buffer[:n]}
			if fate.Twice {
				way <- packet{due, buffer[:n]}
			}
		}
	}
}

// tun makes a TUN or TAP interface that is up, and ends with the test.
func (n *Namespace) tun(t testing.TB, name string, kind uint16) *os.File {
	t.Helper()
	var file *os.File
	n.Do(t, func() {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			Missing(t, "no TUN interface can be made: "+err.Error())
		}
		request, err := unix.NewIfreq(name)
		if err != nil {
			t.Fatal(err)
		}
		request.SetUint16(kind | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
			t.Fatalf("make the interface %s: %v", name, err)
		}
		file = os.NewFile(uintptr(fd), name)
		t.Cleanup(func() { file.Close() })
		up(t, name)
	})
	return file
}

// Address gives an interface addresses.
func (n *Namespace) Address(t testing.TB, name string, prefixes ...string) {
	t.Helper()
	n.Do(t, func() {
		link := linkNamed(t, name)
		for _, p := range prefixes {
			address, err := netlink.ParseAddr(p)
			if err != nil {
				t.Fatal(err)
			}
			address.Flags = unix.IFA_F_NODAD // nobody else is there
			if err := netlink.AddrAdd(link, address); err != nil {
				t.Fatalf("give %s the address %s: %v", name, p, err)
			}
		}
		awaitAddresses(t, link, prefixes)
	})
}

// awaitAddresses waits until IPv6 addresses of an interface that runs are this host's: the kernel
// makes them so in a work queue, after the call that gives them has returned (addrconf_dad_work in
// net/ipv6/addrconf.c), and meanwhile a router passes on what is sent to them.
func awaitAddresses(t testing.TB, link netlink.Link, prefixes []string) {
	t.Helper()
	if link.Attrs().RawFlags&unix.IFF_RUNNING == 0 {
		return
	}
	for _, p := range prefixes {
		address := netip.MustParsePrefix(p).Addr()
		for end := time.Now().Add(5 * time.Second); address.Is6(); time.Sleep(time.Millisecond) {
			if routes, err := netlink.RouteGet(address.AsSlice()); err == nil && len(routes) == 1 && routes[0].Type == unix.RTN_LOCAL {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s does not become an address of this host", p)
			}
		}
	}
}

// Route adds a route.
func (n *Namespace) Route(t testing.TB, destination, gateway string) {
	t.Helper()
	n.Do(t, func() {
		_, network, err := net.ParseCIDR(destination)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.RouteAdd(&netlink.Route{Dst: network, Gw: net.ParseIP(gateway)}); err != nil {
			t.Fatalf("route %s via %s: %v", destination, gateway, err)
		}
	})
}

// Set sets a kernel parameter of the namespace.
func (n *Namespace) Set(t testing.TB, name, value string) {
	t.Helper()
	n.Do(t, func() {
		if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	})
}

// MTU sets an interface's MTU.
func (n *Namespace) MTU(t testing.TB, name string, mtu int) {
	t.Helper()
	n.Do(t, func() {
		if err := netlink.LinkSetMTU(linkNamed(t, name), mtu); err != nil {
			t.Fatalf("MTU of %s: %v", name, err)
		}
	})
}

// Neighbour sets the link-layer address of a neighbour, so that nobody is asked for it.
func (n *Namespace) Neighbour(t testing.TB, name, address, linkAddress string) {
	t.Helper()
	n.Do(t, func() {
		link := linkNamed(t, name)
		hardware, err := net.ParseMAC(linkAddress)
		if err != nil {
			t.Fatal(err)
		}
		neighbour := &netlink.Neigh{LinkIndex: link.Attrs().Index, IP: net.ParseIP(address), HardwareAddr: hardware, State: unix.NUD_PERMANENT}
		if err := netlink.NeighSet(neighbour); err != nil {
			t.Fatalf("neighbour %s: %v", address, err)
		}
	})
}

// Connecting is a connection to a host that never answers, in the state SYN_SENT until the test
// ends.
func (n *Namespace) Connecting(t testing.TB, address string) {
	t.Helper()
	to := netip.MustParseAddrPort(address)
	n.Do(t, func() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}); err != unix.EINPROGRESS {
			t.Fatalf("connect to %s: %v", address, err)
		}
	})
}
