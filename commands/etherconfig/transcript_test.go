package etherconfig

import (
	"os"
	"testing"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/transcript"
)

func TestTranscripts(t *testing.T) {
	transcript.Run(t, "testdata", map[string]transcript.Scene{"": {Setup: tap}, "mtu-ipv6": {Setup: ipv6}})
}

// ipv6 gives eth0 an address.
func ipv6(t testing.TB, ns *netnstest.Namespace) {
	ns.Do(t, func() {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", []byte("0"), 0); err != nil {
			netnstest.Missing(t, "this kernel has no IPv6")
		}
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			t.Fatal(err)
		}
		address, err := netlink.ParseAddr("2001:db8::5/64")
		if err != nil {
			t.Fatal(err)
		}
		address.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(link, address); err != nil {
			t.Fatal(err)
		}
	})
}

// tap adds an interface whose media can be chosen. A tap device accepts all media that it is told
// it supports (tun_set_link_ksettings in drivers/net/tun.c). Here these are 10 and 100 Mbit/s, 1000
// with full duplex, and negotiation.
func tap(t testing.TB, ns *netnstest.Namespace) {
	ns.Do(t, func() {
		if err := netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "tap0"},
			Mode: netlink.TUNTAP_MODE_TAP}); err != nil {
			netnstest.Missing(t, "a tap device cannot be made: "+err.Error())
		}
		tool, err := ethtool.NewEthtool()
		if err != nil {
			t.Fatal(err)
		}
		defer tool.Close()
		const supported = 0b1101111
		if _, err := tool.CmdSet(&ethtool.EthtoolCmd{Supported: supported, Advertising: supported, Autoneg: 1,
			Speed: 1000, Duplex: 1}, "tap0"); err != nil {
			t.Fatal(err)
		}
	})
}
