package filter

// Numbers of classic BPF, as in linux/bpf_common.h.
const (
	classMask = 0x07
	classLD   = 0x00
	classLDX  = 0x01
	classST   = 0x02
	classSTX  = 0x03
	classALU  = 0x04
	classJMP  = 0x05
	classRET  = 0x06
	classMISC = 0x07

	sizeMask = 0x18
	sizeW    = 0x00
	sizeH    = 0x08
	sizeB    = 0x10

	modeMask = 0xe0
	modeIMM  = 0x00
	modeABS  = 0x20
	modeIND  = 0x40
	modeMEM  = 0x60
	modeLEN  = 0x80
	modeMSH  = 0xa0

	opMask = 0xf0
	opADD  = 0x00
	opSUB  = 0x10
	opMUL  = 0x20
	opDIV  = 0x30
	opOR   = 0x40
	opAND  = 0x50
	opLSH  = 0x60
	opRSH  = 0x70
	opNEG  = 0x80
	opMOD  = 0x90
	opXOR  = 0xa0

	opJA   = 0x00
	opJEQ  = 0x10
	opJGT  = 0x20
	opJGE  = 0x30
	opJSET = 0x40

	srcMask = 0x08
	srcK    = 0x00
	srcX    = 0x08

	codeTAX = classMISC
	codeTXA = classMISC | 0x80

	codeLoadImm  = classLD | modeIMM
	codeLoadMem  = classLD | modeMEM
	codeLoadLen  = classLD | modeLEN
	codeLoadXImm = classLDX | modeIMM
	codeLoadXMem = classLDX | modeMEM
	codeLoadXMSH = classLDX | modeMSH | sizeB
	codeStore    = classST
	codeStoreX   = classSTX
	codeReturn   = classRET
	codeJump     = classJMP | opJA

	// memoryWords is the number of scratch words that a program has.
	memoryWords = 16
)

// Offsets at which a load reads metadata of the packet instead of its bytes (SKF_AD_OFF and
// SKF_AD_* of linux/filter.h).
const (
	ancillaryBase        = 0xfffff000
	ancillaryPacketType  = ancillaryBase + 4
	ancillaryInterface   = ancillaryBase + 8
	ancillaryVLANTag     = ancillaryBase + 44
	ancillaryVLANPresent = ancillaryBase + 48
)
