// Package headers reads the headers of packets: of the link, of tunnels, of IP, and of TCP, UDP and
// SCTP. It reads what is there and invents nothing. A packet that ends in its headers is known up
// to there, and lengths are those on the wire, not of what was captured.
//
// It is made to look at every packet of a large file, and allocates nothing. For all fields of one
// packet, use package decode.
package headers

import (
	"net/netip"

	"diagsh/capture"
)

// Address is an IP address, in a form that is hashed and compared fast: 4 or 6, then the bytes of
// the address; those of IPv4 are followed by zeros.
type Address [17]byte

// Addr converts it.
func (a Address) Addr() netip.Addr {
	switch a[0] {
	case 4:
		return netip.AddrFrom4([4]byte(a[1:5]))
	case 6:
		return netip.AddrFrom16([16]byte(a[1:]))
	}
	return netip.Addr{}
}

func address4(b []byte) (a Address) {
	a[0] = 4
	copy(a[1:5], b)
	return a
}

func address6(b []byte) (a Address) {
	a[0] = 6
	copy(a[1:], b)
	return a
}

// Network is one IP header of a packet: a packet in tunnels has several.
type Network struct {
	Source, Target Address
}

// maxNetworks is how many IP headers of a packet are returned; all are read.
const maxNetworks = 4

// TCP flags (RFC 9293, section 3.1).
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
)

// Headers is what is known of a packet.
type Headers struct {
	Protocol Protocol // the innermost
	Tunnels  Tunnels

	networks [maxNetworks]Network
	count    int

	// IP is what was captured from the innermost IP header on, and IPLength its length on the wire.
	IP       []byte
	IPLength int

	// Ports reports that the ports below are known: of TCP, UDP, UDP-Lite, SCTP or DCCP.
	Ports                  bool
	Transport              uint8 // the protocol number in the innermost IP header
	SourcePort, TargetPort uint16

	// Outer is what follows the outermost IP header, whatever is inside it.
	Outer Outer

	// Of TCP, if Numbers reports that they are known.
	Numbers                bool
	Sequence, Acknowledged uint32
	Flags                  uint8
	Window                 uint16
	HeaderLength           int    // as the header says
	Options                []byte // as many as were captured
	Cut                    bool   // the captured bytes end in the header

	// Measured reports that Length is known: how many bytes of TCP or UDP payload the packet has on
	// the wire. It is not known for the first fragment of an incomplete datagram, and for a header
	// that is longer than its packet.
	Measured bool
	Length   int

	Data []byte // the captured part of the payload

	depth int
}

// Outer is what is known of the transport directly in the outermost IP header. Of a tunnel it is what
// carries the tunnel. Of a datagram in fragments the first one has it.
type Outer struct {
	Transport              uint8 // 0: it is not known
	Ports                  bool  // the ports are known
	SourcePort, TargetPort uint16
	Flags                  uint8 // of TCP
	Sequence               uint32
	Payload                bool // of TCP: there is data after its header
}

// Networks returns the IP headers, the outermost first.
func (h *Headers) Networks() []Network { return h.networks[:h.count] }

// Network returns the innermost IP header, if there is one.
func (h *Headers) Network() (n Network, ok bool) {
	if h.count == 0 {
		return n, false
	}
	return h.networks[h.count-1], true
}

// Reader reads the headers of one packet after the other. It remembers the fragments of datagrams,
// so that the last one to arrive yields the headers of the whole.
type Reader struct {
	fragments fragments
}

// Read reads a packet's headers. h is valid as long as the packet's data.
func (r *Reader) Read(h *Headers, p *capture.Packet, link capture.LinkType) {
	*h = Headers{Protocol: Other}
	w := walk{h, r}
	w.link(link, view{p.Data, max(int(p.Length), len(p.Data))})
}

// view is the rest of a packet: what was captured, and its length on the wire.
type view struct {
	b []byte
	n int
}

// skip returns what follows the first count bytes.
func (v view) skip(count int) view {
	return view{v.b[min(count, len(v.b)):], max(v.n-count, 0)}
}

// only returns the first count bytes.
func (v view) only(count int) view {
	return view{v.b[:min(count, len(v.b))], min(v.n, count)}
}

// has reports whether that many bytes were captured.
func (v view) has(count int) bool { return len(v.b) >= count }

func (v view) uint16(at int) uint16 { return uint16(v.b[at])<<8 | uint16(v.b[at+1]) }

func (v view) uint32(at int) uint32 { return uint32(v.uint16(at))<<16 | uint32(v.uint16(at+2)) }

// walk reads a packet's headers in order.
type walk struct {
	h *Headers
	r *Reader
}

// maxDepth is more headers than any packet has, unless it was made to have many.
const maxDepth = 32

// deeper reports whether one more header may be read.
func (w walk) deeper() bool {
	w.h.depth++
	return w.h.depth <= maxDepth
}
