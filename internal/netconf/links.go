// Package netconf reads and changes the machine's network interfaces: MTU, VLANs, media, the
// loopback address, and whether ARP replies with multicast addresses are accepted. If the kernel
// refuses a change, the error has the kernel's reason (Reason).
package netconf

import (
	"errors"
	"net/netip"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A Link is a network interface.
type Link struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"` // as `ip -d link` says it (veth, vlan, tun); empty for a device of its own
	MAC      string `json:"mac,omitempty"`
	Up       bool   `json:"up"`
	Loopback bool   `json:"loopback"`
	MTU      int    `json:"mtu"`
	// MinMTU and MaxMTU are the driver's limits; 0 if it does not report any.
	MinMTU int    `json:"minMTU"`
	MaxMTU int    `json:"maxMTU"`
	Parent string `json:"parent,omitempty"` // the interface below a VLAN
	// the interface below one of any kind (IFLA_LINK); the other end of a veth
	Lower  string `json:"lower,omitempty"`
	Master string `json:"master,omitempty"` // the bridge, bond or the like that it is a port of
	VLAN   int    `json:"vlan,omitempty"`
	Media  *Media `json:"media,omitempty"` // nil if the driver knows none
	// Addresses are those of the link, without those of link scope (fe80::/10, 169.254.0.0/16).
	Addresses []netip.Prefix `json:"addresses"`
}

// Ethernet reports whether the link can carry VLANs and has media: it has a hardware address, and
// is neither the loopback interface nor a VLAN itself.
func (l Link) Ethernet() bool { return l.MAC != "" && !l.Loopback && l.VLAN == 0 }

// A State is everything on the machine that this package changes.
type State struct {
	Links []Link
	// RejectsMulticast reports whether this package's rule drops ARP replies with a multicast
	// hardware address.
	RejectsMulticast bool
}

// Link returns the link with a name.
func (s State) Link(name string) (Link, bool) {
	for _, l := range s.Links {
		if l.Name == name {
			return l, true
		}
	}
	return Link{}, false
}

// Loopback returns the addresses of the loopback interface other than 127.0.0.0/8 and ::1.
func (s State) Loopback() []netip.Addr {
	var list []netip.Addr
	for _, l := range s.Links {
		for _, p := range l.Addresses {
			if l.Loopback && !p.Addr().IsLoopback() {
				list = append(list, p.Addr())
			}
		}
	}
	return list
}

// Kernel is the running machine: the network namespace of the process.
type Kernel struct{}

// Read reads everything.
func (Kernel) Read() (State, error) {
	var s State
	var err error
	if s.Links, err = List(); err != nil {
		return s, err
	}
	s.RejectsMulticast, err = rejectsMulticast()
	return s, err
}

// List returns the interfaces in the order of their indexes.
//
// The library's LinkList leaves out the driver's limits of the MTU (IFLA_MIN_MTU and IFLA_MAX_MTU,
// Linux 4.20), so the messages are requested here and the library parses their common part.
func List() ([]Link, error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	request.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	messages, err := whole(func() ([][]byte, error) { return request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK) })
	if err != nil {
		return nil, err
	}
	var list []Link
	names := map[int]string{}
	below, above := map[string]int{}, map[string]int{}
	for _, m := range messages {
		link, err := netlink.LinkDeserialize(nil, m)
		if err != nil {
			return nil, err
		}
		a := link.Attrs()
		l := Link{Name: a.Name, Kind: link.Type(), MAC: a.HardwareAddr.String(), MTU: a.MTU,
			Up: a.RawFlags&unix.IFF_UP != 0, Loopback: a.RawFlags&unix.IFF_LOOPBACK != 0}
		if l.Kind == "device" {
			l.Kind = ""
		}
		if vlan, ok := link.(*netlink.Vlan); ok {
			l.VLAN = vlan.VlanId
		}
		if a.NetNsID < 0 { // otherwise the number is that of another namespace
			below[l.Name] = a.ParentIndex
		}
		above[l.Name] = a.MasterIndex
		if l.MinMTU, l.MaxMTU, err = limits(m); err != nil {
			return nil, err
		}
		names[a.Index] = a.Name
		list = append(list, l)
	}
	for i := range list {
		l := &list[i]
		l.Lower, l.Master = names[below[l.Name]], names[above[l.Name]]
		if l.VLAN != 0 {
			l.Parent = l.Lower
		}
	}
	readMedia(list)
	return list, readAddresses(list, names)
}

// readAddresses fills in the addresses of the links.
func readAddresses(list []Link, names map[int]string) error {
	all, err := whole(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return err
	}
	of := map[string][]netip.Prefix{}
	for _, a := range all {
		address, ok := netip.AddrFromSlice(a.IP)
		if address = address.Unmap(); !ok || address.IsLinkLocalUnicast() {
			continue
		}
		bits, _ := a.Mask.Size()
		name := names[a.LinkIndex]
		of[name] = append(of[name], netip.PrefixFrom(address, bits))
	}
	for i := range list {
		list[i].Addresses = append([]netip.Prefix{}, of[list[i].Name]...)
	}
	return nil
}

// whole reads a table until the kernel delivers it without a change in between (NLM_F_DUMP_INTR).
// If changes never end, it returns the last answer.
func whole[T any](dump func() ([]T, error)) (list []T, err error) {
	for range 5 {
		if list, err = dump(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return list, err
		}
	}
	return list, nil
}

// limits returns the least and greatest MTU in a message about a link.
func limits(message []byte) (least, most int, err error) {
	attributes, err := nl.ParseRouteAttr(message[unix.SizeofIfInfomsg:])
	if err != nil {
		return 0, 0, err
	}
	for _, a := range attributes {
		switch a.Attr.Type {
		case unix.IFLA_MIN_MTU:
			least = int(nl.NativeEndian().Uint32(a.Value))
		case unix.IFLA_MAX_MTU:
			most = int(nl.NativeEndian().Uint32(a.Value))
		}
	}
	return least, most, nil
}

// SetMTU changes the MTU of a link.
func (Kernel) SetMTU(name string, mtu int) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return gone(err)
	}
	return netlink.LinkSetMTU(link, mtu)
}

// AddVLAN makes a VLAN on a parent and brings it up. A kernel without 8021q refuses with
// EOPNOTSUPP.
func (Kernel) AddVLAN(name, parent string, id int) error {
	below, err := netlink.LinkByName(parent)
	if err != nil {
		return gone(err)
	}
	vlan := &netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: name, ParentIndex: below.Attrs().Index}, VlanId: id,
		VlanProtocol: netlink.VLAN_PROTOCOL_8021Q}
	if err := netlink.LinkAdd(vlan); err != nil {
		return err
	}
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	// On a parent that is down a VLAN cannot be up (ENETDOWN); it comes up with the parent.
	if err != nil && !errors.Is(err, unix.ENETDOWN) {
		return errors.Join(err, netlink.LinkDel(vlan))
	}
	return nil
}

// DeleteVLAN removes a VLAN.
func (Kernel) DeleteVLAN(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return gone(err)
	}
	if _, ok := link.(*netlink.Vlan); !ok {
		return unix.EINVAL
	}
	return netlink.LinkDel(link)
}

// gone returns ENODEV for a link that does not exist.
func gone(err error) error {
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return unix.ENODEV
	}
	return err
}

// Reason returns the kernel's reason for a refusal, in its own words (errno(3)), or "" if the error
// is not the kernel's.
func Reason(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return ""
	}
	return strings.TrimSpace(errno.Error())
}
