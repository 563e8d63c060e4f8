package headers

import "golang.org/x/sys/unix"

// EtherTypes that are looked into.
const (
	typeIPv4   = 0x0800
	typeARP    = 0x0806
	typeTEB    = 0x6558 // Ethernet in GRE
	typeVLAN   = 0x8100
	typeIPv6   = 0x86dd
	typePPP    = 0x880b
	typeMPLS   = 0x8847
	typeMPLSUp = 0x8848
	typePPPoE  = 0x8864
	typeFabric = 0x8903 // Cisco FabricPath
	typeQinQ   = 0x88a8
	typePBB    = 0x88e7
	typeVNTag  = 0x8926
	typeETag   = 0x893f
	typeNSH    = 0x894f
	typeQinQ91 = 0x9100 // before 802.1ad
	typeQinQ92 = 0x9200
)

// etherType reads what follows an EtherType.
func (w walk) etherType(kind uint16, v view) {
	w.h.Protocol = OfEtherType(kind)
	if !w.deeper() {
		return
	}
	switch kind {
	case typeIPv4, typeIPv6:
		w.ip(v)
	case typeARP:
		w.h.Protocol = ARP
	case typeVLAN, typeQinQ, typeQinQ91, typeQinQ92:
		w.h.Tunnels |= VLAN
		if v.has(4) {
			w.typeOrLength(v.uint16(2), v.skip(4))
		}
	case typeVNTag:
		if v.has(6) {
			w.typeOrLength(v.uint16(4), v.skip(6))
		}
	case typeETag:
		if v.has(8) {
			w.typeOrLength(v.uint16(6), v.skip(8))
		}
	case typeMPLS, typeMPLSUp:
		w.mpls(v)
	case typePPPoE:
		w.pppoe(v)
	case typePPP:
		w.pppFrame(v)
	case typeTEB:
		w.ethernet(v)
	case typeFabric:
		w.ethernet(v.skip(2))
	case typePBB:
		w.h.Tunnels |= PBB
		w.ethernet(v.skip(4))
	case typeNSH:
		w.nsh(v)
	}
}

// mpls reads RFC 3032. The labels do not say what is inside, so it guesses by the first four bits,
// as routers do (RFC 4928). Ethernet comes with a control word (RFC 4385) or without, and is
// recognised by its type.
func (w walk) mpls(v view) {
	w.h.Tunnels |= MPLS
	for v.has(4) && w.deeper() {
		bottom := v.b[2]&1 != 0
		v = v.skip(4)
		if !bottom {
			continue
		}
		switch {
		case !v.has(1):
		case v.b[0]>>4 == 4 || v.b[0]>>4 == 6:
			w.ip(v)
		case ethernetIn(v.skip(4)) && v.b[0]>>4 == 0:
			w.ethernet(v.skip(4))
		case ethernetIn(v):
			w.ethernet(v)
		}
		return
	}
}

// ethernetIn guesses whether bytes are Ethernet: the content matches the type.
func ethernetIn(v view) bool {
	if !v.has(16) {
		return false
	}
	switch v.uint16(12) {
	case typeIPv4:
		return v.b[14]>>4 == 4
	case typeIPv6:
		return v.b[14]>>4 == 6
	case typeARP:
		return v.uint16(14) == 1
	case typeVLAN, typeQinQ, typeQinQ91:
		return v.has(18) && v.uint16(16) > 1500
	}
	return false
}

// pppoe reads RFC 2516.
func (w walk) pppoe(v view) {
	w.h.Tunnels |= PPPoE
	if !v.has(6) || v.b[1] != 0 {
		w.h.Protocol = PPP
		return
	}
	length := int(v.uint16(4))
	w.ppp(v.skip(6).only(length))
}

// ip reads a packet of IP, of the version in its first byte.
func (w walk) ip(v view) {
	if !w.deeper() || !v.has(1) {
		return
	}
	switch v.b[0] >> 4 {
	case 4:
		w.ipv4(v)
	case 6:
		w.ipv6(v)
	}
}

func (w walk) network(source, target Address) {
	if w.h.count < maxNetworks {
		w.h.count++
	}
	// If there are too many, the last place is for the innermost.
	w.h.networks[w.h.count-1] = Network{source, target}
}

