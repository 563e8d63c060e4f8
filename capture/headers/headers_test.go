package headers

import (
	"encoding/binary"
	"testing"

	"diagsh/capture"
)

// packet returns Ethernet with IPv4 and UDP from port 1000 to port.
func packet(port uint16, inside ...byte) []byte {
	b := []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 0, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1,
		10, 0, 0, 2}
	b = append(b, 3, 0xe8, byte(port>>8), byte(port), 0, 0, 0, 0)
	b = append(b, inside...)
	binary.BigEndian.PutUint16(b[16:], uint16(len(b)-14))
	binary.BigEndian.PutUint16(b[38:], uint16(len(b)-34))
	return b
}

// segment returns a header of IPv4 with that length, and one of TCP.
func segment(length uint16) []byte {
	b := []byte{0x45, 0, byte(length >> 8), byte(length), 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}
	return append(b, 0, 99, 0, 25, 0, 0, 0, 7, 0, 0, 0, 9, 0x50, ACK, 0, 5, 0, 0, 0, 0)
}

// TestLengths: lengths are those on the wire, for a packet that was cut, for one that says 0
// because it is cut later, and for one with padding. A packet that ends in its headers is known up
// to there.
func TestLengths(t *testing.T) {
	six := func(length uint16) []byte {
		b := make([]byte, 40)
		b[0], b[6] = 0x60, 6
		binary.BigEndian.PutUint16(b[4:], length)
		return append(b, segment(0)[20:]...)
	}
	for _, c := range []struct {
		name     string
		data     []byte
		length   int // on the wire
		want     int
		numbers  bool
		measured bool
	}{
		{"whole", segment(40), 40, 0, true, true},
		{"padded", append(segment(41), make([]byte, 9)...), 49, 1, true, true},
		{"cut", segment(1500), 1500, 1460, true, true},
		{"of no length", segment(0), 3040, 3000, true, true},
		{"of no length, IPv6", six(0), 80060, 80000, true, true},
		{"shorter on the wire than it says", segment(1500), 100, 60, true, true},
		{"cut in its numbers", segment(40)[:35], 40, 0, false, false},
		{"cut behind its window", segment(40)[:36], 40, 0, true, true},
		{"shorter than its header", segment(39), 40, 0, true, false},
	} {
		var r Reader
		var h Headers
		r.Read(&h, &capture.Packet{Data: c.data, Length: uint32(c.length)}, capture.Raw)
		if h.Length != c.want || h.Numbers != c.numbers || h.Measured != c.measured || !h.Ports || h.SourcePort != 99 {
			t.Errorf("%s: %d bytes, numbers %v, measured %v, ports %v", c.name, h.Length, h.Numbers,
				h.Measured, h.Ports)
		}
	}
}

// TestFragments: the pieces of a datagram, in any order, make one packet with the length of all,
// once.
func TestFragments(t *testing.T) {
	whole := append(segment(0)[20:], make([]byte, 80)...) // 100 bytes of TCP
	piece := func(id byte, from, to int, more bool) []byte {
		b := append(segment(0)[:20:20], whole[from:to]...)
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		binary.BigEndian.PutUint16(b[6:], uint16(from/8))
		b[5] = id
		if more {
			b[6] |= 0x20
		}
		return b
	}
	first, middle, last := [2]int{0, 8}, [2]int{8, 64}, [2]int{64, 100}
	var r Reader
	var h Headers
	for id, order := range [][][2]int{{first, middle, last}, {last, middle, first}, {middle, first, first, last},
		{middle, last, first}} {
		for n, p := range order {
			b := piece(byte(id), p[0], p[1], p != last)
			r.Read(&h, &capture.Packet{Data: b, Length: uint32(len(b))}, capture.Raw)
			if done := n == len(order)-1; h.Ports != done || done &&
				(h.Length != 80 || h.Sequence != 7 || h.Protocol != OfIP(6)) || !done && h.Protocol != IPv4Fragment {
				t.Errorf("order %d, piece %d: %+v", id, n, h)
			}
		}
	}
	b := piece(9, 0, 64, true) // cut: its headers are reported, and not the length of the whole
	r.Read(&h, &capture.Packet{Data: b[:44], Length: uint32(len(b))}, capture.Raw)
	if !h.Numbers || h.Measured {
		t.Errorf("the first piece, cut: %+v", h)
	}
	for n := range 5000 {
		b := piece(byte(n), 0, 64, true)
		b[4] = byte(n >> 8)
		r.Read(&h, &capture.Packet{Data: b, Length: uint32(len(b))}, capture.Raw)
	}
	if len(r.fragments.index) > maxDatagrams || len(r.fragments.order) > maxDatagrams {
		t.Errorf("%d datagrams are remembered", len(r.fragments.index))
	}
}

