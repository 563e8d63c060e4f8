package filter

import (
	"context"
	"errors"
	"net/netip"
	"testing"
)

// tableNames is a small resolver for tests of the compiler.
type tableNames struct{}

func fixedNames(testing.TB) Names { return tableNames{} }

func (tableNames) Hosts(_ context.Context, name string) ([]netip.Addr, error) {
	switch name {
	case "alpha":
		return []netip.Addr{netip.MustParseAddr("192.0.2.10")}, nil
	case "both":
		return []netip.Addr{netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8::7")}, nil
	}
	return nil, errors.New("no such host")
}

func (tableNames) Port(name, proto string) (uint16, bool) {
	switch {
	case name == "domain":
		return 53, true
	case name == "http" && proto == "tcp":
		return 80, true
	case name == "tftp" && proto == "udp":
		return 69, true
	}
	return 0, false
}

func (tableNames) Protocol(name string) (int, bool) { return 6, name == "tcp" }

func (tableNames) Network(name string) (uint32, bool) { return 10, name == "onenet" }

func (tableNames) Ether(name string) ([6]byte, bool) {
	return [6]byte{2, 0, 0, 0, 0, 0x0a}, name == "alpha"
}
