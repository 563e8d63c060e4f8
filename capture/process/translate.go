package process

import (
	"fmt"
	"strconv"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// Registers of a translated program. The kernel's loads of packet bytes want the context in R6, put
// what they load into R0, and spoil R1 to R5.
const (
	a       = asm.R0
	x       = asm.R7
	skb     = asm.R6
	spoiled = asm.R2
)

// Offsets of fields in struct __sk_buff (linux/bpf.h).
const (
	fieldLength      = 0
	fieldPacketType  = 4
	fieldProtocol    = 16
	fieldVLANPresent = 20
	fieldVLANTag     = 24
	fieldInterface   = 40
	fieldControl     = 48 // cb, five words that a filter may write
)

// Labels of the ends of a translated program.
const (
	reject = "reject"
	accept = "accept"
)

// Translate turns a classic program of a packet socket into eBPF, as the kernel itself would
// (bpf_convert_filter of net/core/filter.c). It must be one that the kernel takes. The instructions
// of then follow where the program accepts a packet: R0 is how many bytes of it are kept, and R6 the
// context. The error is a sentence without full stop.
func Translate(classic []unix.SockFilter, then asm.Instructions) (asm.Instructions, error) {
	program := asm.Instructions{
		asm.Mov.Reg(skb, asm.R1),
		asm.Mov.Imm(a, 0),
		asm.Mov.Imm(x, 0),
	}
	reached, targets := ways(classic)
	for n, in := range classic {
		if !reached[n] { // the kernel takes no such instructions
			continue
		}
		some, err := translate(n, in)
		if err != nil {
			return nil, fmt.Errorf("instruction %d of the filter %w", n, err)
		}
		if targets[n] {
			some[0] = some[0].WithSymbol(label(n))
		}
		program = append(program, some...)
	}
	used := make(map[string]bool)
	for _, in := range program {
		used[in.Reference()] = true
	}
	if used[reject] {
		program = append(program, asm.Mov.Imm(a, 0).WithSymbol(reject), asm.Return())
	}
	if used[accept] {
		then[0] = then[0].WithSymbol(accept)
		program = append(program, then...)
	}
	return program, nil
}

// ways returns which instructions can be reached, and which by a jump. Jumps go forward only.
func ways(classic []unix.SockFilter) (reached, targets map[int]bool) {
	reached, targets = map[int]bool{0: true}, make(map[int]bool)
	to := func(n int) { reached[n], targets[n] = true, true }
	for n, in := range classic {
		switch {
		case !reached[n]:
		case in.Code&classMask == unix.BPF_RET:
		case in.Code&classMask != unix.BPF_JMP:
			reached[n+1] = true
		case in.Code&operationMask == unix.BPF_JA:
			to(n + 1 + int(in.K))
		default:
			to(n + 1 + int(in.Jt))
			to(n + 1 + int(in.Jf))
		}
	}
	return reached, targets
}

// Parts of a classic operation code (linux/bpf_common.h).
const (
	classMask     = 0x07
	operationMask = 0xf0
	sizeMask      = 0x18
	modeMask      = 0xe0
	fromX         = unix.BPF_X
)

func label(n int) string { return "at" + strconv.Itoa(n) }

// translate returns one instruction of a classic program, the nth, as one or more of eBPF.
func translate(n int, in unix.SockFilter) (asm.Instructions, error) {
	k := int32(in.K)
	switch in.Code & classMask {
	case unix.BPF_LD:
		return load(in)
	case unix.BPF_LDX:
		return loadIndex(in)
	case unix.BPF_ST:
		return asm.Instructions{asm.StoreMem(asm.R10, scratch(in.K), a, asm.Word)}, nil
	case unix.BPF_STX:
		return asm.Instructions{asm.StoreMem(asm.R10, scratch(in.K), x, asm.Word)}, nil
	case unix.BPF_ALU:
		return calculate(in)
	case unix.BPF_JMP:
		return jump(n, in)
	case unix.BPF_RET:
		switch {
		case in.Code&0x18 == unix.BPF_A:
			return asm.Instructions{asm.JEq.Imm32(a, 0, reject), asm.Ja.Label(accept)}, nil
		case in.K == 0:
			return asm.Instructions{asm.Ja.Label(reject)}, nil
		}
		return asm.Instructions{asm.Mov.Imm32(a, k), asm.Ja.Label(accept)}, nil
	}
	if in.Code&0xf8 == unix.BPF_TXA {
		return asm.Instructions{asm.Mov.Reg32(a, x)}, nil
	}
	return asm.Instructions{asm.Mov.Reg32(x, a)}, nil // BPF_TAX
}

// scratch returns where on the stack a word of the memory is.
func scratch(word uint32) int16 { return -4 * int16(unix.BPF_MEMWORDS-word) }

// load sets A.
func load(in unix.SockFilter) (asm.Instructions, error) {
	switch in.Code & modeMask {
	case unix.BPF_IMM:
		return asm.Instructions{asm.Mov.Imm32(a, int32(in.K))}, nil
	case unix.BPF_LEN:
		return asm.Instructions{asm.LoadMem(a, skb, fieldLength, asm.Word)}, nil
	case unix.BPF_MEM:
		return asm.Instructions{asm.LoadMem(a, asm.R10, scratch(in.K), asm.Word)}, nil
	case unix.BPF_IND:
		return asm.Instructions{asm.LoadInd(a, x, int32(in.K), sizeOf(in))}, nil
	}
	if in.K < ancillary || in.K >= ancillaryEnd {
		return asm.Instructions{asm.LoadAbs(int32(in.K), sizeOf(in))}, nil
	}
	field := func(offset int16) asm.Instructions {
		return asm.Instructions{asm.LoadMem(a, skb, offset, asm.Word)}
	}
	switch in.K - ancillary {
	case besideProtocol:
		return append(field(fieldProtocol), asm.HostTo(asm.BE, a, asm.Half)), nil
	case besidePacketType:
		return field(fieldPacketType), nil
	case besideInterface:
		return field(fieldInterface), nil
	case besideVLANTag:
		return field(fieldVLANTag), nil
	case besideVLANPresent:
		return field(fieldVLANPresent), nil
	}
	return nil, fmt.Errorf("loads from the offset %d, which eBPF does not have", int32(in.K))
}

// Offsets from ancillary on, SKF_AD_OFF of linux/filter.h, are values beside the packet: SKF_AD_*.
const (
	ancillary    = 1<<32 - 0x1000
	ancillaryEnd = ancillary + 64

	besideProtocol    = 0
	besidePacketType  = 4
	besideInterface   = 8
	besideVLANTag     = 44
	besideVLANPresent = 48
)

func sizeOf(in unix.SockFilter) asm.Size {
	switch in.Code & sizeMask {
	case unix.BPF_H:
		return asm.Half
	case unix.BPF_B:
		return asm.Byte
	}
	return asm.Word
}

// loadIndex sets X.
func loadIndex(in unix.SockFilter) (asm.Instructions, error) {
	switch in.Code & modeMask {
	case unix.BPF_IMM:
		return asm.Instructions{asm.Mov.Imm32(x, int32(in.K))}, nil
	case unix.BPF_LEN:
		return asm.Instructions{asm.LoadMem(x, skb, fieldLength, asm.Word)}, nil
	case unix.BPF_MEM:
		return asm.Instructions{asm.LoadMem(x, asm.R10, scratch(in.K), asm.Word)}, nil
	case unix.BPF_MSH: // the length of an IPv4 header; X keeps A meanwhile
		return asm.Instructions{
			asm.Mov.Reg(x, a),
			asm.LoadAbs(int32(in.K), asm.Byte),
			asm.And.Imm32(a, 0xf),
			asm.LSh.Imm32(a, 2),
			asm.Mov.Reg(spoiled, x),
			asm.Mov.Reg(x, a),
			asm.Mov.Reg(a, spoiled),
		}, nil
	}
	return nil, fmt.Errorf("has the unknown operation code 0x%x", in.Code)
}

var operations = map[uint16]asm.ALUOp{
	unix.BPF_ADD: asm.Add, unix.BPF_SUB: asm.Sub, unix.BPF_MUL: asm.Mul, unix.BPF_DIV: asm.Div, unix.BPF_MOD: asm.Mod,
	unix.BPF_OR: asm.Or, unix.BPF_AND: asm.And, unix.BPF_XOR: asm.Xor, unix.BPF_LSH: asm.LSh, unix.BPF_RSH: asm.RSh,
}

// calculate changes A. A division by 0 rejects the packet.
func calculate(in unix.SockFilter) (asm.Instructions, error) {
	code := in.Code & operationMask
	if code == unix.BPF_NEG {
		return asm.Instructions{asm.Neg.Imm32(a, 0)}, nil
	}
	operation, ok := operations[code]
	switch {
	case !ok:
		return nil, fmt.Errorf("has the unknown operation code 0x%x", in.Code)
	case in.Code&fromX == 0:
		return asm.Instructions{operation.Imm32(a, int32(in.K))}, nil
	case code == unix.BPF_DIV || code == unix.BPF_MOD:
		return asm.Instructions{asm.JEq.Imm32(x, 0, reject), operation.Reg32(a, x)}, nil
	}
	return asm.Instructions{operation.Reg32(a, x)}, nil
}

var comparisons = map[uint16]asm.JumpOp{
	unix.BPF_JEQ: asm.JEq, unix.BPF_JGT: asm.JGT, unix.BPF_JGE: asm.JGE, unix.BPF_JSET: asm.JSet,
}

// jump is the nth instruction.
func jump(n int, in unix.SockFilter) (asm.Instructions, error) {
	code := in.Code & operationMask
	if code == unix.BPF_JA {
		return asm.Instructions{asm.Ja.Label(label(n + 1 + int(in.K)))}, nil
	}
	comparison, ok := comparisons[code]
	if !ok {
		return nil, fmt.Errorf("has the unknown operation code 0x%x", in.Code)
	}
	then := label(n + 1 + int(in.Jt))
	program := asm.Instructions{comparison.Imm32(a, int32(in.K), then)}
	if in.Code&fromX != 0 {
		program[0] = comparison.Reg32(a, x, then)
	}
	if in.Jf != 0 {
		program = append(program, asm.Ja.Label(label(n+1+int(in.Jf))))
	}
	return program, nil
}
