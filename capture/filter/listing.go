package filter

import (
	"fmt"
	"strings"
)

// Listing shows the program as `tcpdump -d` does: one instruction a line, with
// mnemonics and absolute jump targets.
func (p *Program) Listing() string {
	var b strings.Builder
	for n, in := range p.Instructions {
		b.WriteString(in.listing(n))
		b.WriteByte('\n')
	}
	return b.String()
}

// ListingC shows the program as `tcpdump -dd` does: initialisers for an array of
// struct bpf_insn in C.
func (p *Program) ListingC() string {
	var b strings.Builder
	for _, in := range p.Instructions {
		fmt.Fprintf(&b, "{ 0x%x, %d, %d, 0x%08x },\n", in.Code, in.Jt, in.Jf, in.K)
	}
	return b.String()
}

// ListingDecimal shows the program as `tcpdump -ddd` does: the number of
// instructions, then code, jt, jf and k of each, in decimal.
func (p *Program) ListingDecimal() string {
	var b strings.Builder
	fmt.Fprintln(&b, len(p.Instructions))
	for _, in := range p.Instructions {
		fmt.Fprintf(&b, "%d %d %d %d\n", in.Code, in.Jt, in.Jf, in.K)
	}
	return b.String()
}

// listing returns the line of one instruction, n its place in the program.
func (in Instruction) listing(n int) string {
	name, operand := in.mnemonic(n)
	if in.Code&classMask == classJMP && in.Code&opMask != 0 {
		return fmt.Sprintf("(%03d) %-8s %-16s jt %d\tjf %d", n, name, operand, n+1+int(in.Jt), n+1+int(in.Jf))
	}
	return fmt.Sprintf("(%03d) %-8s %s", n, name, operand)
}

// An operandForm is how the listing writes the operand of an instruction.
// The numbers are signed in all forms but the hexadecimal one, as in libpcap.
type operandForm string

const (
	formNone     operandForm = ""
	formDecimal  operandForm = "#%d"
	formHex      operandForm = "#0x%x"
	formAbsolute operandForm = "[%d]"
	formIndexed  operandForm = "[x + %d]"
	formScratch  operandForm = "M[%d]"
	formHeader   operandForm = "4*([%d]&0xf)"
	formX        operandForm = "x"
	formLength   operandForm = "#pktlen"
)

// mnemonics gives name and operand form of every instruction but the
// unconditional jump, whose operand depends on its place.
var mnemonics = map[uint16]struct {
	name string
	form operandForm
}{
	codeLoadImm:   {"ld", formHex},
	codeLoadWord:  {"ld", formAbsolute},
	codeLoadHalf:  {"ldh", formAbsolute},
	codeLoadByte:  {"ldb", formAbsolute},
	codeIndexWord: {"ld", formIndexed},
	codeIndexHalf: {"ldh", formIndexed},
	codeIndexByte: {"ldb", formIndexed},
	codeLoadMem:   {"ld", formScratch},
	codeLoadLen:   {"ld", formLength},
	codeLoadXImm:  {"ldx", formHex},
	codeLoadXMem:  {"ldx", formScratch},
	codeLoadXMSH:  {"ldxb", formHeader},
	codeStore:     {"st", formScratch},
	codeStoreX:    {"stx", formScratch},
	codeAddK:      {"add", formDecimal},
	codeAddX:      {"add", formX},
	codeSubK:      {"sub", formDecimal},
	codeSubX:      {"sub", formX},
	codeMulK:      {"mul", formDecimal},
	codeMulX:      {"mul", formX},
	codeDivK:      {"div", formDecimal},
	codeDivX:      {"div", formX},
	codeOrK:       {"or", formHex},
	codeOrX:       {"or", formX},
	codeAndK:      {"and", formHex},
	codeAndX:      {"and", formX},
	codeLshK:      {"lsh", formDecimal},
	codeLshX:      {"lsh", formX},
	codeRshK:      {"rsh", formDecimal},
	codeRshX:      {"rsh", formX},
	codeNeg:       {"neg", formNone},
	codeModK:      {"mod", formDecimal},
	codeModX:      {"mod", formX},
	codeXorK:      {"xor", formHex},
	codeXorX:      {"xor", formX},
	codeJEQK:      {"jeq", formHex},
	codeJEQX:      {"jeq", formX},
	codeJGTK:      {"jgt", formHex},
	codeJGTX:      {"jgt", formX},
	codeJGEK:      {"jge", formHex},
	codeJGEX:      {"jge", formX},
	codeJSETK:     {"jset", formHex},
	codeJSETX:     {"jset", formX},
	codeReturn:    {"ret", formDecimal},
	codeReturnA:   {"ret", formNone},
	codeTAX:       {"tax", formNone},
	codeTXA:       {"txa", formNone},
}

// ancillaryNames are the listing's names for what Linux knows about a packet,
// by offset from ancillaryBase.
var ancillaryNames = map[uint32]string{
	0: "proto", 4: "type", 8: "ifidx", 12: "nla", 16: "nlan", 20: "mark", 24: "queue", 28: "hatype",
	32: "rxhash", 36: "cpu", 40: "xor_x", 44: "vlan_tci", 48: "vlanp", 52: "poff", 56: "random", 60: "vlan_tpid",
}

func (in Instruction) mnemonic(n int) (name, operand string) {
	if in.Code == codeJump {
		return "ja", fmt.Sprint(int32(n) + 1 + int32(in.K))
	}
	m, ok := mnemonics[in.Code]
	if !ok {
		return "unimp", fmt.Sprintf("0x%x", in.Code)
	}
	switch m.form {
	case formNone, formX, formLength:
		return m.name, string(m.form)
	case formHex:
		return m.name, fmt.Sprintf(string(m.form), in.K)
	case formAbsolute:
		if ancillary, ok := ancillaryNames[in.K-ancillaryBase]; ok {
			return m.name, "[" + ancillary + "]"
		}
	}
	return m.name, fmt.Sprintf(string(m.form), int32(in.K))
}
