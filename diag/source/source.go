// Package source selects the source of a probe: an interface or an address of this host, or the
// kernel's choice.
package source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/diag/interfaces"
)

// A Source is where to send from. The zero value leaves it to the kernel.
type Source struct {
	Interface string
	Address   netip.Addr
}

// ErrUnknown reports that a text names neither an interface nor an address of this host.
var ErrUnknown = errors.New("neither an interface nor an address of this host")

// An UnusableError reports that an address of this host cannot be a source now.
type UnusableError struct {
	Address   netip.Addr
	Duplicate bool // another host on the link has it too; otherwise that is not known yet
}

func (e *UnusableError) Error() string { return e.Address.String() + " cannot be sent from" }

// Parse parses a Source: the name of an interface, an address of this host, or one of the words for
// the kernel's choice.
func Parse(text string) (Source, error) {
	if text == "" || strings.EqualFold(text, "auto") {
		return Source{}, nil
	}
	if a, err := netip.ParseAddr(text); err == nil {
		if a.Zone() != "" {
			a = a.WithZone(interfaces.RealName(a.Zone()))
		}
		return Source{Address: a.Unmap(), Interface: a.Zone()}, held(a.Unmap())
	}
	text = interfaces.RealName(text)
	if _, err := net.InterfaceByName(text); err != nil {
		return Source{}, ErrUnknown
	}
	return Source{Interface: text}, nil
}

// held returns ErrUnknown for an address that no interface has. It returns an *UnusableError for
// one that another host has too, or may have.
func held(a netip.Addr) error {
	all, err := interfaces.List(context.Background()) // which waits for the kernel alone
	if err != nil {
		return fmt.Errorf("addresses of this host: %w", err)
	}
	var unusable error
	zone := a.Zone()
	a = a.WithZone("")
	for _, i := range all {
		if zone != "" && zone != i.Name && zone != strconv.Itoa(i.Index) {
			continue
		}
		for _, p := range i.Addresses {
			if p.Addr() != a {
				continue
			}
			if states := i.States(a); slices.Contains(states, interfaces.Duplicate) ||
				slices.Contains(states, interfaces.Tentative) {
				unusable = &UnusableError{a, slices.Contains(states, interfaces.Duplicate)}
				continue
			}
			return nil
		}
	}
	if unusable != nil {
		return unusable
	}
	if a.Is4() && a.IsLoopback() {
		return nil // all of 127.0.0.0/8 is this host
	}
	return ErrUnknown
}

// An Interface is an interface that can be chosen.
type Interface struct {
	Name      string
	Up        bool
	Addresses []string
}

// Interfaces lists those of this host.
func Interfaces() ([]Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var list []Interface
	for _, i := range all {
		entry := Interface{Name: i.Name, Up: i.Flags&net.FlagUp != 0}
		addresses, _ := i.Addrs() // none for an interface that has just gone
		for _, a := range addresses {
			entry.Addresses = append(entry.Addresses, a.String())
		}
		list = append(list, entry)
	}
	return list, nil
}

// Bind makes a socket send from this source. Call it before connecting the socket.
func (s Source) Bind(fd int) error {
	if s.Interface != "" {
		if err := unix.BindToDevice(fd, s.Interface); err != nil {
			return err
		}
	}
	if !s.Address.IsValid() {
		return nil
	}
	return unix.Bind(fd, Sockaddr(netip.AddrPortFrom(s.Address, 0)))
}

// Dialer returns a dialer that uses this source.
func (s Source) Dialer(timeout time.Duration, network string) *net.Dialer {
	d := &net.Dialer{Timeout: timeout}
	if s.Address.IsValid() {
		if strings.HasPrefix(network, "udp") {
			d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.Address, 0))
		} else {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.Address, 0))
		}
	}
	if s.Interface != "" {
		d.Control = func(_, _ string, c syscall.RawConn) error {
			var bound error
			if err := c.Control(func(fd uintptr) { bound = unix.BindToDevice(int(fd), s.Interface) }); err != nil {
				return err
			}
			return bound
		}
	}
	return d
}

// Sockaddr converts an address to the form that the socket calls take.
func Sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	sa := &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
	if i, err := net.InterfaceByName(a.Addr().Zone()); err == nil {
		sa.ZoneId = uint32(i.Index)
	}
	return sa
}

// Scoped adds to a link-local address its interface (RFC 4007), by default that of the source. ok
// is false if neither has one.
func (s Source) Scoped(a netip.Addr) (scoped netip.Addr, ok bool) {
	if !a.Is6() || !a.IsLinkLocalUnicast() && !a.IsLinkLocalMulticast() || a.Zone() != "" {
		return a, true
	}
	return a.WithZone(s.Interface), s.Interface != ""
}
