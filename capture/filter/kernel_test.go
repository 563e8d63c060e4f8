package filter

import "testing"

func TestKernelReady(t *testing.T) {
	accept := Instruction{Code: opRetK, K: 1}
	long := make([]Instruction, maxKernelInstructions+1)
	for i := range long {
		long[i] = accept
	}
	for _, test := range []struct {
		program []Instruction
		why     string
	}{
		{[]Instruction{accept}, ""},
		{long[1:], ""},
		{nil, "the program is empty"},
		{long, "the program has 4097 instructions, the kernel takes 4096"},
		{[]Instruction{{Code: opTax}}, "the program does not end with a return"},
		{[]Instruction{{Code: 0x99}, accept}, "instruction 0 has the unknown operation code 0x99"},
		{[]Instruction{accept, {Code: opJa, K: 0xfffffffe}, accept}, "instruction 1 jumps backwards"},
		{[]Instruction{{Code: opJa, K: 1}, accept}, "instruction 0 jumps out of the program"},
		{[]Instruction{{Code: opJeqK, Jf: 1}, accept}, "instruction 0 jumps out of the program"},
		{[]Instruction{{Code: opLshK, K: 32}, accept}, "instruction 0 shifts by 32 bits"},
		{[]Instruction{{Code: opModK}, accept}, "instruction 0 divides by 0"},
		{[]Instruction{{Code: opSt, K: 16}, accept}, "instruction 0 uses the scratch word M[16]"},
		{[]Instruction{{Code: opLdW, K: 0xfffff002}, accept}, "instruction 0 loads from the offset -4094, which has no meaning"},
		{[]Instruction{{Code: opLdW, K: ancillaryVLANTCI}, accept}, ""},
		{[]Instruction{{Code: opLdMem, K: 3}, accept}, "instruction 0 reads the scratch word M[3], which may not have been written"},
		{[]Instruction{{Code: opStx, K: 3}, {Code: opLdMem, K: 3}, accept}, ""},
		{[]Instruction{{Code: opJeqK, Jf: 1}, {Code: opSt, K: 0}, {Code: opLdMem}, accept}, "instruction 2 reads the scratch word M[0], which may not have been written"},
		{[]Instruction{{Code: opSt}, {Code: opJa, K: 1}, accept, {Code: opLdMem}, accept}, ""},
	} {
		p := Program{Instructions: test.program}
		ready, why := p.KernelReady()
		if why != test.why || ready != (test.why == "") {
			t.Errorf("%s: %v, %q, want %q", p.Listing(), ready, why, test.why)
		}
	}
}
