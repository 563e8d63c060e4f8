package filter

// The operation codes of classic BPF, named after the mnemonics of the listing.
// K stands for the constant of the instruction, X for the index register, Ind
// for an offset relative to the index register.
const (
	opLdImm  = 0x00
	opLdW    = 0x20
	opLdH    = 0x28
	opLdB    = 0x30
	opLdIndW = 0x40
	opLdIndH = 0x48
	opLdIndB = 0x50
	opLdMem  = 0x60
	opLdLen  = 0x80

	opLdxImm = 0x01
	opLdxMem = 0x61
	opLdxLen = 0x81
	opLdxMsh = 0xb1

	opSt  = 0x02
	opStx = 0x03

	opAddK = 0x04
	opAddX = 0x0c
	opSubK = 0x14
	opSubX = 0x1c
	opMulK = 0x24
	opMulX = 0x2c
	opDivK = 0x34
	opDivX = 0x3c
	opOrK  = 0x44
	opOrX  = 0x4c
	opAndK = 0x54
	opAndX = 0x5c
	opLshK = 0x64
	opLshX = 0x6c
	opRshK = 0x74
	opRshX = 0x7c
	opNeg  = 0x84
	opModK = 0x94
	opModX = 0x9c
	opXorK = 0xa4
	opXorX = 0xac

	opJa    = 0x05
	opJeqK  = 0x15
	opJeqX  = 0x1d
	opJgtK  = 0x25
	opJgtX  = 0x2d
	opJgeK  = 0x35
	opJgeX  = 0x3d
	opJsetK = 0x45
	opJsetX = 0x4d

	opRetK = 0x06
	opRetA = 0x16

	opTax = 0x07
	opTxa = 0x87
)

// The parts of an operation code that tell a conditional jump: the class, and
// the kind of jump, which is 0 for an unconditional one.
const (
	opClassMask = 0x07
	opClassJump = 0x05
	opJumpMask  = 0xf0
)

// scratchWords is the number of words M[0] … M[15] a program may store into.
const scratchWords = 16

// Linux offers what it knows about a packet beside its bytes as loads from
// offsets that no packet has.
const (
	ancillaryBase        = 0xfffff000
	ancillaryProtocol    = ancillaryBase + 0
	ancillaryPacketType  = ancillaryBase + 4
	ancillaryInterface   = ancillaryBase + 8
	ancillaryVLANTCI     = ancillaryBase + 44
	ancillaryVLANPresent = ancillaryBase + 48
)
