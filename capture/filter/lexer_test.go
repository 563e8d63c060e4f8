package filter

import (
	"strings"
	"testing"
)

func TestLexer(t *testing.T) {
	kinds := map[tokenKind]string{
		tokenNumber: "number", tokenName: "name", tokenQuad: "quad", tokenIPv6: "ipv6", tokenEther: "ether",
		tokenARCnet: "arcnet", tokenError: "error", tokenProtocol: "protocol", tokenDirection: "direction",
		tokenType: "type", tokenPrimitive: "primitive", tokenForeign: "foreign", tokenLength: "len", tokenMask: "mask",
	}
	for _, test := range []struct{ in, want string }{
		{"80", "number:80"},
		{"0x1F 017", "number:0x1F number:017"},
		{"080", "error"},
		{"4294967296", "error"},
		{"4294967295", "number:4294967295"},
		{"tcp-syn", "number:tcp-syn"},
		{"tcp-synx", "name:tcp-synx"},
		{"Tcp TCP tcp", "name:Tcp name:TCP protocol:tcp"},
		{"10.1 10.1.2 10.1.2.3", "quad:10.1 quad:10.1.2 quad:10.1.2.3"},
		{"1.2.3.4.5", "name:1.2.3.4.5"},
		{"0x0a.1", "quad:0x0a.1"},
		{"10.1.2.3.", "name:10.1.2.3."},
		{"80-90", "name:80-90"},
		{"http-https", "name:http-https"},
		{"a-", "name:a -"},
		{"len-4", "name:len-4"},
		{"len - 4", "len:len - number:4"},
		{"8080x 1a", "name:8080x name:1a"},
		{"0:1:2:3:4:5 02-00-00-00-00-0a 2.0.0.0.0.a", "ether:0:1:2:3:4:5 ether:02-00-00-00-00-0a ether:2.0.0.0.0.a"},
		{"0200.0000.000a 02000000000a", "ether:0200.0000.000a ether:02000000000a"},
		{"112233445566", "ether:112233445566"},
		{"1122334455667", "error"},
		{"1:2:3:4:5", "error"},
		{"1:2:3:4:5:6:7:8", "ipv6:1:2:3:4:5:6:7:8"},
		{":: ::1 fe80:: 2001:db8::1", "ipv6::: ipv6:::1 ipv6:fe80:: ipv6:2001:db8::1"},
		{"::ffff:192.0.2.1", "ipv6:::ffff:192.0.2.1"},
		{"1::2::3", "error"},
		{"ip[10:2]", "protocol:ip [ number:10 : number:2 ]"},
		{`\tcp`, "name:tcp"},
		{`\`, "error"},
		{"$1f", "arcnet:$1f"},
		{"a&&b||!c", "name:a && name:b || ! name:c"},
		{"<= >= != == << >> < > =", "<= >= != == << >> < > ="},
		{"addr1 address1 dir direction es-is",
			"direction:addr1 direction:address1 primitive:dir primitive:direction protocol:es-is"},
		{"mask", "mask:mask"},
		{"vpi", "foreign:vpi"},
		{"a\vb", "name:a error"},
		{"", ""},
	} {
		var got []string
		for _, tok := range lex(test.in) {
			switch name, ok := kinds[tok.kind]; {
			case tok.kind == tokenEnd:
			case tok.kind == tokenError:
				got = append(got, name)
			case ok:
				got = append(got, name+":"+tok.text)
			default:
				got = append(got, tok.text)
			}
		}
		if s := strings.Join(got, " "); s != test.want {
			t.Errorf("lex(%q) = %s, want %s", test.in, s, test.want)
		}
	}
}

func TestLexerPositions(t *testing.T) {
	const in = "  not\ttcp [ 13]"
	for _, tok := range lex(in) {
		if tok.kind != tokenEnd && !strings.HasPrefix(in[tok.pos:], tok.text) {
			t.Errorf("%q is said to be at %d", tok.text, tok.pos)
		}
	}
}
