package netconf_test

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"diagsh/internal/netconf"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
)

var kernel netconf.Kernel

// inside makes a namespace with the two ends of a cable, left and right, and runs the test in it.
func inside(t *testing.T, f func()) {
	t.Helper()
	ns := netnstest.New(t)
	ns.Veth(t, "left", "right")
	ns.Do(t, f)
}

// tool runs a program in this namespace.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(netnstest.Tool(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func read(t *testing.T) netconf.State {
	t.Helper()
	s, err := kernel.Read()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMTU(t *testing.T) {
	inside(t, func() {
		if err := kernel.SetMTU("left", 9000); err != nil {
			t.Fatal(err)
		}
		l, ok := read(t).Link("left")
		said := tool(t, "ip", "-d", "link", "show", "left")
		if !ok || l.MTU != 9000 || l.MinMTU != 68 || l.MaxMTU != 65535 || !strings.Contains(said, " mtu 9000 ") ||
			!strings.Contains(said, "minmtu 68 maxmtu 65535") {
			t.Errorf("%+v, and ip says\n%s", l, said)
		}
		if err := kernel.SetMTU("left", 5); !errors.Is(err, unix.EINVAL) || netconf.Reason(err) != "invalid argument" {
			t.Errorf("an MTU of 5: %v", err)
		}
		if err := kernel.SetMTU("nothing", 1500); !errors.Is(err, unix.ENODEV) {
			t.Errorf("an interface that is not there: %v", err)
		}
	})
}

// TestRestoreBelowTheOldMTU: the old IPv6 MTU of a link is not restored if the link has a smaller
// MTU now.
func TestRestoreBelowTheOldMTU(t *testing.T) {
	inside(t, func() {
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(kernel.SetMTU("left", 1400))
		lost, err := kernel.ReadIPv6("left")
		must(err)
		must(kernel.SetMTU("left", 1210))
		must(kernel.SetMTU("left", 1300))
		if err := kernel.Restore("left", lost); err != nil {
			t.Errorf("from 1400 to 1210 to 1300: %v", err)
		}
		mtu, err := os.ReadFile("/proc/sys/net/ipv6/conf/left/mtu")
		if err != nil || strings.TrimSpace(string(mtu)) != "1300" {
			t.Errorf("IPv6 has an MTU of %q, %v", mtu, err)
		}
	})
}

func TestLoopback(t *testing.T) {
	inside(t, func() {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/lo/disable_ipv6", []byte("0"), 0); err != nil {
			netnstest.Missing(t, "this kernel has no IPv6")
		}
		for _, text := range []string{"192.0.2.10", "2001:db8::10"} {
			a := netip.MustParseAddr(text)
			for range 2 {
				if err := kernel.AddLoopback(a); err != nil {
					t.Fatal(err)
				}
			}
			if s, said := read(t).Loopback(), tool(t, "ip", "-br", "addr", "show", "lo"); !slices.Equal(s,
				[]netip.Addr{a}) || !strings.Contains(said, netip.PrefixFrom(a, a.BitLen()).String()) {
				t.Errorf("it reads %v, and ip says %s", s, said)
			}
			for range 2 {
				if err := kernel.RemoveLoopback(a); err != nil {
					t.Fatal(err)
				}
			}
			if s := read(t).Loopback(); len(s) != 0 {
				t.Errorf("it still has %v", s)
			}
		}
	})
}

