package tuples

import (
	"encoding/binary"
	"net/netip"

	"diagsh/capture/filter"
)

// A frame is a packet by its numbers.
type frame struct {
	arp              bool
	local, remote    netip.Addr // its ends; which of them is the source says outgoing
	localPort        uint16
	remotePort       uint16
	outgoing         bool
	protocol         uint8
	fragment         int  // 0: whole, 1: the first of several, 2: a later one
	options          bool // the header of IPv4 has some
	vlan, secondVLAN bool // the first tag is beside the packet, as the kernel has it
}

func (f frame) hasPorts() bool { return f.protocol == 6 || f.protocol == 17 || f.protocol == 132 }

// bytes returns the packet as the kernel has it while filters run, with its metadata.
func (f frame) bytes() ([]byte, filter.Metadata) {
	meta := filter.Metadata{Kernel: true, VLANPresent: f.vlan, VLANTCI: 7}
	b := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	if f.secondVLAN {
		b = append(b, 0x81, 0, 0, 9)
	}
	if f.arp {
		return append(append(b, 0x08, 0x06), make([]byte, 46)...), meta
	}
	source, destination, sourcePort, destinationPort := f.remote, f.local, f.remotePort, f.localPort
	if f.outgoing {
		source, destination, sourcePort, destinationPort = f.local, f.remote, f.localPort, f.remotePort
	}
	payload := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, sourcePort), destinationPort)
	payload = append(payload, make([]byte, 40)...)
	if source.Is4() {
		return append(append(b, 0x08, 0), f.ipv4(source, destination, payload)...), meta
	}
	return append(append(b, 0x86, 0xdd), f.ipv6(source, destination, payload)...), meta
}

func (f frame) ipv4(source, destination netip.Addr, payload []byte) []byte {
	h := make([]byte, 20, 80)
	h[0], h[8], h[9] = 0x45, 64, f.protocol
	copy(h[12:], source.AsSlice())
	copy(h[16:], destination.AsSlice())
	switch f.fragment {
	case 1:
		h[6] = 0x20 // more fragments
	case 2:
		h[7] = 100 // offset
	}
	if f.options {
		h[0] = 0x47
		h = append(h, 1, 1, 1, 1, 1, 1, 1, 1)
	}
	return append(h, payload...)
}

func (f frame) ipv6(source, destination netip.Addr, payload []byte) []byte {
	h := make([]byte, 40, 100)
	h[0], h[6], h[7] = 0x60, f.protocol, 64
	copy(h[8:], source.AsSlice())
	copy(h[24:], destination.AsSlice())
	if f.fragment > 0 {
		h[6] = 44
		h = append(h, f.protocol, 0, 0, byte(f.fragment-1)*8|1, 0, 0, 0, 1)
	}
	return append(h, payload...)
}
