package filter

// Instruction is one classic BPF instruction, laid out as the kernel's struct sock_filter.
type Instruction struct {
	Code   uint16
	Jt, Jf uint8
	K      uint32
}

// Program is a compiled filter: the instructions and the target that they were made for.
type Program struct {
	Instructions []Instruction
	Target       Target
}
