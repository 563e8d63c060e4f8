package filter

import (
	endian "encoding/binary"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzExplain looks for text that breaks the shell's help while it is typed.
func FuzzExplain(f *testing.F) {
	for _, e := range []string{"", "tcp port 80 and not (host 192.0.2.1 or 2001:db8::1)", "ip[0] & 0xf != 5",
		"vlan 10 and \\tcp", "type mgt subtype"} {
		f.Add(e, len(e)/2)
	}
	f.Fuzz(func(t *testing.T, expression string, cursor int) {
		if len(expression) > 1000 {
			return
		}
		_, refused := Explain(expression)
		if _, err := Compile(expression, Target{Names: &tables{}}); err == nil && refused != nil {
			t.Errorf("%q compiles, but is not explained: %v", expression, refused)
		}
		_, candidates := Complete(expression, cursor, []Candidate{{"192.0.2.1", "here"}})
		for _, c := range candidates {
			if !utf8.ValidString(c.Text) {
				t.Errorf("%q is offered", c.Text)
			}
		}
	})
}

// FuzzMatch runs any program on any packet: it has to come back.
func FuzzMatch(f *testing.F) {
	f.Add([]byte{0x28, 0, 0, 0, 0, 0, 0, 12, 6, 0, 0, 0, 0, 0, 0, 1}, make([]byte, 14), true)
	f.Fuzz(func(_ *testing.T, code, packet []byte, kernel bool) {
		var p Program
		for len(code) >= 8 && len(p.Instructions) < 64 {
			p.Instructions = append(p.Instructions,
				Instruction{uint16(code[0]), code[2], code[3], endian.BigEndian.Uint32(code[4:])})
			code = code[8:]
		}
		p.Match(packet, Metadata{Kernel: kernel})
		p.KernelReady()
		p.Listing()
	})
}

// FuzzStructured looks for fields that make an expression the compiler refuses.
func FuzzStructured(f *testing.F) {
	f.Add("TCP", "10.0.0.1-10.0.0.9;!10.0.0.3", "80;443;", "IPv4", "00-0D-56-1F-73-64", "!eth0")
	f.Add("!(TCP,UDP)", "2001:db8::/32", "1-9", "0x86dd", "", "7")
	f.Fuzz(func(t *testing.T, protocol, address, port, etherType, ether, device string) {
		filters := []Structured{
			{Protocol: protocol, LocalAddress: address, RemotePort: port},
			{RemoteAddress: address, LocalPort: port, EthernetType: etherType},
			{IPv4SourceAddress: address, EthernetAddress: ether, CaptureInterface: device},
		}
		for _, s := range filters {
			expression, err := StructuredExpression([]Structured{s}, structuredHost)
			if err != nil {
				continue
			}
			_, err = Compile(expression, Target{LinkType: EN10MB, Kind: Live, Names: &tables{}})
			if err != nil && !strings.Contains(err.Error(), "rejects all packets") && len(expression) < maxExpression {
				t.Errorf("%+v: %s: %v", s, expression, err)
			}
		}
	})
}
