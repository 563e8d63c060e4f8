package filter

import "testing"

func TestKernelReady(t *testing.T) {
	accept := Instruction{Code: codeReturn, K: 1}
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
		{[]Instruction{{Code: codeTAX}}, "the program does not end with a return"},
		{[]Instruction{{Code: 0x99}, accept}, "instruction 0 has the unknown operation code 0x99"},
		{[]Instruction{accept, {Code: codeJump, K: 0xfffffffe}, accept}, "instruction 1 jumps backwards"},
		{[]Instruction{{Code: codeJump, K: 1}, accept}, "instruction 0 jumps out of the program"},
		{[]Instruction{{Code: codeJEQK, Jf: 1}, accept}, "instruction 0 jumps out of the program"},
		{[]Instruction{{Code: codeLshK, K: 32}, accept}, "instruction 0 shifts by 32 bits"},
		{[]Instruction{{Code: codeModK}, accept}, "instruction 0 divides by 0"},
		{[]Instruction{{Code: codeStore, K: 16}, accept}, "instruction 0 uses the scratch word M[16]"},
		{[]Instruction{{Code: codeLoadWord, K: 0xfffff002}, accept},
			"instruction 0 loads from the offset -4094, which has no meaning"},
		{[]Instruction{{Code: codeLoadWord, K: ancillaryVLANTag}, accept}, ""},
		{[]Instruction{{Code: codeLoadMem, K: 3}, accept},
			"instruction 0 reads the scratch word M[3], which may not have been written"},
		{[]Instruction{{Code: codeStoreX, K: 3}, {Code: codeLoadMem, K: 3}, accept}, ""},
		{[]Instruction{{Code: codeJEQK, Jf: 1}, {Code: codeStore, K: 0}, {Code: codeLoadMem}, accept},
			"instruction 2 reads the scratch word M[0], which may not have been written"},
		{[]Instruction{{Code: codeStore}, {Code: codeJump, K: 1}, accept, {Code: codeLoadMem}, accept}, ""},
	} {
		p := Program{Instructions: test.program}
		ready, why := p.KernelReady()
		if why != test.why || ready != (test.why == "") {
			t.Errorf("%s: %v, %q, want %q", p.Listing(), ready, why, test.why)
		}
	}
}
