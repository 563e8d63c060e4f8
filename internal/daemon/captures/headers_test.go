package captures

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"diagsh/capture"
	"diagsh/capture/headers"
	"diagsh/internal/daemon/captures/programs"
)

// kept returns how many bytes of a packet a program keeps, by the virtual machine of
// golang.org/x/net/bpf.
func kept(t testing.TB, program []bpf.RawInstruction, packet []byte) int {
	t.Helper()
	instructions, ok := bpf.Disassemble(program)
	if !ok {
		t.Fatal("the program cannot be disassembled")
	}
	vm, err := bpf.NewVM(instructions)
	if err != nil {
		t.Fatal(err)
	}
	n, err := vm.Run(packet)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func ether(kind uint16, rest ...[]byte) []byte {
	return slices.Concat(append([][]byte{make([]byte, 12), binary.BigEndian.AppendUint16(nil, kind)}, rest...)...)
}

func tag(kind uint16) []byte { return []byte{0, 7, byte(kind >> 8), byte(kind)} }

func ipv4Packet(proto byte, options int, fragment uint16, rest []byte) []byte {
	h := make([]byte, 20+options)
	h[0], h[9] = byte(0x40|len(h)/4), proto
	binary.BigEndian.PutUint16(h[6:], fragment)
	return append(h, rest...)
}

func ipv6Packet(next byte, rest ...[]byte) []byte {
	h := make([]byte, 40)
	h[0], h[6] = 0x60, next
	return slices.Concat(append([][]byte{h}, rest...)...)
}

// extension is an extension header of IPv6 of 8 + 8 * more bytes.
func extension(next, more byte) []byte {
	h := make([]byte, 8+8*int(more))
	h[0], h[1] = next, more
	return h
}

func tcpSegment(options int, payload []byte) []byte {
	h := make([]byte, 20+options)
	h[12] = byte(len(h) / 4 << 4)
	return append(h, payload...)
}

var payload = bytes.Repeat([]byte("secret "), 100)

// A headerCase is a packet and how much of it is headers.
type headerCase struct {
	name   string
	packet []byte
	want   int
}

// headerExtensions is how many headers of extensions headers.Cut follows.
const headerExtensions = 6

func ipCases() []headerCase {
	udp := append(make([]byte, 8), payload...)
	tooMany := [][]byte{}
	for range headerExtensions + 1 {
		tooMany = append(tooMany, extension(60, 0))
	}
	return []headerCase{
		{"ipv4 tcp", ipv4Packet(6, 0, 0, tcpSegment(0, payload)), 40},
		{"ipv4 tcp, options in both", ipv4Packet(6, 8, 0x4000, tcpSegment(12, payload)), 60},
		{"ipv4 tcp without payload", ipv4Packet(6, 0, 0, tcpSegment(12, nil)), 52},
		{"ipv4 udp", ipv4Packet(17, 0, 0, udp), 28},
		{"ipv4 icmp", ipv4Packet(1, 0, 0, udp), 28},
		{"ipv4 sctp", ipv4Packet(132, 0, 0, udp), 32},
		{"ipv4 gre", ipv4Packet(47, 0, 0, udp), 20},
		{"ipv4 first fragment", ipv4Packet(17, 0, 0x2000, udp), 28},
		{"ipv4 later fragment", ipv4Packet(17, 4, 0x00b9, payload), 24},
		{"ipv6 tcp", ipv6Packet(6, tcpSegment(12, payload)), 72},
		{"ipv6 udp", ipv6Packet(17, udp), 48},
		{"ipv6 icmp", ipv6Packet(58, udp), 48},
		{"ipv6 esp", ipv6Packet(50, payload), 40},
		{"ipv6 hop-by-hop, destination, tcp",
			ipv6Packet(0, extension(60, 0), extension(6, 2), tcpSegment(0, payload)), 40 + 8 + 24 + 20},
		{"ipv6 first fragment", ipv6Packet(44, []byte{17, 0, 0, 1, 0, 0, 0, 9}, udp), 56},
		{"ipv6 later fragment", ipv6Packet(44, []byte{17, 0, 0, 8, 0, 0, 0, 9}, payload), 48},
		{"ipv6 with too many headerExtensions", ipv6Packet(60, append(tooMany, payload)...), 40 + headerExtensions*8},
	}
}

func ethernetCases() []headerCase {
	var list []headerCase
	for _, c := range ipCases() {
		kind := uint16(0x0800)
		if c.packet[0]>>4 == 6 {
			kind = 0x86dd
		}
		list = append(list,
			headerCase{c.name, ether(kind, c.packet), 14 + c.want},
			headerCase{c.name + " after a tag", ether(0x8100, tag(kind), c.packet), 18 + c.want},
			headerCase{c.name + " after two tags", ether(0x88a8, tag(0x8100), tag(kind), c.packet), 22 + c.want})
	}
	return append(list,
		headerCase{"arp", ether(0x0806, make([]byte, 46)), 60},
		headerCase{"lldp", ether(0x88cc, payload), 64},
		headerCase{"802.3", ether(0x0100, payload), 64},
		headerCase{"pppoe", ether(0x8864, payload), 22},
		headerCase{"mpls", ether(0x8847, payload), 22},
	)
}

func TestHeadersOnly(t *testing.T) {
	for link, cases := range map[capture.LinkType][]headerCase{
		capture.Ethernet: ethernetCases(), capture.Raw: ipCases(),
	} {
		program := headers.Cut(nil, link, 0)
		if len(program) > 1000 {
			t.Errorf("the program has %d instructions", len(program))
		}
		short := headers.Cut(nil, link, 30)
		for _, c := range cases {
			if got := min(kept(t, program, c.packet), len(c.packet)); got != c.want {
				t.Errorf("%s: %d bytes are kept; want %d", c.name, got, c.want)
			}
			if got := kept(t, short, c.packet); got != min(30, c.want) {
				t.Errorf("%s, 30 bytes at most: %d are kept", c.name, got)
			}
			// However short it is, no packet is dropped, and nothing after its headers is kept.
			for n := 1; n < len(c.packet) && n < 200; n++ {
				if got := min(kept(t, program, c.packet[:n]), n); got == 0 || got > c.want {
					t.Errorf("%s, %d bytes of it: %d are kept; want 1 to %d", c.name, n, got, c.want)
				}
			}
		}
	}
}

func TestHeadersOnlyDropsNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, link := range []capture.LinkType{capture.Ethernet, capture.Raw} {
		program := headers.Cut(nil, link, 0)
		cases := ethernetCases()
		if link == capture.Raw {
			cases = ipCases()
		}
		for range 3000 {
			packet := slices.Clone(cases[random.IntN(len(cases))].packet)
			for range 1 + random.IntN(6) {
				packet[random.IntN(min(len(packet), 80))] = byte(random.Uint32())
			}
			if packet = packet[:1+random.IntN(len(packet))]; kept(t, program, packet) == 0 {
				t.Fatalf("% x is dropped", packet)
			}
		}
	}
}

