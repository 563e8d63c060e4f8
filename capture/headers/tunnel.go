package headers

// Ports of tunnels in UDP, as IANA has them.
const (
	portTeredo   = 3544
	portL2TP     = 1701
	portGTP      = 2152
	portLISP     = 4341
	portGRE      = 4754
	portVXLAN    = 4789
	portVXLANGPE = 4790
	portGeneve   = 6081
	portMPLS     = 6635
	portTZSP     = 37008
)

// tunnel reads what is in UDP to or from a port of tunnels. It reports whether the port is one.
func (w walk) tunnel(port uint16, v view) bool {
	switch port {
	case portVXLAN: // RFC 7348
		if v.has(8) && v.b[0]&0x08 != 0 {
			w.leave(VXLAN)
			w.ethernet(v.skip(8))
		}
	case portVXLANGPE: // draft-ietf-nvo3-vxlan-gpe
		if v.has(8) {
			w.leave(VXLAN)
			w.next(v.b[3], v.skip(8))
		}
	case portGeneve: // RFC 8926
		if v.has(8) && v.b[0]>>6 == 0 {
			w.leave(Geneve)
			w.etherType(v.uint16(2), v.skip(8+int(v.b[0]&0x3f)*4))
		}
	case portGTP:
		w.gtp(v)
	case portL2TP:
		w.l2tp(v)
	case portTeredo: // RFC 4380: with or without information on the sender
		if v.has(4) && v.uint16(0) == 1 {
			v = v.skip(4 + int(v.b[2]) + int(v.b[3]) + 9)
		}
		if v.has(8) && v.uint16(0) == 0 {
			v = v.skip(8)
		}
		if v.has(40) && v.b[0]>>4 == 6 {
			w.leave(Teredo)
			w.ip(v)
		}
	case portLISP: // RFC 9300
		if v.has(9) && (v.b[8]>>4 == 4 || v.b[8]>>4 == 6) {
			w.leave(LISP)
			w.ip(v.skip(8))
		}
	case portMPLS: // RFC 7510
		if v.has(4) {
			w.leave(MPLS)
			w.mpls(v)
		}
	case portGRE: // RFC 8086
		if v.has(4) {
			w.leave(GRE)
			w.gre(v)
		}
	case portTZSP:
		w.tzsp(v)
	default:
		return false
	}
	return true
}

// leave forgets the transport outside of a tunnel: the content has its own.
func (w walk) leave(through Tunnels) {
	h := w.h
	h.Tunnels |= through
	h.Ports, h.Measured, h.Length, h.Data = false, false, 0, nil
}

// next reads the content of VXLAN-GPE and NSH, by their common numbers.
func (w walk) next(protocol byte, v view) {
	switch protocol {
	case 1, 2:
		w.ip(v)
	case 3:
		w.ethernet(v)
	case 4:
		w.nsh(v)
	case 5:
		w.mpls(v)
	}
}

// nsh reads RFC 8300.
func (w walk) nsh(v view) {
	w.h.Tunnels |= NSH
	if w.deeper() && v.has(8) {
		w.next(v.b[3], v.skip(int(v.b[1]&0x3f)*4))
	}
}

// gtp reads user data of GTP version 1 (3GPP TS 29.281); other messages contain no packet.
func (w walk) gtp(v view) {
	if !v.has(8) || v.b[0]>>5 != 1 || v.b[0]&0x10 == 0 || v.b[1] != 255 {
		return
	}
	flags := v.b[0]
	v = v.only(int(v.uint16(2)) + 8).skip(8)
	// sequence number, N-PDU number and type of the next extension: all three are there if one is
	if flags&7 != 0 {
		if !v.has(4) {
			return
		}
		following := v.b[3]
		v = v.skip(4)
		for flags&4 != 0 && following != 0 && v.has(1) && w.deeper() {
			size := int(v.b[0]) * 4
			if size == 0 || !v.has(size) {
				return
			}
			following, v = v.b[size-1], v.skip(size)
		}
	}
	if !v.has(1) {
		return
	}
	switch v.b[0] >> 4 {
	case 4, 6:
		w.leave(GTP)
		w.ip(v)
	}
}

// l2tp reads data of version 2 (RFC 2661), which are PPP.
func (w walk) l2tp(v view) {
	if !v.has(6) || v.b[0]&0x80 != 0 || v.b[1]&15 != 2 {
		return
	}
	flags, at := v.b[0], 6
	if flags&0x40 != 0 { // its length
		at += 2
	}
	if flags&0x08 != 0 { // numbers
		at += 4
	}
	if flags&0x02 != 0 { // padding
		if !v.has(at + 2) {
			return
		}
		at += 2 + int(v.uint16(at))
	}
	w.leave(L2TP)
	if v = v.skip(at); v.has(2) && v.b[0] == 0xff && v.b[1] == 0x03 {
		v = v.skip(2)
	}
	w.ppp(v)
}

// tzsp reads what wireless sensors and routers send to packet analysers.
func (w walk) tzsp(v view) {
	if !v.has(4) || v.b[0] != 1 || v.b[1] > 1 {
		return
	}
	kind := v.uint16(2)
	for v = v.skip(4); v.has(1) && v.b[0] != 1; { // fields, each with its length, except padding and the end
		switch {
		case v.b[0] == 0:
			v = v.skip(1)
		case v.has(2):
			v = v.skip(2 + int(v.b[1]))
		default:
			return
		}
	}
	w.leave(TZSP)
	switch v = v.skip(1); kind {
	case 1:
		w.ethernet(v)
	case 18:
		w.wireless(v, 0)
	}
}

// gre reads RFC 2784 and 2890, and version 1 of RFC 2637 (PPTP).
func (w walk) gre(v view) {
	if !v.has(4) {
		return
	}
	flags, kind, at := v.uint16(0), v.uint16(2), 4
	w.h.Tunnels |= GRE
	if flags&0xc000 != 0 { // checksum, or routes: both fields are there if one is
		at += 4
	}
	if flags&0x2000 != 0 {
		at += 4
	}
	if flags&0x1000 != 0 {
		at += 4
	}
	if flags&0x0087 == 0x0081 {
		at += 4
	}
	if flags&0x4000 != 0 { // routes, which are not in use
		return
	}
	v = v.skip(at)
	switch kind {
	case 0x88be: // ERSPAN, type II with a sequence number, and I without
		w.h.Tunnels |= ERSPAN
		if flags&0x1000 != 0 {
			v = v.skip(8)
		}
		w.ethernet(v)
	case 0x22eb: // ERSPAN, type III
		if !v.has(12) {
			return
		}
		w.h.Tunnels |= ERSPAN
		head := 12
		if v.b[11]&1 != 0 {
			head += 8
		}
		w.ethernet(v.skip(head))
	case 0x8200: // Aruba's access points
		w.wireless(v, 0)
	case 0x883e: // WCCP, version 2 with 4 bytes before the packet
		if v.has(1) && v.b[0]>>4 != 4 {
			v = v.skip(4)
		}
		w.ip(v)
	case 0:
	default:
		w.etherType(kind, v)
	}
}
