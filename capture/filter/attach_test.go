package filter

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attach gives the program to the kernel as the filter of a socket.
func attach(socket int, p *Program) error {
	code := make([]unix.SockFilter, len(p.Instructions))
	for i, in := range p.Instructions {
		code[i] = unix.SockFilter{Code: in.Code, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	return unix.SetsockoptSockFprog(socket, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(code)), Filter: unsafe.SliceData(code)})
}

func newSocket(t *testing.T) int {
	t.Helper()
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(socket) })
	return socket
}

// KernelReady has to agree with the kernel on programs that nobody would write.
func TestKernelReadyAgreesWithTheKernel(t *testing.T) {
	socket := newSocket(t)
	random := rand.New(rand.NewPCG(3, 1))
	var attached int
	for range 20000 {
		p := randomProgram(random)
		err := attach(socket, p)
		if err == nil {
			attached++
		} else if !errors.Is(err, unix.EINVAL) {
			t.Fatalf("attach: %v", err)
		}
		if ready, why := p.KernelReady(); ready != (err == nil) {
			t.Fatalf("KernelReady says %v (%s), the kernel %v:\n%s", ready, why, err, p.Listing())
		}
	}
	if attached < 1000 {
		t.Errorf("the kernel took only %d programs, the test says little", attached)
	}
}

// randomProgram makes a short program whose instructions are mostly valid by
// themselves, so that about half of the programs are valid as a whole.
func randomProgram(random *rand.Rand) *Program {
	codes := make([]uint16, 0, len(mnemonics)+2)
	for code := range mnemonics {
		codes = append(codes, code)
	}
	codes = append(codes, codeJump, codeLoadXLen)
	slices.Sort(codes)
	pick := func(values ...uint32) uint32 { return values[random.IntN(len(values))] }
	var p Program
	for range 1 + random.IntN(8) {
		in := Instruction{Code: codes[random.IntN(len(codes))]}
		if random.IntN(40) == 0 {
			in.Code = uint16(random.IntN(0x120))
		}
		switch in.Code {
		case codeLoadMem, codeLoadXMem, codeStore, codeStoreX:
			in.K = pick(0, 0, 0, 1, 1, 15, 16)
		case codeLoadWord, codeLoadHalf, codeLoadByte:
			in.K = pick(0, 12, 0xffffffff, ancillaryBase+4*uint32(random.IntN(18)), ancillaryBase+2)
		case codeJump:
			in.K = pick(0, 0, 1, 2, 0xffffffff)
		default:
			in.K = pick(0, 1, 2, 31, 32, 0xffffffff)
		}
		in.Jt, in.Jf = uint8(pick(0, 0, 1, 2)), uint8(pick(0, 0, 1, 2))
		p.Instructions = append(p.Instructions, in)
	}
	if random.IntN(10) > 0 {
		p.Instructions = append(p.Instructions, Instruction{Code: uint16(pick(codeReturn, codeReturnA))})
	}
	return &p
}
