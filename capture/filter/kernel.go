package filter

import "fmt"

// maxKernelInstructions is BPF_MAXINSNS, the longest classic program a socket takes.
const maxKernelInstructions = 4096

// KernelReady reports whether SO_ATTACH_FILTER takes the program, and if not, why. The rules are
// those of the kernel's bpf_check_classic(): a program that KernelReady accepts is refused only for
// want of socket memory (net.core.optmem_max). They say nothing about the packets: what the socket
// sees has to begin as the link type of the program does.
func (p *Program) KernelReady() (ready bool, why string) {
	code := p.Instructions
	switch {
	case len(code) == 0:
		return false, "the program is empty"
	case len(code) > maxKernelInstructions:
		return false, fmt.Sprintf("the program has %d instructions, the kernel takes %d", len(code),
			maxKernelInstructions)
	}
	for n, in := range code {
		if why := in.kernelRefusal(len(code) - n - 1); why != "" {
			return false, fmt.Sprintf("instruction %d %s", n, why)
		}
	}
	if last := code[len(code)-1].Code; last != codeReturn && last != codeReturnA {
		return false, "the program does not end with a return"
	}
	return scratchWrittenBeforeRead(code)
}

// kernelRefusal says why the kernel would not take the instruction; rest is the number of
// instructions after it.
func (in Instruction) kernelRefusal(rest int) string {
	if _, known := mnemonics[in.Code]; !known && in.Code != codeJump && in.Code != codeLoadXLen {
		return fmt.Sprintf("has the unknown operation code 0x%x", in.Code)
	}
	switch in.Code {
	case codeJump:
		if int32(in.K) < 0 {
			return "jumps backwards"
		}
		if in.K >= uint32(rest) {
			return "jumps out of the program"
		}
	case codeJEQK, codeJEQX, codeJGTK, codeJGTX, codeJGEK, codeJGEX, codeJSETK, codeJSETX:
		if int(max(in.Jt, in.Jf)) >= rest {
			return "jumps out of the program"
		}
	case codeLshK, codeRshK:
		if in.K > 31 {
			return fmt.Sprintf("shifts by %d bits", in.K)
		}
	case codeDivK, codeModK:
		if in.K == 0 {
			return "divides by 0"
		}
	case codeLoadMem, codeLoadXMem, codeStore, codeStoreX:
		if in.K >= memoryWords {
			return fmt.Sprintf("uses the scratch word M[%d]", in.K)
		}
	case codeLoadWord, codeLoadHalf, codeLoadByte:
		if _, known := ancillaryNames[in.K-ancillaryBase]; in.K >= ancillaryBase && !known {
			return fmt.Sprintf("loads from the offset %d, which has no meaning", int32(in.K))
		}
	}
	return ""
}

// scratchWrittenBeforeRead follows the program in order and keeps for every
// instruction the set of scratch words that all ways to it have written. Jumps
// only go forward, so one pass is enough.
func scratchWrittenBeforeRead(code []Instruction) (bool, string) {
	const all = 1<<memoryWords - 1
	written := make([]uint16, len(code))
	for n := range written {
		written[n] = all
	}
	var here uint16
	for n, in := range code {
		here &= written[n]
		switch in.Code {
		case codeStore, codeStoreX:
			here |= 1 << in.K
		case codeLoadMem, codeLoadXMem:
			if here&(1<<in.K) == 0 {
				return false,
					fmt.Sprintf("instruction %d reads the scratch word M[%d], which may not have been written", n, in.K)
			}
		case codeJump:
			written[n+1+int(in.K)] &= here
			here = all
		case codeJEQK, codeJEQX, codeJGTK, codeJGTX, codeJGEK, codeJGEX, codeJSETK, codeJSETX:
			written[n+1+int(in.Jt)] &= here
			written[n+1+int(in.Jf)] &= here
			here = all
		}
	}
	return true, ""
}
