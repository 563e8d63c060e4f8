package netconf

import (
	"errors"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// loopback is the name that Linux gives the loopback interface.
const loopback = "lo"

// AddLoopback adds an address to the loopback interface, as /32 or /128. An existing address is not
// an error.
func (Kernel) AddLoopback(address netip.Addr) error {
	err := changeLoopback(address, netlink.AddrAdd)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// RemoveLoopback removes the address. A missing address is not an error.
func (Kernel) RemoveLoopback(address netip.Addr) error {
	err := changeLoopback(address, netlink.AddrDel)
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return nil
	}
	return err
}

func changeLoopback(address netip.Addr, change func(netlink.Link, *netlink.Addr) error) error {
	link, err := netlink.LinkByName(loopback)
	if err != nil {
		return gone(err)
	}
	bits := address.BitLen()
	return change(link, &netlink.Addr{IPNet: &net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(bits, bits)}})
}
