package process

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/google/gopacket/pcapgo"
	"golang.org/x/sys/unix"

	"diagsh/capture/filter"
	"diagsh/internal/test/netnstest"
)

// nobody knows no name, so that a test asks no server.
type nobody struct{}

func (nobody) Hosts(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("unknown") }
func (nobody) Port(string, string) (uint16, bool)                  { return 0, false }
func (nobody) Protocol(string) (int, bool)                         { return 0, false }
func (nobody) Network(string) (uint32, bool)                       { return 0, false }
func (nobody) Ether(string) ([6]byte, bool)                        { return [6]byte{}, false }

const corpus = "../filter/testdata/corpus/"

// expressions returns those of the corpus of capture/filter.
func expressions(t *testing.T) (list []string) {
	f, err := os.Open(corpus + "expressions.tsv.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(z); lines.Scan(); {
		if columns := strings.Split(lines.Text(), "\t"); len(columns) == 4 && !strings.Contains(columns[3], `\`) {
			list = append(list, columns[3])
		}
	}
	return list
}

func packets(t *testing.T, name string) (list [][]byte) {
	f, err := os.Open(corpus + "packets/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 0 && len(data) < 3000 && info.Length == len(data) { // which the kernel takes for a test run
			list = append(list, data)
		}
	}
}

func classic(p *filter.Program) (list []unix.SockFilter) {
	for _, in := range p.Instructions {
		list = append(list, unix.SockFilter{Code: in.Code, Jt: in.Jt, Jf: in.Jf, K: in.K})
	}
	return list
}

func shiftsByIndex(p *filter.Program) bool {
	return slices.ContainsFunc(p.Instructions, func(in filter.Instruction) bool {
		return in.Code == unix.BPF_ALU|unix.BPF_LSH|unix.BPF_X || in.Code == unix.BPF_ALU|unix.BPF_RSH|unix.BPF_X
	})
}

// mustLoad loads a translated program that returns what it keeps.
func mustLoad(t *testing.T, code []unix.SockFilter) *ebpf.Program {
	t.Helper()
	instructions, err := Translate(code, asm.Instructions{asm.Return()})
	if err != nil {
		t.Fatal(err)
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, Instructions: instructions, License: "GPL"})
	if err != nil {
		t.Fatalf("%v\n%v", err, instructions)
	}
	return p
}

// TestTranslationOfCorpus: a translated program keeps of each packet what the expression says.
func TestTranslationOfCorpus(t *testing.T) {
	netnstest.NeedsRoot(t, "eBPF")
	beside := filter.Metadata{Kernel: true, Interface: 1, Protocol: unix.ETH_P_IP}
	programs, runs, kept := 0, 0, 0
	for _, of := range []struct {
		file string
		link filter.LinkType
		step int
	}{{"en10mb.pcap", filter.EN10MB, 1}, {"raw.pcap", filter.Raw, 4}} {
		all := packets(t, of.file)
		list := expressions(t)
		for n := 0; n < len(list); n += of.step {
			p, err := filter.Compile(list[n], filter.Target{LinkType: of.link, Kind: filter.Dead, Names: nobody{}})
			if err != nil {
				continue
			}
			// The kernel shifts by 32 and more as the processor does, Match by so many; see
			// TestTranslationOfAnything.
			if ready, _ := p.KernelReady(); !ready || shiftsByIndex(p) {
				continue
			}
			loaded := mustLoad(t, classic(p))
			programs++
			for i := n % 7; i < len(all); i += 1 + len(all)/50 {
				// The kernel takes what it is given for a frame of lo, and has its filter begin after the header.
				frame := append([]byte{12: 0x08, 13: 0x00}, all[i]...)
				is, err := loaded.Run(&ebpf.RunOptions{Data: frame})
				if err != nil {
					t.Fatal(err)
				}
				runs++
				if is > 0 {
					kept++
				}
				if want := p.Match(all[i], beside); is != want {
					t.Fatalf("%q keeps %d bytes of %x, not %d", list[n], is, all[i], want)
				}
			}
			loaded.Close()
		}
	}
	t.Logf("%d programs, %d packets, %d kept", programs, runs, kept)
	if programs < 3000 || kept < runs/50 {
		t.Error("the test says little")
	}
}

// TestTranslationOfAnything: programs that nobody would write do what they do when the kernel itself
// translates them.
func TestTranslationOfAnything(t *testing.T) {
	netnstest.NeedsRoot(t, "eBPF")
	random := rand.New(rand.NewPCG(7, 8))
	kept := 0
	for range 2000 {
		code := anything(random)
		ours, theirs := pair(t), pair(t)
		err := unix.SetsockoptSockFprog(theirs[1], unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]})
		if err != nil {
			t.Fatalf("%v: %v", err, code)
		}
		p := mustLoad(t, code)
		if err := unix.SetsockoptInt(ours[1], unix.SOL_SOCKET, unix.SO_ATTACH_BPF, p.FD()); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			data := make([]byte, 1+random.IntN(200))
			for i := range data {
				data[i] = byte(random.IntN(256))
			}
			is, want := pass(t, ours, data), pass(t, theirs, data)
			if is != want {
				t.Fatalf("keeps %d bytes of %x, not %d:\n%v", is, data, want, code)
			}
			if is > 0 {
				kept++
			}
		}
		p.Close()
		for _, s := range []int{ours[0], ours[1], theirs[0], theirs[1]} {
			unix.Close(s)
		}
	}
	t.Logf("%d of 20000 datagrams kept", kept)
	if kept < 2000 {
		t.Error("the test says little")
	}
}

func pair(t *testing.T) [2]int {
	t.Helper()
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// pass returns how much of a datagram a filter leaves.
func pass(t *testing.T, p [2]int, data []byte) int {
	t.Helper()
	if _, err := unix.Write(p[0], data); err != nil {
		t.Fatal(err)
	}
	n, err := unix.Read(p[1], make([]byte, 300))
	switch {
	case errors.Is(err, unix.EAGAIN):
		return 0
	case err != nil:
		t.Fatal(err)
	}
	return n
}

// anything returns a program that the kernel takes.
func anything(random *rand.Rand) (code []unix.SockFilter) {
	for range 4 {
		// Scratch words are written before they are read.
		code = append(code, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_IMM, K: random.Uint32()},
			unix.SockFilter{Code: unix.BPF_ST, K: uint32(len(code) / 2)})
	}
	operations := []uint16{unix.BPF_ADD, unix.BPF_SUB, unix.BPF_MUL, unix.BPF_DIV, unix.BPF_MOD, unix.BPF_OR, unix.BPF_AND,
		unix.BPF_XOR, unix.BPF_LSH, unix.BPF_RSH}
	comparisons := []uint16{unix.BPF_JEQ, unix.BPF_JGT, unix.BPF_JGE, unix.BPF_JSET}
	sizes := []uint16{unix.BPF_W, unix.BPF_H, unix.BPF_B}
	one := func(list []uint16) uint16 { return list[random.IntN(len(list))] }
	value := func() uint32 {
		return []uint32{random.Uint32(), random.Uint32N(40), 1, 1 << 31, 1<<32 - 1}[random.IntN(5)]
	}
	for left := 4 + random.IntN(40); left > 0; left-- {
		var in unix.SockFilter
		switch random.IntN(12) {
		case 0:
			in = unix.SockFilter{Code: unix.BPF_LD | unix.BPF_IMM, K: value()}
		case 1:
			in = unix.SockFilter{Code: unix.BPF_LD | unix.BPF_ABS | one(sizes), K: random.Uint32N(60)}
		case 2:
			in = unix.SockFilter{Code: unix.BPF_LD | unix.BPF_IND | one(sizes), K: []uint32{random.Uint32N(60), value()}[random.IntN(2)]}
		case 3:
			in = unix.SockFilter{Code: one([]uint16{unix.BPF_LD | unix.BPF_LEN, unix.BPF_LDX | unix.BPF_LEN})}
		case 4:
			in = unix.SockFilter{Code: one([]uint16{unix.BPF_LD, unix.BPF_LDX}) | unix.BPF_MEM, K: random.Uint32N(4)}
		case 5:
			in = unix.SockFilter{Code: one([]uint16{unix.BPF_ST, unix.BPF_STX}), K: random.Uint32N(4)}
		case 6:
			in = unix.SockFilter{Code: unix.BPF_LDX | unix.BPF_MSH | unix.BPF_B, K: random.Uint32N(60)}
		case 7:
			in = unix.SockFilter{Code: unix.BPF_LDX | unix.BPF_IMM, K: []uint32{random.Uint32N(40), value()}[random.IntN(2)]}
		case 8:
			in = unix.SockFilter{Code: unix.BPF_MISC | one([]uint16{unix.BPF_TAX, unix.BPF_TXA})}
		case 9:
			in = unix.SockFilter{Code: unix.BPF_ALU | one([]uint16{one(operations) | unix.BPF_X, unix.BPF_NEG})}
		case 10:
			in = unix.SockFilter{Code: unix.BPF_ALU | one(operations) | unix.BPF_K, K: max(value(), 1)}
			if operation := in.Code & operationMask; operation == unix.BPF_LSH || operation == unix.BPF_RSH {
				in.K %= 32
			}
		default:
			in = unix.SockFilter{Code: unix.BPF_JMP | one(comparisons) | one([]uint16{unix.BPF_K, unix.BPF_X}), K: value(),
				Jt: uint8(random.IntN(left + 1)), Jf: uint8(random.IntN(left + 1))}
		}
		code = append(code, in)
	}
	return append(code, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_A}, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 100})
}
