package filter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// addresses looks a host up.
func (g *generator) addresses(name string) []netip.Addr {
	if a, err := netip.ParseAddr(name); err == nil && a.Zone() == "" {
		return []netip.Addr{a.Unmap()}
	}
	ctx, cancel := context.WithTimeout(g.ctx, lookupLimit)
	defer cancel()
	found, err := g.resolver().Hosts(ctx, name)
	if err != nil {
		g.failHint(suggestion(name), "host %q cannot be looked up: %s", name, lookupFault(err))
	}
	if len(found) == 0 {
		g.failHint(suggestion(name), "host %q is not known", name)
	}
	return found
}

// lookupFault says why a name was not found. The resolver's own text names servers and sockets,
// which are none of the users' business.
func lookupFault(err error) string {
	var said HostFault
	var fault *net.DNSError
	switch {
	case errors.As(err, &said):
		return string(said)
	case errors.As(err, &fault) && fault.IsNotFound:
		return "there is no such name"
	case errors.As(err, &fault) && fault.IsTimeout, errors.Is(err, context.DeadlineExceeded):
		return "no name server answered in time"
	}
	return "no name server can be reached"
}

// portName looks a service up. A name that TCP and UDP both know stands for the port of any
// transport, a name that one of them knows for that one only.
func (g *generator) portName(name string, q qualifiers) ports {
	p := ports{transport: g.transport(q)}
	port, transport, ok := g.service(name)
	if !ok {
		hint := ""
		if _, _, isRange := scanRange(name); isRange {
			hint = fmt.Sprintf(`a range is written "portrange %s"`, name)
		}
		g.failHint(hint, "port %q is not known", name)
	}
	p.low, p.high = port, port
	p.transport = g.combine(name, p.transport, transport)
	return p
}

// combine checks the transport of a service against that of the qualifiers.
func (g *generator) combine(name string, wanted, has uint32) uint32 {
	switch {
	case wanted == ipAny:
		return has
	case has == ipAny || has == wanted:
		return wanted
	}
	names := map[uint32]string{ipTCP: "tcp", ipUDP: "udp"}
	g.fail("%q is a port of %s only", name, names[has])
	return 0
}

// service looks a port up by name, or by number for a name that is one.
func (g *generator) service(name string) (port, transport uint32, ok bool) {
	if n, err := strconv.ParseUint(name, 10, 16); err == nil {
		return uint32(n), ipAny, true
	}
	tcp, isTCP := g.resolver().Port(name, "tcp")
	udp, isUDP := g.resolver().Port(name, "udp")
	switch {
	case isTCP && isUDP && tcp == udp:
		return uint32(tcp), ipAny, true
	case isTCP:
		return uint32(tcp), ipTCP, true
	case isUDP:
		return uint32(udp), ipUDP, true
	}
	return 0, 0, false
}

// portRange reads a range: two numbers and whatever follows them, or two names.
func (g *generator) portRange(s string, q qualifiers) ports {
	p := ports{ranged: true, transport: g.transport(q)}
	low, high, ok := scanRange(s)
	has := uint32(ipAny)
	if !ok {
		first, second, found := strings.Cut(s, "-")
		if !found {
			g.fail("%q is not a range of ports such as 6000-6010", s)
		}
		var hasLow, hasHigh uint32
		if low, hasLow, ok = g.service(first); !ok {
			g.fail("port %q is not known", first)
		}
		if high, hasHigh, ok = g.service(second); !ok {
			g.fail("port %q is not known", second)
		}
		if has = hasLow; hasLow != hasHigh {
			has = ipAny
		}
	}
	if low > 65535 || high > 65535 {
		g.fail("port %d is above 65535", max(low, high))
	}
	p.transport = g.combine(s, p.transport, has)
	p.low, p.high = min(low, high), max(low, high)
	return p
}

// scanRange reads two decimal numbers with a hyphen between them and ignores the rest, as libpcap
// does: 80-90-100 is 80-90.
func scanRange(s string) (low, high uint32, ok bool) {
	first, rest, found := strings.Cut(s, "-")
	if !found {
		return 0, 0, false
	}
	end := 0
	for end < len(rest) && isDigit(rest[end]) {
		end++
	}
	a, errA := strconv.ParseUint(first, 10, 32)
	b, errB := strconv.ParseUint(rest[:end], 10, 32)
	return uint32(a), uint32(b), errA == nil && errB == nil
}

// protocolName looks up the number of a protocol above Ethernet, IP or OSI.
func (g *generator) protocolName(name string, over protocol) uint32 {
	switch over {
	case protoDefault, protoIP, protoIPv6:
		if n, ok := g.resolver().Protocol(name); ok {
			return uint32(n)
		}
		g.fail("protocol %q is not known above IP", name)
	case protoLink:
		if n, ok := etherProtocolNamed(name); ok {
			return n
		}
		g.fail("protocol %q is not known above Ethernet", name)
	case protoISO:
		switch name {
		case "esis":
			return osiESIS
		case "isis":
			return osiISIS
		case "clnp":
			return osiCLNP
		}
		g.fail("protocol %q is not known above OSI; esis, isis and clnp are", name)
	}
	g.fail("%q is not known to carry protocols with names; use a number", over)
	return 0
}

// etherProtocolNamed returns the Ethernet type or service access point that a name stands for.
// There is no table on the system for these.
func etherProtocolNamed(name string) (uint32, bool) {
	switch name {
	case "ip":
		return etherIP, true
	case "ip6":
		return etherIPv6, true
	case "arp":
		return etherARP, true
	case "rarp":
		return etherRARP, true
	case "atalk":
		return etherATalk, true
	case "aarp":
		return etherAARP, true
	case "decnet":
		return etherDECnet, true
	case "lat":
		return etherLAT, true
	case "sca":
		return etherSCA, true
	case "moprc":
		return etherMOPRC, true
	case "mopdl":
		return etherMOPDL, true
	case "pup":
		return 0x0200, true
	case "sprite":
		return 0x0500, true
	case "loopback":
		return 0x9000, true
	case "vexp":
		return 0x805b, true
	case "vprod":
		return 0x805c, true
	case "iso":
		return sapISO, true
	case "stp":
		return sapSTP, true
	case "ipx":
		return sapIPX, true
	case "netbeui":
		return sapNetBEUI, true
	}
	return 0, false
}

// resolver returns the table of names in use.
func (g *generator) resolver() Names {
	if g.names == nil {
		g.names = SystemNames()
	}
	return g.names
}