func (w walk) ipv4(v view) {
	w.h.Protocol = IPv4
	if !v.has(20) {
		return
	}
	target := v.b[16:20]
	if final := sourceRoute(v.b); final != nil {
		target = final
	}
	w.network(address4(v.b[12:16]), address4(target))
	head, length := int(v.b[0]&15)*4, int(v.uint16(2))
	if length == 0 { // of a packet that is cut later into those of the wire (TSO)
		length = v.n
	}
	if head < 20 || length < head {
		return
	}
	v = v.only(length)
	w.h.IP, w.h.IPLength = v.b, v.n
	inside := v.skip(head)
	protocol, fragment := v.b[9], v.uint16(6)
	if fragment&0x3fff == 0 {
		w.inIP(protocol, inside, false)
		return
	}
	w.h.Protocol = IPv4Fragment
	key := fragmentKey{w.h.networks[w.h.count-1], uint32(v.uint16(4)), protocol}
	w.fragment(key, inside, int(fragment&0x1fff)*8, fragment&0x2000 != 0, head+len(inside.b) == length)
}

// sourceRoute returns the final destination of a packet if its options have one: the last address
// of a route (RFC 791, section 3.1). Until then the address in the header is that of the next stop.
func sourceRoute(b []byte) []byte {
	head := int(b[0]&15) * 4
	if head <= 20 || len(b) < head {
		return nil
	}
	for options := b[20:head]; len(options) > 0 && options[0] != 0; {
		if options[0] == 1 {
			options = options[1:]
			continue
		}
		if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
			return nil
		}
		kind, value := options[0], options[:options[1]]
		if kind == 131 || kind == 137 { // loose, and strict
			if len(value) < 7 || value[2] < 4 || value[2]&3 != 0 || int(value[2]) > len(value) {
				return nil
			}
			return value[len(value)-4:]
		}
		options = options[options[1]:]
	}
	return nil
}

// routing reads the final destination from a routing header: the last address of type 0 (RFC 8200)
// and 2 (RFC 6275), the first of type 4 (RFC 8754).
func (w walk) routing(v view) {
	if !v.has(24) || v.b[3] == 0 || int(v.b[1])*8+8 > len(v.b) || v.b[1] < 2 {
		return
	}
	h := w.h
	switch v.b[2] {
	case 0, 2:
		h.networks[h.count-1].Target = address6(v.b[8+(int(v.b[1])/2-1)*16:][:16])
	case 4:
		h.networks[h.count-1].Target = address6(v.b[8:24])
	}
}

// fragment adds a piece to its datagram, and continues if that is whole now. A piece that was cut
// cannot be added; of a first piece, the headers that are there are read.
func (w walk) fragment(key fragmentKey, v view, offset int, more, whole bool) {
	if offset == 0 {
		w.outer(key.protocol, v)
	}
	if !whole || v.n == 0 {
		if offset == 0 {
			w.inIP(key.protocol, v, true)
		}
		return
	}
	if datagram, ok := w.r.fragments.add(key, v.b, offset, more); ok {
		w.inIP(key.protocol, datagram, false)
	}
}

func (w walk) ipv6(v view) {
	w.h.Protocol = IPv6
	if !v.has(40) {
		return
	}
	w.network(address6(v.b[8:24]), address6(v.b[24:40]))
	length, protocol := int(v.uint16(4)), v.b[6]
	if length > 0 { // else as long as the link says: a jumbogram (RFC 2675), or TSO
		v = v.only(40 + length)
	}
	w.h.IP, w.h.IPLength = v.b, v.n
	whole := length == 0 || len(v.b) == 40+length
	v = v.skip(40)
	for w.deeper() {
		size := 8
		switch protocol {
		// the last: mobility, HIP, Shim6
		case unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING, unix.IPPROTO_DSTOPTS, 135, 139, 140:
			if !v.has(2) {
				return
			}
			size = 8 + int(v.b[1])*8
			if protocol == unix.IPPROTO_ROUTING {
				w.routing(v)
			}
		case unix.IPPROTO_FRAGMENT:
			if !v.has(8) {
				return
			}
			fragment := v.uint16(2)
			if fragment&^6 != 0 { // else it is the whole datagram (RFC 6946)
				w.h.Protocol = IPv6Fragment
				key := fragmentKey{w.h.networks[w.h.count-1], v.uint32(4), v.b[0]}
				w.fragment(key, v.skip(8), int(fragment&^7), fragment&1 != 0, whole)
				return
			}
		default:
			w.inIP(protocol, v, false)
			return
		}
		if !v.has(1) {
			return
		}
		protocol, v = v.b[0], v.skip(size)
	}
}

