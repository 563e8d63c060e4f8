package ping

import (
	"encoding/binary"
	"net"
	"net/netip"

	xicmp "golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"diagsh/diag/icmp"
	"diagsh/diag/source"
)

// Protocol numbers (IANA).
const (
	protocolICMP   = 1
	protocolICMPv6 = 58
)

// An errorSocket hears the ICMP errors that routers send about our requests, which pro-bing drops.
type errorSocket struct{ *xicmp.PacketConn }

func listenErrors(target netip.Addr, s source.Source) (*errorSocket, error) {
	network, address := "ip4:icmp", "0.0.0.0"
	if target.Is6() {
		network, address = "ip6:ipv6-icmp", "::"
	}
	if s.Address.IsValid() {
		address = s.Address.String()
	}
	c, err := xicmp.ListenPacket(network, address)
	if err != nil {
		return nil, err
	}
	if p := c.IPv4PacketConn(); p != nil {
		var f ipv4.ICMPFilter
		f.SetAll(true)
		for _, t := range []ipv4.ICMPType{ipv4.ICMPTypeDestinationUnreachable, ipv4.ICMPTypeTimeExceeded, ipv4.ICMPTypeParameterProblem} {
			f.Accept(t)
		}
		err = p.SetICMPFilter(&f)
	} else {
		var f ipv6.ICMPFilter
		f.SetAll(true)
		for _, t := range []ipv6.ICMPType{ipv6.ICMPTypeDestinationUnreachable, ipv6.ICMPTypePacketTooBig, ipv6.ICMPTypeTimeExceeded, ipv6.ICMPTypeParameterProblem} {
			f.Accept(t)
		}
		err = c.IPv6PacketConn().SetICMPFilter(&f)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return &errorSocket{c}, nil
}

// read tells the errors about requests to a target with an identifier, until the socket is closed.
func (s *errorSocket) read(target netip.Addr, id int, each func(Answer)) {
	buffer := make([]byte, 1500)
	for {
		n, from, err := s.ReadFrom(buffer)
		if err != nil {
			return
		}
		a, about, ok := parseError(buffer[:n], target.Is6())
		if !ok || about.to != target.WithZone("") || about.id != id {
			continue
		}
		if ip, isIP := from.(*net.IPAddr); isIP {
			router, _ := netip.AddrFromSlice(ip.IP)
			a.From = router.Unmap().WithZone(ip.Zone)
		}
		each(a)
	}
}

// A request is what an ICMP error says of the request that it is about.
type request struct {
	to netip.Addr
	id int
}

// parseError reads an ICMP error message and the beginning of the request that it quotes. Anybody may have sent it.
func parseError(b []byte, v6 bool) (a Answer, about request, ok bool) {
	if len(b) < 8 {
		return a, about, false
	}
	a.Bytes = len(b)
	a.Error = &Error{Error: icmp.Error{IPv6: v6, Type: int(b[0]), Code: int(b[1])}}
	quote := b[8:]
	var echo []byte
	if v6 {
		if len(quote) < ipv6.HeaderLen || quote[6] != protocolICMPv6 {
			return a, about, false
		}
		about.to = netip.AddrFrom16([16]byte(quote[24:40]))
		echo = quote[ipv6.HeaderLen:]
		if a.Error.TooBig() {
			a.Error.MTU = int(binary.BigEndian.Uint32(b[4:]))
		}
	} else {
		if len(quote) < ipv4.HeaderLen || quote[9] != protocolICMP {
			return a, about, false
		}
		header := int(quote[0]&0x0f) * 4
		if header < ipv4.HeaderLen || len(quote) < header {
			return a, about, false
		}
		about.to = netip.AddrFrom4([4]byte(quote[16:20]))
		echo = quote[header:]
		if a.Error.TooBig() {
			a.Error.MTU = int(binary.BigEndian.Uint16(b[6:])) // RFC 1191
		}
	}
	if len(echo) < 8 {
		return a, about, false
	}
	want := byte(ipv4.ICMPTypeEcho)
	if v6 {
		want = byte(ipv6.ICMPTypeEchoRequest)
	}
	about.id = int(binary.BigEndian.Uint16(echo[4:]))
	a.Sequence = int(binary.BigEndian.Uint16(echo[6:]))
	return a, about, echo[0] == want
}
