package filter

import (
	"bytes"
	"testing"
)

// The evaluator must do with libpcap's own programs exactly what libpcap's
// interpreter does: the same packets, in the same number of steps.
func TestMatchRunsLibpcapsPrograms(t *testing.T) {
	for _, c := range corpusContexts {
		if c.packets == "" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			packets := readCorpusPackets(t, c)
			for _, want := range readCorpusResults(t, c.name) {
				if !want.OK {
					continue
				}
				accepted, steps := acceptedPackets(parseCorpusProgram(t, want.Optimised), packets)
				expected := parsePacketSet(t, want.Bits)
				if !bytes.Equal(accepted, expected) {
					t.Errorf("%s: other packets than libpcap", want.ID)
				}
				if steps != want.Steps {
					t.Errorf("%s: %d steps, libpcap %d", want.ID, steps, want.Steps)
				}
				if want.Unoptimised == "" {
					continue
				}
				for _, i := range want.Udiff {
					expected.flip(i)
				}
				if accepted, _ := acceptedPackets(parseCorpusProgram(t, want.Unoptimised), packets); !bytes.Equal(accepted, expected) {
					t.Errorf("%s, unoptimised: other packets than libpcap", want.ID)
				}
			}
		})
	}
}

func acceptedPackets(program *Program, packets []corpusPacket) (accepted packetSet, steps int) {
	accepted = newPacketSet(len(packets))
	for i := range packets {
		keep, n := program.run(packets[i].data, &packets[i].meta)
		steps += n
		if keep != 0 {
			accepted.add(i)
		}
	}
	return accepted, steps
}

func TestMatch(t *testing.T) {
	packet := []byte{0x45, 1, 2, 3, 4, 5, 6, 7}
	kernel := Metadata{Length: 1500, Kernel: true, VLANPresent: true, VLANTCI: 0x2064, PacketType: 4, Interface: 7, Protocol: 0x86dd}
	returnA := Instruction{Code: opRetA}
	for _, test := range []struct {
		name    string
		program []Instruction
		meta    Metadata
		want    uint32
	}{
		{"nothing to run", nil, Metadata{}, 0},
		{"runs off the end", []Instruction{{Code: opLdImm, K: 1}}, Metadata{}, 0},
		{"unknown operation", []Instruction{{Code: 0xffff}, {Code: opRetK, K: 1}}, Metadata{}, 0},
		{"the length on the wire", []Instruction{{Code: opLdLen}, returnA}, Metadata{Length: 1500}, 1500},
		{"a length that was not given", []Instruction{{Code: opLdLen}, returnA}, Metadata{}, 8},
		{"the length as index", []Instruction{{Code: opLdxLen}, {Code: opTxa}, returnA}, Metadata{Length: 9}, 9},
		{"the last word", []Instruction{{Code: opLdW, K: 4}, returnA}, Metadata{}, 0x04050607},
		{"a word that sticks out", []Instruction{{Code: opLdW, K: 5}, {Code: opRetK, K: 1}}, Metadata{}, 0},
		{"an offset that wraps", []Instruction{{Code: opLdxImm, K: 2}, {Code: opLdIndB, K: 0xffffffff}, {Code: opRetK, K: 1}}, Metadata{}, 0},
		{"the header length", []Instruction{{Code: opLdxMsh, K: 0}, {Code: opTxa}, returnA}, Metadata{}, 20},
		{"division by zero", []Instruction{{Code: opLdImm, K: 5}, {Code: opDivX}, {Code: opRetK, K: 1}}, Metadata{}, 0},
		{"remainder of zero", []Instruction{{Code: opLdImm, K: 5}, {Code: opModK}, {Code: opRetK, K: 1}}, Metadata{}, 0},
		{"a shift by 32", []Instruction{{Code: opLdImm, K: 5}, {Code: opLshK, K: 32}, returnA}, Metadata{}, 0},
		{"a difference below 0", []Instruction{{Code: opSubK, K: 1}, returnA}, Metadata{}, 0xffffffff},
		{"negation", []Instruction{{Code: opLdImm, K: 5}, {Code: opNeg}, returnA}, Metadata{}, 0xfffffffb},
		{"a scratch word never written", []Instruction{{Code: opLdMem, K: 15}, {Code: opAddK, K: 3}, returnA}, Metadata{}, 3},
		{"a scratch word that is not there", []Instruction{{Code: opLdMem, K: 16}, {Code: opRetK, K: 1}}, Metadata{}, 0},
		{"a loop that does not end", []Instruction{{Code: opJa, K: 0xffffffff}}, Metadata{}, 0},
		{"a jump before the program", []Instruction{{Code: opJa, K: 0xfffffff0}, {Code: opRetK, K: 1}}, Metadata{}, 0},
		{"no metadata", []Instruction{{Code: opLdH, K: ancillaryVLANTCI}, {Code: opRetK, K: 1}}, Metadata{VLANTCI: 1}, 0},
		{"the VLAN tag", []Instruction{{Code: opLdH, K: ancillaryVLANTCI}, returnA}, kernel, 0x2064},
		{"the presence of a VLAN tag", []Instruction{{Code: opLdB, K: ancillaryVLANPresent}, returnA}, kernel, 1},
		{"the packet type", []Instruction{{Code: opLdW, K: ancillaryPacketType}, returnA}, kernel, 4},
		{"the interface", []Instruction{{Code: opLdW, K: ancillaryInterface}, returnA}, kernel, 7},
		{"the protocol", []Instruction{{Code: opLdH, K: ancillaryProtocol}, returnA}, kernel, 0x86dd},
		{"metadata that does not exist", []Instruction{{Code: opLdW, K: ancillaryBase + 2}, {Code: opRetK, K: 1}}, kernel, 0},
	} {
		p := Program{Instructions: test.program}
		if got := p.Match(packet, test.meta); got != test.want {
			t.Errorf("%s: %#x, want %#x", test.name, got, test.want)
		}
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	packets := readCorpusPackets(t, corpusContexts[0])
	program := parseCorpusProgram(t, readCorpusResults(t, "en10mb")[0].Optimised)
	if n := testing.AllocsPerRun(10, func() {
		for i := range packets {
			program.Match(packets[i].data, packets[i].meta)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	packets := readCorpusPackets(b, corpusContexts[0])
	program := parseCorpusProgram(b, readCorpusResults(b, "en10mb")[1].Optimised)
	b.ResetTimer()
	for i := range b.N {
		p := &packets[i%len(packets)]
		program.Match(p.data, p.meta)
	}
}
