// Package afpacket captures packets from network interfaces by AF_PACKET sockets with TPACKET_V3
// rings. The kernel writes packets into blocks of shared memory and hands over whole blocks.
//
// # A packet's way
//
// Each interface has its own socket and ring, because each may have its own link type and filter. A
// socket is opened for protocol 0, which receives nothing. It gets its ring and its filter, and is
// bound to interface and protocol last: no packet that the filter rejects is ever in the ring. With
// many interfaces, the first is bound when the last has its ring. Those that join later get theirs
// in another goroutine than the reader's: see Source.Add.
//
// The kernel hands a block over when it is full, or 40 to 80 ms after its first packet: two ticks
// of its timer must have seen the block. Read copies nothing. The packets it returns are in the
// ring, and their blocks go back to the kernel with the next Read.
//
// # Differences to the wire
//
//   - VLAN tags, which the kernel keeps beside the packet, are put back in their place.
//   - On a loopback interface every packet passes twice, going out and coming in.
//     The filter begins with instructions that reject the outgoing copy, so each
//     packet is captured once, as incoming.
//   - Packets of several interfaces are in the order of time, if the kernel's blocks
//     came within 100 ms of each other. When a ring fills, its packets are not held
//     back to keep the order.
//   - An interface that is taken down stays in the capture, which continues when the
//     interface comes up again. The same is true of one that is renamed. One that is
//     removed, or moved to another network namespace, is gone.
package afpacket

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"diagsh/capture"

	"golang.org/x/sys/unix"
)

// Interfaces returns all interfaces that can be captured, in the order of the kernel. It leaves out
// those of a kind that Open would refuse.
func Interfaces() ([]capture.Interface, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, errors.New("the interfaces of this machine cannot be listed")
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, errors.New("the interfaces of this machine cannot be asked for their kind")
	}
	defer unix.Close(fd)

	var interfaces []capture.Interface
	for _, link := range links {
		hardware, err := hardwareType(fd, link.Name)
		if err != nil {
			continue // removed since it was listed
		}
		linkType, ok := linkTypes[hardware]
		if !ok {
			continue
		}
		interfaces = append(interfaces, capture.Interface{
			Name:     link.Name,
			Index:    link.Index,
			LinkType: linkType,
			Loopback: link.Flags&net.FlagLoopback != 0,
		})
	}
	return interfaces, nil
}

// Resolve returns the interfaces of a Spec: capture.All, or names. The error is a
// *capture.NoSuchInterfaceError or *capture.UnsupportedInterfaceError if a name is to blame.
func Resolve(names []string) ([]capture.Interface, error) {
	all, err := Interfaces()
	if err != nil {
		return nil, err
	}
	if (capture.Options{Interfaces: names}).AllInterfaces() {
		return all, nil
	}
	found := make([]capture.Interface, 0, len(names))
	for _, name := range names {
		i := slices.IndexFunc(all, func(i capture.Interface) bool { return i.Name == name })
		if i < 0 {
			return nil, whyNot(name)
		}
		found = append(found, all[i])
	}
	return found, nil
}

// Present returns those interfaces of a Spec that exist now.
func Present(names []string) ([]capture.Interface, error) {
	all, err := Interfaces()
	if err != nil || (capture.Options{Interfaces: names}).AllInterfaces() {
		return all, err
	}
	return slices.DeleteFunc(all, func(i capture.Interface) bool { return !slices.Contains(names, i.Name) }), nil
}

// Prepare makes the calling thread one that moves packets: pinned to the given CPUs, if any, and
// with high priority. If the kernel refuses the priority it goes without, and calls refused, if not
// nil, with the reason.
func Prepare(cpus []int, refused func(error)) error {
	if err := capture.Urge(); err != nil && refused != nil {
		refused(err)
	}
	if len(cpus) == 0 {
		return nil
	}
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("the capture cannot be kept on the CPUs %v: %w", cpus, err)
	}
	return nil
}

// whyNot returns why an interface cannot be captured.
func whyNot(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return &capture.NoSuchInterfaceError{Name: name}
	}
	defer unix.Close(fd)
	hardware, err := hardwareType(fd, name)
	if err != nil {
		return &capture.NoSuchInterfaceError{Name: name}
	}
	return &capture.UnsupportedInterfaceError{Name: name, HardwareType: int(hardware)}
}

// linkTypes maps the kinds of interfaces, ARPHRD_ numbers, to link types of capture files.
var linkTypes = map[uint16]capture.LinkType{
	unix.ARPHRD_ETHER:    capture.Ethernet,
	unix.ARPHRD_LOOPBACK: capture.Ethernet,
	unix.ARPHRD_NONE:     capture.Raw, // tun, WireGuard
	unix.ARPHRD_RAWIP:    capture.Raw,
	unix.ARPHRD_TUNNEL:   capture.Raw,
	unix.ARPHRD_TUNNEL6:  capture.Raw,
	unix.ARPHRD_SIT:      capture.Raw,
}

// hardwareType asks for an interface's kind. It does not use /sys, which shows the namespace that
// was current when it was mounted.
func hardwareType(fd int, name string) (uint16, error) {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFHWADDR, request); err != nil {
		return 0, err
	}
	return request.Uint16(), nil // the family of the address: first in the answer
}
