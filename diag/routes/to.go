package routes

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// A Way is how packets reach an address.
type Way struct {
	Interface string
	Gateway   netip.Addr // invalid if the address is directly connected
	Source    netip.Addr // source address of packets
}

// To asks the kernel for the way to an address, as `ip route get` does. It returns the kernel's
// error, such as ENETUNREACH.
func To(a netip.Addr) (Way, error) {
	var options netlink.RouteGetOptions
	if zone := a.Zone(); zone != "" {
		i, err := net.InterfaceByName(zone)
		if err != nil {
			return Way{}, err
		}
		options.OifIndex = i.Index
	}
	list, err := netlink.RouteGetWithOptions(a.AsSlice(), &options)
	if err != nil {
		return Way{}, err
	}
	var w Way
	for _, r := range list[:min(1, len(list))] {
		if i, err := net.InterfaceByIndex(r.LinkIndex); err == nil { // it may have gone since
			w.Interface = i.Name
		}
		w.Source, _ = netip.AddrFromSlice(r.Src)
		w.Gateway, _ = netip.AddrFromSlice(r.Gw)
		if via, ok := r.Via.(*netlink.Via); ok {
			w.Gateway, _ = netip.AddrFromSlice(via.Addr)
		}
	}
	w.Source, w.Gateway = w.Source.Unmap(), w.Gateway.Unmap()
	return w, nil
}
