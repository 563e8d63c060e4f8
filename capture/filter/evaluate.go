package filter

import "encoding/binary"

// Metadata is what is known about a packet beside its captured bytes.
type Metadata struct {
	// Length of the packet on the wire; 0 stands for the number of captured bytes.
	Length uint32
	// Kernel says that the members below are known, as they are where the kernel
	// runs the filter. Without it, a program that asks for one of them rejects.
	Kernel      bool
	VLANPresent bool   // the tag was taken out of the packet
	VLANTCI     uint16 // priority, drop eligibility and number of that VLAN
	PacketType  uint8  // PACKET_HOST … PACKET_OUTGOING
	Interface   uint32 // index of the interface
	Protocol    uint16 // protocol of the packet as the kernel sees it, an Ethernet type
}

// stepLimit ends programs that jump backwards on packets made to keep them
// busy. Without backward jumps a program cannot reach it.
const stepLimit = 1_000_000

// Match runs the program over the captured bytes of a packet and returns how
// many of them to keep; 0 means that the filter rejects the packet. A load that
// is not completely inside the captured bytes rejects, and so does a division
// by zero. Scratch words start as 0.
func (p *Program) Match(packet []byte, meta Metadata) uint32 {
	keep, _ := p.run(packet, &meta)
	return keep
}

// run is Match, and tells the number of instructions executed.
func (p *Program) run(packet []byte, meta *Metadata) (keep uint32, steps int) {
	var (
		a, x    uint32
		scratch [scratchWords]uint32
		code    = p.Instructions
		pc      = 0
		ok      bool
	)
	for uint(pc) < uint(len(code)) {
		if steps++; steps > stepLimit {
			return 0, steps
		}
		in := &code[pc]
		pc++
		k := in.K
		switch in.Code {
		case opLdImm:
			a = k
		case opLdLen:
			a = meta.length(packet)
		case opLdMem:
			if k >= scratchWords {
				return 0, steps
			}
			a = scratch[k]
		case opLdW:
			if a, ok = loadWord(packet, uint64(k)); !ok {
				if a, ok = meta.ancillary(k); !ok {
					return 0, steps
				}
			}
		case opLdH:
			if a, ok = loadHalf(packet, uint64(k)); !ok {
				if a, ok = meta.ancillary(k); !ok {
					return 0, steps
				}
			}
		case opLdB:
			if a, ok = loadByte(packet, uint64(k)); !ok {
				if a, ok = meta.ancillary(k); !ok {
					return 0, steps
				}
			}
		// The sum of an indexed load is not reduced to 32 bits: a "negative"
		// offset lies outside the packet whatever X is, as in libpcap.
		case opLdIndW:
			if a, ok = loadWord(packet, uint64(x)+uint64(k)); !ok {
				return 0, steps
			}
		case opLdIndH:
			if a, ok = loadHalf(packet, uint64(x)+uint64(k)); !ok {
				return 0, steps
			}
		case opLdIndB:
			if a, ok = loadByte(packet, uint64(x)+uint64(k)); !ok {
				return 0, steps
			}
		case opLdxImm:
			x = k
		case opLdxLen:
			x = meta.length(packet)
		case opLdxMem:
			if k >= scratchWords {
				return 0, steps
			}
			x = scratch[k]
		case opLdxMsh:
			if x, ok = loadByte(packet, uint64(k)); !ok {
				return 0, steps
			}
			x = x & 0xf << 2
		case opSt:
			if k >= scratchWords {
				return 0, steps
			}
			scratch[k] = a
		case opStx:
			if k >= scratchWords {
				return 0, steps
			}
			scratch[k] = x

		case opAddK:
			a += k
		case opAddX:
			a += x
		case opSubK:
			a -= k
		case opSubX:
			a -= x
		case opMulK:
			a *= k
		case opMulX:
			a *= x
		case opDivK:
			if k == 0 {
				return 0, steps
			}
			a /= k
		case opDivX:
			if x == 0 {
				return 0, steps
			}
			a /= x
		case opModK:
			if k == 0 {
				return 0, steps
			}
			a %= k
		case opModX:
			if x == 0 {
				return 0, steps
			}
			a %= x
		case opOrK:
			a |= k
		case opOrX:
			a |= x
		case opAndK:
			a &= k
		case opAndX:
			a &= x
		case opXorK:
			a ^= k
		case opXorX:
			a ^= x
		case opLshK:
			a <<= k
		case opLshX:
			a <<= x
		case opRshK:
			a >>= k
		case opRshX:
			a >>= x
		case opNeg:
			a = -a

		case opJa:
			pc += int(int32(k))
		case opJeqK:
			pc += in.jump(a == k)
		case opJeqX:
			pc += in.jump(a == x)
		case opJgtK:
			pc += in.jump(a > k)
		case opJgtX:
			pc += in.jump(a > x)
		case opJgeK:
			pc += in.jump(a >= k)
		case opJgeX:
			pc += in.jump(a >= x)
		case opJsetK:
			pc += in.jump(a&k != 0)
		case opJsetX:
			pc += in.jump(a&x != 0)

		case opRetK:
			return k, steps
		case opRetA:
			return a, steps
		case opTax:
			x = a
		case opTxa:
			a = x
		default:
			return 0, steps
		}
	}
	return 0, steps
}

func (in *Instruction) jump(taken bool) int {
	if taken {
		return int(in.Jt)
	}
	return int(in.Jf)
}

func (m *Metadata) length(packet []byte) uint32 {
	if m.Length == 0 {
		return uint32(len(packet))
	}
	return m.Length
}

// ancillary is a load from one of the offsets beyond every packet.
func (m *Metadata) ancillary(k uint32) (value uint32, ok bool) {
	if !m.Kernel {
		return 0, false
	}
	switch k {
	case ancillaryProtocol:
		return uint32(m.Protocol), true
	case ancillaryPacketType:
		return uint32(m.PacketType), true
	case ancillaryInterface:
		return m.Interface, true
	case ancillaryVLANTCI:
		return uint32(m.VLANTCI), true
	case ancillaryVLANPresent:
		if m.VLANPresent {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

func loadWord(packet []byte, offset uint64) (uint32, bool) {
	if offset+4 > uint64(len(packet)) {
		return 0, false
	}
	return binary.BigEndian.Uint32(packet[offset:]), true
}

func loadHalf(packet []byte, offset uint64) (uint32, bool) {
	if offset+2 > uint64(len(packet)) {
		return 0, false
	}
	return uint32(binary.BigEndian.Uint16(packet[offset:])), true
}

func loadByte(packet []byte, offset uint64) (uint32, bool) {
	if offset+1 > uint64(len(packet)) {
		return 0, false
	}
	return uint32(packet[offset]), true
}
