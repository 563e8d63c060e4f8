package headers

import (
	"sync"

	"golang.org/x/net/bpf"

	"diagsh/capture"
)

// Only returns the part of a packet that a capture of headers keeps, as Cut has it: for captures
// that have more, and are shown to a user who may see headers only. Of links whose header it does
// not know it keeps nothing. It keeps no payload of TCP or UDP either that a Reader finds and Cut,
// which knows fewer links, does not.
func Only(data []byte, link capture.LinkType) []byte {
	kept := cutAs(data, link)
	var r Reader
	var h Headers
	r.Read(&h, &capture.Packet{Data: data, Length: uint32(len(data))}, link)
	if len(h.Data) > 0 {
		// Data is a part of data, and slices keep where their memory ends.
		kept = kept[:min(len(kept), cap(data)-cap(h.Data))]
	}
	return kept
}

// cutAs returns what the program of Cut keeps of a packet.
func cutAs(data []byte, link capture.LinkType) []byte {
	head, kind, known := linkHeaderOf(data, link)
	if known && link != capture.Ethernet { // whose program steps over VLAN tags
		for n := 0; n < tags && (kind == 0x8100 || kind == 0x88a8 || kind == 0x9100) && len(data) >= head+4; n++ {
			kind = uint16(data[head+2])<<8 | uint16(data[head+3])
			head += 4
		}
	}
	switch {
	case !known:
		return data[:0]
	case len(data) <= head:
		return data
	case link == capture.Ethernet:
		return cutters().ethernet.cut(data)
	case kind != typeIPv4 && kind != typeIPv6:
		return data[:min(len(data), otherPackets)]
	}
	return data[:head+len(cutters().raw.cut(data[head:]))]
}

// linkHeaderOf returns the length of a link's header, and the type of what follows.
func linkHeaderOf(data []byte, link capture.LinkType) (length int, kind uint16, known bool) {
	at := func(n int) uint16 {
		if len(data) < n+2 {
			return 0
		}
		return uint16(data[n])<<8 | uint16(data[n+1])
	}
	switch link {
	case capture.Ethernet:
		return linkHeader, at(12), true
	case capture.Raw, linkRaw12, linkRaw14, linkIPv4, linkIPv6:
		return 0, typeIPv4, true
	case linkCooked:
		return 16, at(14), true
	case linkCooked2:
		return 20, at(0), true
	case linkNull, linkLoop:
		// Whatever the family is, what is no IP is cut after what would be its header.
		return 4, typeIPv4, true
	}
	return 0, 0, false
}

// A cutter runs the program of Cut.
type cutter struct{ vm *bpf.VM }

// cutters returns the programs for Ethernet, and for IP without a link's header.
var cutters = sync.OnceValue(func() (c struct{ ethernet, raw cutter }) {
	c.ethernet, c.raw = newCutter(capture.Ethernet), newCutter(capture.Raw)
	return c
})

func newCutter(link capture.LinkType) cutter {
	var program []bpf.Instruction
	for _, in := range Cut(nil, link, 0) {
		program = append(program, in.Disassemble())
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		panic("headers: " + err.Error()) // the program does not depend on anything
	}
	return cutter{vm}
}

// cut returns the headers of a packet. Where the program cannot be run to its end, that is nothing.
func (c cutter) cut(data []byte) []byte {
	n, err := c.vm.Run(data)
	if err != nil {
		return data[:0]
	}
	return data[:min(n, len(data))]
}
