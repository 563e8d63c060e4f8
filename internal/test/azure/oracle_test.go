// Package azure holds the appliance to what unmodified clients of Azure need to run packet captures on it.
// It is a module of its own, so that the program and its tests link nothing of those clients; the go.work
// beside it joins it with the module of the appliance.
package azure

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

// A filter has the texts of a client.
type filter struct {
	Protocol   string `json:"protocol,omitempty"`
	Local      string `json:"localIPAddress,omitempty"`
	Remote     string `json:"remoteIPAddress,omitempty"`
	LocalPort  string `json:"localPort,omitempty"`
	RemotePort string `json:"remotePort,omitempty"`
}

// An ends is what an oracle reads of a packet: who sent it to whom.
type ends struct {
	protocol string // empty if it is neither TCP nor UDP; then there are no ports
	from, to netip.AddrPort
}

// matches reports whether a frame is for a capture with filters: one of them, or none at all, must want
// it. It is written from the reference alone, and shares nothing with what the appliance compiles.
func matches(filters []filter, frame []byte) bool {
	if len(filters) == 0 {
		return true
	}
	e, ok := endsOf(frame)
	for _, f := range filters {
		if ok && f.wants(e) {
			return true
		}
	}
	return false
}

// wants reports whether a filter wants a packet, whichever of its ends is the machine's.
func (f filter) wants(e ends) bool {
	if f.Protocol != "" && !strings.EqualFold(f.Protocol, "Any") && !strings.EqualFold(f.Protocol, e.protocol) {
		return false
	}
	sides := func(local, remote netip.AddrPort) bool {
		return hasAddress(f.Local, local.Addr()) && hasAddress(f.Remote, remote.Addr()) &&
			hasPort(f.LocalPort, local.Port()) && hasPort(f.RemotePort, remote.Port())
	}
	if e.protocol == "" && f.LocalPort+f.RemotePort != "" {
		return false
	}
	return sides(e.from, e.to) || sides(e.to, e.from)
}

// hasAddress reports whether a text of a filter has an address: an empty text has all.
func hasAddress(text string, a netip.Addr) bool {
	if text == "" {
		return true
	}
	if low, high, ranges := strings.Cut(text, "-"); ranges {
		if strings.Count(high, ".") == 2 {
			high += ".255" // as both sources write it
		}
		l, h := netip.MustParseAddr(low), netip.MustParseAddr(high)
		return l.Is4() == a.Is4() && l.Compare(a) <= 0 && a.Compare(h) <= 0
	}
	for one := range strings.SplitSeq(strings.TrimSuffix(text, ";"), ";") {
		if netip.MustParseAddr(one) == a {
			return true
		}
	}
	return false
}

// hasPort reports whether a text of a filter has a port: an empty text has all.
func hasPort(text string, port uint16) bool {
	if text == "" {
		return true
	}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			panic(err) // the texts are those of the tests
		}
		return n
	}
	if low, high, ranges := strings.Cut(text, "-"); ranges {
		return number(low) <= int(port) && int(port) <= number(high)
	}
	for one := range strings.SplitSeq(strings.TrimSuffix(text, ";"), ";") {
		if number(one) == int(port) {
			return true
		}
	}
	return false
}

// endsOf reads the ends of an Ethernet frame with IPv4 or IPv6 without options. What it reads as ports is none
// unless the protocol is one that has them.
func endsOf(frame []byte) (e ends, ok bool) {
	const ethernet = 14
	if len(frame) < ethernet {
		return e, false
	}
	ip, next, addresses, length := frame[ethernet:], 9, 12, 4
	header := 20
	switch binary.BigEndian.Uint16(frame[12:]) {
	case 0x0800:
	case 0x86dd:
		next, addresses, length, header = 6, 8, 16, 40
	default:
		return e, false
	}
	if len(ip) < header+4 {
		return e, false
	}
	e.protocol = map[byte]string{6: "TCP", 17: "UDP"}[ip[next]]
	from, _ := netip.AddrFromSlice(ip[addresses : addresses+length])
	to, _ := netip.AddrFromSlice(ip[addresses+length : addresses+2*length])
	e.from = netip.AddrPortFrom(from, binary.BigEndian.Uint16(ip[header:]))
	e.to = netip.AddrPortFrom(to, binary.BigEndian.Uint16(ip[header+2:]))
	return e, true
}

// The oracle itself, on what the documents say in words.
func TestOracle(t *testing.T) {
	local, remote := netip.MustParseAddrPort("10.0.0.3:40000"), netip.MustParseAddrPort("8.8.8.8:443")
	below := netip.MustParseAddrPort("1.1.1.0:443")
	for _, c := range []struct {
		what  string
		f     []filter
		frame []byte
		want  bool
	}{
		{"what is sent", source003, packet("TCP", local, remote, 1), true},
		{"what comes back", source003, packet("TCP", remote, local, 1), true},
		{"an address below the range", source003, packet("TCP", local, below, 1), false},
		{"another port", source003, packet("TCP", local, netip.AddrPortFrom(remote.Addr(), 81), 1), false},
		{"any UDP", source003, packet("UDP", below, below, 1), true},
		{"an address above three octets", source004, packet("TCP", local, netip.MustParseAddrPort("255.255.255.254:20"), 1), true},
		{"neither TCP nor UDP", source004, echo(1), false},
		{"any protocol of an address", []filter{{Protocol: "any", Remote: "8.8.8.8;"}}, echo(1), true},
		{"no port where there are none", []filter{{Remote: "8.8.8.8", LocalPort: "1-65535"}}, echo(1), false},
		{"all, without filters", nil, echo(1), true},
	} {
		if got := matches(c.f, c.frame); got != c.want {
			t.Errorf("%s: %t", c.what, got)
		}
	}
}
