package process_test

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"diagsh/capture/process"
	"diagsh/internal/test/await"
)

// TestAddressesComeAndGo: the addresses that the machine receives at are followed while others come
// and go, and those of everybody are always among them.
func TestAddressesComeAndGo(t *testing.T) {
	b := newBed(t)
	var f *process.Filter
	var err error
	b.near.Do(t, func() { f, err = process.Open(wanted) })
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const later, later6 = "192.0.2.77", "2001:db8::77"
	for address, received := range map[string]bool{nearAddress: true, nearAddress6: true, "127.9.9.9": true, "192.0.2.255": true,
		"224.0.0.251": true, "255.255.255.255": true, "ff02::1": true, farAddress: false, farAddress6: false, later: false, later6: false} {
		if f.Receives(netip.MustParseAddr(address)) != received {
			t.Errorf("%s is received: %t", address, !received)
		}
	}
	for _, change := range []func(netlink.Link, *netlink.Addr) error{netlink.AddrAdd, netlink.AddrDel} {
		had := f.Receives(netip.MustParseAddr(later))
		b.near.Do(t, func() {
			link, err := netlink.LinkByName("net0")
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{later + "/32", later6 + "/128"} {
				address, err := netlink.ParseAddr(text)
				if err == nil {
					err = change(link, address)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		})
		await.Until(t, "the filter to hear of it", func() bool {
			return f.Receives(netip.MustParseAddr(later)) != had && f.Receives(netip.MustParseAddr(later6)) != had
		})
	}
}