// TestPseudoWires: Ethernet in MPLS is found with a control word and without, whatever its
// addresses begin with.
func TestPseudoWires(t *testing.T) {
	for name, before := range map[string][]byte{"with a control word": {0, 0, 0, 0}, "without": nil,
		"with a number in it": {0, 0, 0x12, 0x34}} {
		for _, first := range []byte{0, 2, 0x52, 0xfe} {
			inside := packet(53, make([]byte, 12)...)
			inside[0] = first
			data := append(append([]byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0x47, 0, 1, 1, 64}, before...),
				inside...)
			var r Reader
			var h Headers
			r.Read(&h, &capture.Packet{Data: data, Length: uint32(len(data))}, capture.Ethernet)
			if h.Protocol != DNS || h.Tunnels != MPLS {
				t.Errorf("%s, address %02x: %v", name, first, h.Protocol)
			}
		}
	}
}

// TestNoAllocation: reading allocates nothing.
func TestNoAllocation(t *testing.T) {
	var r Reader
	var h Headers
	p := capture.Packet{Data: packet(4789,
		append([]byte{8, 0, 0, 0, 0, 0, 7, 0}, packet(53, make([]byte, 30)...)...)...)}
	if n := testing.AllocsPerRun(100, func() { r.Read(&h, &p, capture.Ethernet) }); n > 0 || h.Protocol != DNS ||
		h.Tunnels != VXLAN || len(h.Networks()) != 2 {
		t.Errorf("%v allocations, %+v", n, h)
	}
}

// TestBoundless: a packet with a loop or in thousands of tunnels ends.
func TestBoundless(t *testing.T) {
	var inside []byte
	for range 400 {
		inside = append([]byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, 4, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}, inside...)
	}
	var r Reader
	var h Headers
	r.Read(&h, &capture.Packet{Data: inside, Length: uint32(len(inside))}, capture.Raw)
	if h.Tunnels != IPIP || h.depth <= maxDepth-2 {
		t.Errorf("%+v", h)
	}
}

func FuzzRead(f *testing.F) {
	for _, link := range []uint16{0, 1, 6, 9, 10, 50, 51, 100, 101, 104, 105, 107, 109, 113, 117, 119, 127, 138, 163,
		166, 192, 204, 239, 242, 274, 276} {
		f.Add(link, packet(4789, packet(53, 1, 2, 3)...), uint32(100))
	}
	for _, port := range []uint16{portTeredo, portL2TP, portGTP, portLISP, portGRE, portVXLANGPE, portGeneve, portMPLS,
		portTZSP} {
		f.Add(uint16(1), packet(port, segment(0)...), uint32(1500))
	}
	f.Fuzz(func(t *testing.T, link uint16, data []byte, length uint32) {
		var r Reader
		var h Headers
		length = min(length, 1<<20)
		for range 2 {
			r.Read(&h, &capture.Packet{Data: data, Length: length}, capture.LinkType(link))
		}
		if wire := max(int(length), len(data)); h.Length > wire ||
			len(h.Data) > len(data) && len(h.Data) > maxBeginning || h.Protocol.String() == "" {
			t.Errorf("%+v", h)
		}
	})
}
