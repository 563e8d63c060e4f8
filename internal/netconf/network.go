package netconf

import "net/netip"

// A Network is what commits change, one thing at a time. Kernel is the machine's own; package
// netconftest has others for tests.
type Network interface {
	Read() (State, error)

	SetMTU(name string, mtu int) error
	AddVLAN(name, parent string, id int) error
	DeleteVLAN(name string) error
	SetMedia(name, medium string) error
	AddLoopback(netip.Addr) error
	RemoveLoopback(netip.Addr) error
	SetMulticast(reject bool) error

	// ReadIPv6, ReadLink and ReadSourced return what the kernel forgets with such a change, and
	// Restore restores it.
	ReadIPv6(name string) (Forgotten, error)
	ReadLink(name string) (Forgotten, error)
	ReadSourced(netip.Addr) (Forgotten, error)
	Restore(name string, f Forgotten) error

	// Recent reports whether the machine has not been restarted since f was read, and SameLink
	// whether name is still the link that f was read of.
	Recent(f Forgotten) bool
	SameLink(name string, f Forgotten) bool

	// Toward returns the name of the interface by which packets reach an address, or "" if none
	// does.
	Toward(netip.Addr) string
}

var _ Network = Kernel{}
