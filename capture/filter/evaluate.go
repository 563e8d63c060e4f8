package filter

import endian "encoding/binary"

// Metadata is what is known about a packet beside its captured bytes.
type Metadata struct {
	// Length of the packet on the wire; 0 means the number of captured bytes.
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
		scratch [memoryWords]uint32
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
		case codeLoadImm:
			a = k
		case codeLoadLen:
			a = meta.length(packet)
		case codeLoadMem:
			if k >= memoryWords {
				return 0, steps
			}
			a = scratch[k]
		case codeLoadWord:
			if a, ok = loadWord(packet, uint64(k)); !ok {
				if a, ok = meta.ancillary(k); !ok {
					return 0, steps
				}
			}
		case codeLoadHalf:
			if a, ok = loadHalf(packet, uint64(k)); !ok {
				if a, ok = meta.ancillary(k); !ok {
					return 0, steps
				}
			}
		case codeLoadByte:
			if a, ok = loadByte(packet, uint64(k)); !ok {
				if a, ok = meta.ancillary(k); !ok {
					return 0, steps
				}
			}
		// The sum of an indexed load is not reduced to 32 bits: a "negative"
		// offset lies outside the packet whatever X is, as in libpcap.
		case codeIndexWord:
			if a, ok = loadWord(packet, uint64(x)+uint64(k)); !ok {
				return 0, steps
			}
		case codeIndexHalf:
			if a, ok = loadHalf(packet, uint64(x)+uint64(k)); !ok {
				return 0, steps
			}
		case codeIndexByte:
			if a, ok = loadByte(packet, uint64(x)+uint64(k)); !ok {
				return 0, steps
			}
		case codeLoadXImm:
			x = k
		case codeLoadXLen:
			x = meta.length(packet)
		case codeLoadXMem:
			if k >= memoryWords {
				return 0, steps
			}
			x = scratch[k]
		case codeLoadXMSH:
			if x, ok = loadByte(packet, uint64(k)); !ok {
				return 0, steps
			}
			x = x & 0xf << 2
		case codeStore:
			if k >= memoryWords {
				return 0, steps
			}
			scratch[k] = a
		case codeStoreX:
			if k >= memoryWords {
				return 0, steps
			}
			scratch[k] = x

		case codeAddK:
			a += k
		case codeAddX:
			a += x
		case codeSubK:
			a -= k
		case codeSubX:
			a -= x
		case codeMulK:
			a *= k
		case codeMulX:
			a *= x
		case codeDivK:
			if k == 0 {
				return 0, steps
			}
			a /= k
		case codeDivX:
			if x == 0 {
				return 0, steps
			}
			a /= x
		case codeModK:
			if k == 0 {
				return 0, steps
			}
			a %= k
		case codeModX:
			if x == 0 {
				return 0, steps
			}
			a %= x
		case codeOrK:
			a |= k
		case codeOrX:
			a |= x
		case codeAndK:
			a &= k
		case codeAndX:
			a &= x
		case codeXorK:
			a ^= k
		case codeXorX:
			a ^= x
		case codeLshK:
			a <<= k
		case codeLshX:
			a <<= x
		case codeRshK:
			a >>= k
		case codeRshX:
			a >>= x
		case codeNeg:
			a = -a

		case codeJump:
			pc += int(int32(k))
		case codeJEQK:
			pc += in.jump(a == k)
		case codeJEQX:
			pc += in.jump(a == x)
		case codeJGTK:
			pc += in.jump(a > k)
		case codeJGTX:
			pc += in.jump(a > x)
		case codeJGEK:
			pc += in.jump(a >= k)
		case codeJGEX:
			pc += in.jump(a >= x)
		case codeJSETK:
			pc += in.jump(a&k != 0)
		case codeJSETX:
			pc += in.jump(a&x != 0)

		case codeReturn:
			return k, steps
		case codeReturnA:
			return a, steps
		case codeTAX:
			x = a
		case codeTXA:
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

// ancillary returns a load from one of the offsets beyond every packet.
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
	case ancillaryVLANTag:
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
	return endian.BigEndian.Uint32(packet[offset:]), true
}

func loadHalf(packet []byte, offset uint64) (uint32, bool) {
	if offset+2 > uint64(len(packet)) {
		return 0, false
	}
	return uint32(endian.BigEndian.Uint16(packet[offset:])), true
}

func loadByte(packet []byte, offset uint64) (uint32, bool) {
	if offset+1 > uint64(len(packet)) {
		return 0, false
	}
	return uint32(packet[offset]), true
}