// TestVLAN: on a kernel with 8021q the VLAN is made, up, and removed again; otherwise the kernel's
// refusal is returned and nothing is left.
func TestVLAN(t *testing.T) {
	inside(t, func() {
		err := kernel.AddVLAN("left.34", "left", 34)
		if errors.Is(err, unix.EOPNOTSUPP) {
			probe := exec.Command(netnstest.Tool(t, "ip"), "link", "add", "link", "left", "name", "probe", "type",
				"vlan", "id", "5")
			if out, err := probe.CombinedOutput(); err == nil {
				t.Errorf("ip can make a VLAN on this kernel: %s", out)
			}
			if _, there := read(t).Link("left.34"); there {
				t.Error("the refused VLAN is there")
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		l, _ := read(t).Link("left.34")
		if said := tool(t, "ip", "-d", "link", "show", "left.34"); l.VLAN != 34 || l.Parent != "left" || !l.Up ||
			!strings.Contains(said, "vlan protocol 802.1Q id 34") {
			t.Errorf("%+v, and ip says\n%s", l, said)
		}
		if err := kernel.DeleteVLAN("left"); err == nil {
			t.Error("an interface that is no VLAN was deleted")
		}
		if err := kernel.DeleteVLAN("left.34"); err != nil {
			t.Fatal(err)
		}
		if _, there := read(t).Link("left.34"); there {
			t.Error("the deleted VLAN is there")
		}
	})
}

// TestMedia uses a tap device, which accepts any list of supported media, to get a driver that
// supports what the test needs (tun_set_link_ksettings in drivers/net/tun.c).
func TestMedia(t *testing.T) {
	inside(t, func() {
		if err := netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "tap0"},
			Mode: netlink.TUNTAP_MODE_TAP}); err != nil {
			netnstest.Missing(t, "a tap device cannot be made: "+err.Error())
		}
		set, err := ethtool.NewEthtool()
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		const supported = 0b1101111 // 10 and 100 half and full, 1000 full, negotiation
		if _, err := set.CmdSet(&ethtool.EthtoolCmd{Supported: supported, Advertising: supported, Autoneg: 1,
			Speed: 1000, Duplex: 1}, "tap0"); err != nil {
			t.Fatal(err)
		}
		l, _ := read(t).Link("tap0")
		want := []string{"autoselect", "10baseT/Half", "10baseT/Full", "100baseT/Half", "100baseT/Full",
			"1000baseT/Full"}
		if l.Media == nil || l.Media.Current != netconf.Autoselect || !slices.Equal(l.Media.Supported, want) {
			t.Fatalf("a tap that negotiates is %+v", l.Media)
		}
		for medium, said := range map[string][]string{
			"100baseT/Half": {"Speed: 100Mb/s", "Duplex: Half", "Auto-negotiation: off"},
			"10baseT/Full":  {"Speed: 10Mb/s", "Duplex: Full", "Auto-negotiation: off"},
			"1000baseT/Full": {"Speed: 1000Mb/s", "Duplex: Full", "Auto-negotiation: on",
				"Advertised link modes:  1000baseT/Full\n"},
			"autoselect": {"Auto-negotiation: on", "Advertised link modes:  10baseT/Half 10baseT/Full"},
		} {
			if err := kernel.SetMedia("tap0", medium); err != nil {
				t.Errorf("%s: %v", medium, err)
			}
			l, _ := read(t).Link("tap0")
			text := tool(t, "ethtool", "tap0")
			for _, part := range said {
				if l.Media.Current != medium || !strings.Contains(text, part) {
					t.Errorf("set to %s it is %+v, and ethtool says, without %q,\n%s", medium, l.Media, part, text)
				}
			}
		}
		for _, wrong := range []string{"10000baseT/Full", "fast"} {
			if err := kernel.SetMedia("tap0", wrong); !errors.Is(err, unix.EOPNOTSUPP) {
				t.Errorf("%s: %v", wrong, err)
			}
		}
	})
}

// TestMulticast: the rule is as nft shows it, and the kernel obeys it: a reply with a multicast
// address is ignored.
func TestMulticast(t *testing.T) {
	inside(t, func() {
		tool(t, "ip", "addr", "add", "10.0.0.1/24", "dev", "left")
		wire := openWire(t, "right")
		group := net.HardwareAddr{0x03, 0xbf, 10, 0, 0, 2}
		single := net.HardwareAddr{0x02, 0, 0, 0, 0, 2}

		if err := kernel.SetMulticast(true); err != nil {
			t.Fatal(err)
		}
		rules := strings.Join(strings.Fields(tool(t, "nft", "list", "ruleset")), " ")
		const want = "table arp diagsh_multicast { chain input { type filter hook input priority filter; policy accept; " +
			"arp operation reply arp saddr ether & 01:00:00:00:00:00 == 01:00:00:00:00:00 drop } }"
		if rules != want || !read(t).RejectsMulticast {
			t.Errorf("nft says %s", rules)
		}
		// Both replies arrive in order; without the rule the first one would be accepted.
		if got := wire.resolves(t, "10.0.0.2", group, single); !bytes.Equal(got, single) {
			t.Errorf("with the rule, 10.0.0.2 is at %v", got)
		}
		if err := kernel.SetMulticast(false); err != nil {
			t.Fatal(err)
		}
		if rules := tool(t, "nft", "list", "ruleset"); rules != "" || read(t).RejectsMulticast {
			t.Errorf("nft still says %s", rules)
		}
		if got := wire.resolves(t, "10.0.0.3", group); !bytes.Equal(got, group) {
			t.Errorf("without the rule, 10.0.0.3 is at %v", got)
		}
	})
}

// A wire is the far end of the cable, on which the test answers.
type wire struct{ fd, index int }

func openWire(t *testing.T, name string) wire {
	t.Helper()
	link, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return wire{fd, link.Index}
}

// resolves makes the kernel ask for an address, sends the answers and returns the one that it
// accepts.
func (w wire) resolves(t *testing.T, address string, answers ...net.HardwareAddr) net.HardwareAddr {
	t.Helper()
	left, err := net.InterfaceByName("left")
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("udp", address+":9")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte("who is there?"))
	for _, sender := range answers {
		frame := slices.Concat[[]byte](left.HardwareAddr, net.HardwareAddr{2, 0, 0, 0, 0, 9},
			[]byte{0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2},
			sender, net.ParseIP(address).To4(), left.HardwareAddr, net.IPv4(10, 0, 0, 1).To4())
		if err := unix.Sendto(w.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: w.index, Protocol: 0x0608}); err != nil {
			t.Fatal(err)
		}
	}
	var found net.HardwareAddr
	await.Until(t, "an answer from "+address, func() bool {
		list, err := netlink.NeighList(left.Index, netlink.FAMILY_V4)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range list {
			if n.IP.String() == address && n.State == netlink.NUD_REACHABLE {
				found = n.HardwareAddr
			}
		}
		return found != nil
	})
	return found
}