// inIP reads what follows an IP header. torn says that it is the beginning of a datagram of unknown
// length.
func (w walk) inIP(protocol uint8, v view, torn bool) {
	w.h.Protocol, w.h.Transport = OfIP(protocol), protocol
	w.outer(protocol, v)
	if !w.deeper() {
		return
	}
	switch protocol {
	case unix.IPPROTO_TCP:
		w.tcp(v, torn)
	case unix.IPPROTO_UDP, unix.IPPROTO_UDPLITE:
		w.udp(v, torn)
	case unix.IPPROTO_SCTP, unix.IPPROTO_DCCP:
		w.ports(v)
	case unix.IPPROTO_IPIP:
		w.h.Tunnels |= IPIP
		w.ip(v)
	case unix.IPPROTO_IPV6:
		w.h.Tunnels |= IPv6InIP
		w.ip(v)
	case unix.IPPROTO_GRE:
		w.gre(v)
	case unix.IPPROTO_AH:
		w.h.Tunnels |= AH
		if v.has(2) {
			w.inIP(v.b[0], v.skip(int(v.b[1])*4+8), torn)
		}
	case 97:
		w.h.Tunnels |= EtherIP
		w.ethernet(v.skip(2))
	case unix.IPPROTO_MPLS:
		w.mpls(v)
	}
}

// outer notes what follows the outermost IP header.
func (w walk) outer(protocol uint8, v view) {
	o := &w.h.Outer
	if w.h.count != 1 || o.Ports {
		return
	}
	o.Transport = protocol
	switch protocol {
	case unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_UDPLITE, unix.IPPROTO_SCTP, unix.IPPROTO_DCCP:
	default:
		return
	}
	if !v.has(4) {
		return
	}
	o.Ports, o.SourcePort, o.TargetPort = true, v.uint16(0), v.uint16(2)
	if protocol == unix.IPPROTO_TCP && v.has(14) {
		o.Sequence, o.Flags = v.uint32(4), v.b[13]
		o.Payload = v.n > int(v.b[12]>>4)*4
	}
}

func (w walk) ports(v view) bool {
	if !v.has(4) {
		return false
	}
	w.h.Ports, w.h.SourcePort, w.h.TargetPort = true, v.uint16(0), v.uint16(2)
	return true
}

func (w walk) tcp(v view, torn bool) {
	h := w.h
	// The numbers, flags and the window end at byte 16.
	if !w.ports(v) || !v.has(16) {
		return
	}
	h.Numbers, h.Sequence, h.Acknowledged, h.Flags, h.Window = true, v.uint32(4), v.uint32(8), v.b[13], v.uint16(14)
	h.HeaderLength = int(v.b[12]>>4) * 4
	h.Cut = !v.has(max(h.HeaderLength, 20))
	if h.HeaderLength > 20 && v.has(20) {
		h.Options = v.b[20:min(h.HeaderLength, len(v.b))]
	}
	if !torn && h.HeaderLength <= v.n {
		h.Measured, h.Length = true, v.n-h.HeaderLength
		h.Data = v.skip(h.HeaderLength).b
	}
}

func (w walk) udp(v view, torn bool) {
	if !w.ports(v) {
		return
	}
	h := w.h
	low, high := min(h.SourcePort, h.TargetPort), max(h.SourcePort, h.TargetPort)
	if low == 53 {
		h.Protocol = DNS
	}
	if !v.has(8) {
		return
	}
	inside := v.skip(8)
	if length := int(v.uint16(4)); length >= 8 && h.Transport == unix.IPPROTO_UDP {
		inside = inside.only(length - 8)
	}
	h.Measured, h.Length, h.Data = !torn, inside.n, inside.b
	if h.Transport == unix.IPPROTO_UDP && low != 53 && !w.tunnel(low, inside) {
		w.tunnel(high, inside)
	}
}
