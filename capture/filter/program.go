package filter

// Instruction is one instruction of classic BPF, laid out as struct sock_filter
// of the kernel: Jt and Jf are relative to the next instruction, and so is K of
// an unconditional jump.
type Instruction struct {
	Code   uint16
	Jt, Jf uint8
	K      uint32
}

// Program is a compiled filter. It returns the number of bytes to keep of a
// packet, 0 for a packet that is not wanted.
type Program struct {
	Instructions []Instruction
}
