package filter

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// sketch writes a tree with all parentheses, and the qualifiers in force at every identifier.
func sketch(n node) string {
	switch n := n.(type) {
	case nil:
		return ""
	case *chain:
		s := sketch(n.first)
		for _, l := range n.rest {
			word := "and"
			if l.or {
				word = "or"
			}
			s = fmt.Sprintf("(%s %s %s)", s, word, sketch(l.term))
		}
		return s
	case *group:
		return sketch(n.node)
	case *negation:
		return "not " + sketch(n.term)
	case *bareProtocol:
		return n.proto.String()
	case *identifier:
		text := n.text
		if n.kind == identNumber {
			text = strconv.Itoa(int(n.number))
		}
		if n.q.typ == typeUndefined {
			return "?:" + text
		}
		q := strings.Join(strings.Fields(strings.Join([]string{n.q.proto.String(), n.q.dir.String(), n.q.typ.String()},
			" ")), ".")
		return q + ":" + text
	case *primitive:
		return n.kind.String()
	case *relation:
		return "rel(" + sketchNumber(n.left) + "," + sketchNumber(n.right) + ")"
	}
	return "?"
}

func sketchNumber(n number) string {
	switch n := n.(type) {
	case *constant:
		return strconv.Itoa(int(n.value))
	case *packetLength:
		return "len"
	case *packetData:
		return fmt.Sprintf("%s[%s:%d]", n.proto, sketchNumber(n.offset), n.size)
	case *negative:
		return "-" + sketchNumber(n.operand)
	case *operation:
		word := map[tokenKind]string{tokenPlus: "+", tokenMinus: "-", tokenStar: "*", tokenSlash: "/",
			tokenPercent: "%",
			tokenCaret:   "^", tokenAmp: "&", tokenBar: "|", tokenLsh: "<<", tokenRsh: ">>"}[n.op]
		return "(" + sketchNumber(n.left) + word + sketchNumber(n.right) + ")"
	}
	return "?"
}

func TestParser(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"", ""},
		{"tcp", "tcp"},
		{"not host A and B", "(not host:A and host:B)"},
		{"not tcp or udp and icmp", "((not tcp or udp) and icmp)"},
		{"tcp port 80 or 443", "(tcp.port:80 or tcp.port:443)"},
		{"host A and (tcp[13]=2) and B", "((host:A and rel(tcp[13:1],2)) and host:B)"},
		{"host A and (port 80) and B", "((host:A and port:80) and host:B)"},
		{"host A and (port 80 and B)", "(host:A and (port:80 and port:B))"},
		{"port 80 and host A or 443", "((port:80 and host:A) or host:443)"},
		{"tcp or 443", "(tcp or ?:443)"},
		{"(port 80) or 443", "(port:80 or ?:443)"},
		{"vlan 10 or 20", "(vlan or ?:20)"},
		{"port (80 or 443)", "(port:80 or port:443)"},
		{"port ((80) or (443))", "(port:80 or port:443)"},
		{"port (not 80)", "not port:80"},
		{"host A and not (B or C)", "(host:A and not (host:B or host:C))"},
		{"src or dst host A", "src.or.dst.host:A"},
		{"src A or dst B", "(src.host:A or dst.host:B)"},
		{"src and dst port 5", "src.and.dst.port:5"},
		{"ip proto \\tcp or \\udp", "(ip.proto:tcp or ip.proto:udp)"},
		{"ether src 02:00:00:00:00:0a", "ether.src.host:02:00:00:00:00:0a"},
		{"tcp[13] & 2 != 0", "rel((tcp[13:1]&2),0)"},
		{"1 + 2 * 3 = 7", "rel((1+(2*3)),7)"},
		{"1 | 2 & 3 << 4 + 5 = 0", "rel((1|(2&(3<<(4+5)))),0)"},
		{"8 - 4 - 2 = 2", "rel(((8-4)-2),2)"},
		{"-1 + 2 = 1", "rel((-1+2),1)"},
		{"2 ^ 3 + 4 = 0", "rel((2^(3+4)),0)"},
		{"1 + 2 % 3 = 0", "rel((1+(2%3)),0)"},
		{"-2 ^ 3 = 0", "rel(-(2^3),0)"},
		{"((1)) = (1)", "rel(1,1)"},
		{"(1 + 2) * 3 = 9", "rel(((1+2)*3),9)"},
		{"(((tcp)))", "tcp"},
		{"ip[ip[0]:2] > len", "rel(ip[ip[0:1]:2],len)"},
	} {
		tree, err := parse(test.in)
		if err != nil {
			t.Errorf("parse(%q): %v", test.in, err)
		} else if s := sketch(tree); s != test.want {
			t.Errorf("parse(%q) = %s, want %s", test.in, s, test.want)
		}
	}
}

func TestParserRefuses(t *testing.T) {
	for _, in := range []string{
		"host", "tcp 80", "192.0.2.1", "alpha", "ip 192.0.2.1", "host ((A))", "port (80 or tcp)",
		"host (A or port 80)", "src not host A", "ip[1", "1 + = 2", "5", "(5)", "tcp and", "and tcp", "net 10/8",
		"ip[0:2:3] = 1", "vlan (10 or 20)", "src proto 6", "less", "byte 0 ! 5", "()", "(tcp", "tcp)",
		"host A and ((B) or C)",
	} {
		if tree, err := parse(in); err == nil {
			t.Errorf("parse(%q) = %s, want an error", in, sketch(tree))
		}
	}
}
