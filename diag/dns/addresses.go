// Package dns asks name servers: for the addresses of a host as every command needs them, and whole questions with all that an answer
// has.
package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

// A Family is a version of IP, or either.
type Family string

const (
	Any  Family = "any"
	IPv4 Family = "4"
	IPv6 Family = "6"
)

// Why a host has no address to send to.
var (
	ErrNotFound = errors.New("no such host")
	ErrFamily   = errors.New("the host has no address of that family")
	ErrNoAnswer = errors.New("no name server answered")
)

// Addresses are those of a host, a name or itself an address, IPv4 before IPv6. It asks as /etc/hosts and /etc/resolv.conf say. A name
// may be in the letters of any language.
func Addresses(ctx context.Context, host string, family Family) ([]netip.Addr, error) {
	host, err := ASCII(host)
	if err != nil {
		return nil, err
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if !family.Has(a.Unmap()) {
			return nil, ErrFamily
		}
		return []netip.Addr{a.Unmap()}, nil
	}
	all, err := Resolver.LookupNetIP(ctx, "ip", host)
	var answer *net.DNSError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &answer) && answer.IsNotFound:
		return nil, ErrNotFound
	default:
		return nil, ErrNoAnswer
	}
	var four, six []netip.Addr
	for _, a := range all {
		switch a = a.Unmap(); {
		case !family.Has(a):
		case a.Is4():
			four = append(four, a)
		default:
			six = append(six, a)
		}
	}
	if len(four)+len(six) == 0 {
		return nil, ErrFamily
	}
	return append(four, six...), nil
}

// Has says that an address is of the family.
func (f Family) Has(a netip.Addr) bool {
	return f != IPv4 && f != IPv6 || a.Is4() == (f == IPv4)
}
