package netconftest

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"diagsh/internal/netconf"
	"diagsh/internal/test/netnstest"
)

var _ netconf.Network = (*Namespace)(nil)

// A Namespace is the kernel's network of a namespace, for whichever goroutine asks. A VLAN is a
// macvlan with a dot in its name, which more kernels have; Read says that it is VLAN 34 of left.
type Namespace struct {
	*netnstest.Namespace
	T *testing.T

	VLAN      func() error // instead of making a VLAN; nil: a macvlan is made
	Multicast func() error // instead of SetMulticast, the last step of a plan; nil: it does nothing
}

func within[T any](n *Namespace, f func() T) (v T) {
	n.Do(n.T, func() { v = f() })
	return v
}

func (n *Namespace) Read() (s netconf.State, err error) {
	n.Do(n.T, func() { s, err = netconf.Kernel{}.Read() })
	for i := range s.Links {
		if l := &s.Links[i]; l.Kind == "macvlan" && strings.Contains(l.Name, ".") {
			l.Parent, l.VLAN = "left", 34
		}
	}
	return s, err
}

func (n *Namespace) ReadIPv6(name string) (f netconf.Forgotten, err error) {
	n.Do(n.T, func() { f, err = netconf.Kernel{}.ReadIPv6(name) })
	return f, err
}

func (n *Namespace) ReadLink(name string) (f netconf.Forgotten, err error) {
	n.Do(n.T, func() { f, err = netconf.Kernel{}.ReadLink(name) })
	return f, err
}

func (n *Namespace) ReadSourced(a netip.Addr) (f netconf.Forgotten, err error) {
	n.Do(n.T, func() { f, err = netconf.Kernel{}.ReadSourced(a) })
	return f, err
}

func (n *Namespace) Restore(name string, f netconf.Forgotten) error {
	return within(n, func() error { return netconf.Kernel{}.Restore(name, f) })
}

func (n *Namespace) SameLink(name string, f netconf.Forgotten) bool {
	return within(n, func() bool { return netconf.Kernel{}.SameLink(name, f) })
}

func (n *Namespace) Recent(f netconf.Forgotten) bool { return netconf.Kernel{}.Recent(f) }

func (n *Namespace) Toward(a netip.Addr) string {
	return within(n, func() string { return netconf.Kernel{}.Toward(a) })
}

func (n *Namespace) SetMTU(name string, mtu int) error {
	return within(n, func() error { return netconf.Kernel{}.SetMTU(name, mtu) })
}

func (n *Namespace) AddVLAN(name, parent string, _ int) error {
	if n.VLAN != nil {
		return n.VLAN()
	}
	n.Run("ip", "link", "add", name, "link", parent, "type", "macvlan")
	n.Run("ip", "link", "set", name, "up")
	return nil
}

func (n *Namespace) DeleteVLAN(name string) error {
	n.Run("ip", "link", "del", name)
	return nil
}

func (n *Namespace) SetMedia(string, string) error { return nil }

func (n *Namespace) AddLoopback(a netip.Addr) error {
	return within(n, func() error { return netconf.Kernel{}.AddLoopback(a) })
}

func (n *Namespace) RemoveLoopback(a netip.Addr) error {
	return within(n, func() error { return netconf.Kernel{}.RemoveLoopback(a) })
}

func (n *Namespace) SetMulticast(bool) error {
	if n.Multicast == nil {
		return nil
	}
	return n.Multicast()
}

// Run runs a program in the namespace and returns what it printed.
func (n *Namespace) Run(args ...string) string {
	n.T.Helper()
	return within(n, func() string {
		out, err := exec.Command(netnstest.Tool(n.T, args[0]), args[1:]...).CombinedOutput()
		if err != nil {
			n.T.Errorf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	})
}
