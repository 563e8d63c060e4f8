// Package netconftest has networks that tests commit to: one without a kernel, and the kernel's in
// a namespace.
package netconftest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"diagsh/internal/netconf"
)

var _ netconf.Network = (*Fake)(nil)

// A Fake is a network without a kernel: lo, eth0 and eth1, and the VLANs eth0.34, eth0.35 and
// eth1.34.
type Fake struct {
	Mu    sync.Mutex // held during each change, Around included
	Links map[string]netconf.Link
	// Reject is whether ARP replies with multicast addresses are dropped.
	Reject bool
	// Around, unless nil, is called before and after each change; an error of the call before is
	// the kernel's refusal.
	Around func(change string, done bool) error
}

// NewFake returns one with an MTU of 1500 on both.
func NewFake() *Fake {
	n := &Fake{Links: map[string]netconf.Link{"lo": {Name: "lo", Loopback: true, MTU: 65536, Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8")}}}}
	for _, name := range []string{"eth0", "eth1"} {
		n.Links[name] = netconf.Link{Name: name, MAC: "02:00:00:00:00:01", MTU: 1500, MinMTU: 68, MaxMTU: 9000,
			Media: &netconf.Media{Current: netconf.Autoselect, Supported: []string{netconf.Autoselect, "100baseT/Full"}}}
	}
	return n
}

// Clone returns a network in the same state.
func (n *Fake) Clone() *Fake {
	c := &Fake{Links: map[string]netconf.Link{}, Reject: n.Reject}
	for name, l := range n.Links {
		l.Addresses = slices.Clone(l.Addresses)
		c.Links[name] = l
	}
	return c
}

func (n *Fake) Read() (netconf.State, error) {
	n.Mu.Lock()
	defer n.Mu.Unlock()
	s := netconf.State{RejectsMulticast: n.Reject}
	for _, name := range []string{"lo", "eth0", "eth1", "eth0.34", "eth0.35", "eth1.34"} {
		if l, ok := n.Links[name]; ok {
			s.Links = append(s.Links, l)
		}
	}
	return s, nil
}

// change changes a link, or everything.
func (n *Fake) change(what, name string, do func(*netconf.Link) error) error {
	n.Mu.Lock()
	defer n.Mu.Unlock()
	if n.Around != nil {
		if err := n.Around(what, false); err != nil {
			return err
		}
	}
	l, ok := n.Links[name]
	if !ok {
		return unix.ENODEV
	}
	if err := do(&l); err != nil {
		return err
	}
	if _, still := n.Links[name]; still {
		n.Links[name] = l
	}
	if n.Around != nil {
		n.Around(what, true)
	}
	return nil
}

func (n *Fake) SetMTU(name string, mtu int) error {
	return n.change(fmt.Sprint("mtu ", name, " ", mtu), name, func(l *netconf.Link) error {
		if l.VLAN != 0 && mtu > n.Links[l.Parent].MTU {
			return unix.ERANGE
		}
		for _, above := range n.Links {
			if above.Parent == name && above.MTU > mtu {
				return unix.EBUSY // the kernel would cut it, which no plan may rely on
			}
		}
		l.MTU = mtu
		return nil
	})
}

func (n *Fake) SetMedia(name, medium string) error {
	return n.change("media "+name+" "+medium, name, func(l *netconf.Link) error {
		m := *l.Media
		m.Current = medium
		l.Media = &m
		return nil
	})
}

func (n *Fake) AddVLAN(name, parent string, id int) error {
	return n.change("add "+name, parent, func(l *netconf.Link) error {
		if _, there := n.Links[name]; there {
			return unix.EEXIST
		}
		n.Links[name] = netconf.Link{Name: name, Kind: "vlan", MAC: l.MAC, Parent: parent, Lower: parent, VLAN: id, MTU: l.MTU}
		return nil
	})
}

func (n *Fake) DeleteVLAN(name string) error {
	return n.change("delete "+name, name, func(*netconf.Link) error {
		delete(n.Links, name)
		return nil
	})
}

func (n *Fake) AddLoopback(a netip.Addr) error {
	return n.change("loopback add "+a.String(), "lo", func(l *netconf.Link) error {
		l.Addresses = append(l.Addresses, netip.PrefixFrom(a, a.BitLen()))
		return nil
	})
}

func (n *Fake) RemoveLoopback(a netip.Addr) error {
	return n.change("loopback remove "+a.String(), "lo", func(l *netconf.Link) error {
		l.Addresses = slices.DeleteFunc(l.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
		return nil
	})
}

func (n *Fake) SetMulticast(reject bool) error {
	return n.change("multicast", "lo", func(*netconf.Link) error {
		n.Reject = reject
		return nil
	})
}

// A fake network forgets nothing.
func (n *Fake) ReadIPv6(string) (f netconf.Forgotten, err error)        { return f, nil }
func (n *Fake) ReadLink(string) (f netconf.Forgotten, err error)        { return f, nil }
func (n *Fake) ReadSourced(netip.Addr) (f netconf.Forgotten, err error) { return f, nil }
func (n *Fake) Recent(netconf.Forgotten) bool                           { return true }
func (n *Fake) SameLink(string, netconf.Forgotten) bool                 { return true }
func (n *Fake) Restore(string, netconf.Forgotten) error                 { return nil }
func (n *Fake) Toward(netip.Addr) string                                { return "eth0" }

// Summary returns the state of the network in a form that can be compared.
func (n *Fake) Summary() string {
	s, _ := n.Read()
	var b strings.Builder
	for _, l := range s.Links {
		fmt.Fprintf(&b, "%s mtu %d parent %q vlan %d addresses %v", l.Name, l.MTU, l.Parent, l.VLAN, l.Addresses)
		if l.Media != nil {
			fmt.Fprintf(&b, " media %s", l.Media.Current)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "multicast rejected %v\n", s.RejectsMulticast)
	return b.String()
}