func TestHeadersOnlyKeepsTheFilter(t *testing.T) {
	d := &Table{}
	spec := capture.Spec{Options: capture.Options{Filter: "tcp dst port 25 or udp or vlan 7", Management: true}}
	ethernet := []capture.Interface{{LinkType: capture.Ethernet}}
	whole, err := d.buildFilter(t.Context(), spec, ethernet)
	if err != nil {
		t.Fatal(err)
	}
	spec.HeadersOnly = true
	cut, err := d.buildFilter(t.Context(), spec, ethernet)
	if err != nil {
		t.Fatal(err)
	}
	programOf := func(f *programs.Filter) []bpf.RawInstruction {
		p, err := f.Program(t.Context(), ethernet[0])
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	// The virtual machine of this test knows no VLAN metadata, so the part that asks for it is
	// taken out.
	withoutMetadata := func(p []bpf.RawInstruction) []bpf.RawInstruction {
		p = slices.Clone(p)
		for i := range p {
			if p[i].Op == 0x30 && p[i].K >= 0xfffff000 || p[i].Op == 0x28 && p[i].K >= 0xfffff000 {
				p[i] = bpf.RawInstruction{Op: unix.BPF_LD | unix.BPF_IMM}
			}
		}
		return p
	}
	accepted := 0
	for _, c := range ethernetCases() {
		all := kept(t, withoutMetadata(programOf(whole)), c.packet)
		headers := kept(t, withoutMetadata(programOf(cut)), c.packet)
		if (all == 0) != (headers == 0) || headers > c.want {
			t.Errorf("%s: the filter keeps %d bytes, and %d of the headers; want at most %d",
				c.name, all, headers, c.want)
		}
		if all > 0 {
			accepted++
		}
	}
	if accepted == 0 || accepted == len(ethernetCases()) {
		t.Errorf("the filter accepts %d of %d packets, which shows nothing", accepted, len(ethernetCases()))
	}
}
