package filter

import (
	"bytes"
	"testing"
)

// The evaluator must do with libpcap's own programs exactly what libpcap's
// interpreter does: the same packets, in the same number of steps.
func TestMatchRunsLibpcapsPrograms(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of cases, or a peer for each")
	}
	t.Parallel()
	for _, c := range corpusContexts {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			packets := readCorpusPackets(t, c)
			for _, want := range readCorpusResults(t, c.name) {
				if want.Bits == "" {
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
				if accepted, _ := acceptedPackets(parseCorpusProgram(t, want.Unoptimised),
					packets); !bytes.Equal(accepted, expected) {
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
	kernel := Metadata{Length: 1500, Kernel: true, VLANPresent: true, VLANTCI: 0x2064, PacketType: 4, Interface: 7,
		Protocol: 0x86dd}
	returnA := Instruction{Code: codeReturnA}
	for _, test := range []struct {
		name    string
		program []Instruction
		meta    Metadata
		want    uint32
	}{
		{"nothing to run", nil, Metadata{}, 0},
		{"runs off the end", []Instruction{{Code: codeLoadImm, K: 1}}, Metadata{}, 0},
		{"unknown operation", []Instruction{{Code: 0xffff}, {Code: codeReturn, K: 1}}, Metadata{}, 0},
		{"the length on the wire", []Instruction{{Code: codeLoadLen}, returnA}, Metadata{Length: 1500}, 1500},
		{"a length that was not given", []Instruction{{Code: codeLoadLen}, returnA}, Metadata{}, 8},
		{"the length as index", []Instruction{{Code: codeLoadXLen}, {Code: codeTXA}, returnA}, Metadata{Length: 9}, 9},
		{"the last word", []Instruction{{Code: codeLoadWord, K: 4}, returnA}, Metadata{}, 0x04050607},
		{"a word that sticks out", []Instruction{{Code: codeLoadWord, K: 5}, {Code: codeReturn, K: 1}}, Metadata{}, 0},
		{"an offset that wraps", []Instruction{{Code: codeLoadXImm, K: 2}, {Code: codeIndexByte, K: 0xffffffff},
			{Code: codeReturn, K: 1}}, Metadata{}, 0},
		{"the header length", []Instruction{{Code: codeLoadXMSH, K: 0}, {Code: codeTXA}, returnA}, Metadata{}, 20},
		{"division by zero", []Instruction{{Code: codeLoadImm, K: 5}, {Code: codeDivX}, {Code: codeReturn, K: 1}},
			Metadata{}, 0},
		{"remainder of zero", []Instruction{{Code: codeLoadImm, K: 5}, {Code: codeModK}, {Code: codeReturn, K: 1}},
			Metadata{}, 0},
		{"a shift by 32", []Instruction{{Code: codeLoadImm, K: 5}, {Code: codeLshK, K: 32}, returnA}, Metadata{}, 0},
		{"a difference below 0", []Instruction{{Code: codeSubK, K: 1}, returnA}, Metadata{}, 0xffffffff},
		{"negation", []Instruction{{Code: codeLoadImm, K: 5}, {Code: codeNeg}, returnA}, Metadata{}, 0xfffffffb},
		{"a scratch word never written", []Instruction{{Code: codeLoadMem, K: 15}, {Code: codeAddK, K: 3}, returnA},
			Metadata{}, 3},
		{"a scratch word that is not there", []Instruction{{Code: codeLoadMem, K: 16}, {Code: codeReturn, K: 1}},
			Metadata{}, 0},
		{"a loop that does not end", []Instruction{{Code: codeJump, K: 0xffffffff}}, Metadata{}, 0},
		{"a jump before the program", []Instruction{{Code: codeJump, K: 0xfffffff0}, {Code: codeReturn, K: 1}},
			Metadata{}, 0},
		{"no metadata", []Instruction{{Code: codeLoadHalf, K: ancillaryVLANTag}, {Code: codeReturn, K: 1}},
			Metadata{VLANTCI: 1}, 0},
		{"the VLAN tag", []Instruction{{Code: codeLoadHalf, K: ancillaryVLANTag}, returnA}, kernel, 0x2064},
		{"the presence of a VLAN tag", []Instruction{{Code: codeLoadByte, K: ancillaryVLANPresent}, returnA},
			kernel, 1},
		{"the packet type", []Instruction{{Code: codeLoadWord, K: ancillaryPacketType}, returnA}, kernel, 4},
		{"the interface", []Instruction{{Code: codeLoadWord, K: ancillaryInterface}, returnA}, kernel, 7},
		{"the protocol", []Instruction{{Code: codeLoadHalf, K: ancillaryProtocol}, returnA}, kernel, 0x86dd},
		{"metadata that does not exist",
			[]Instruction{{Code: codeLoadWord, K: ancillaryBase + 2}, {Code: codeReturn, K: 1}}, kernel, 0},
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
