package filter

import (
	"errors"
	"testing"
)

// fuzzLinkTypes are those that FuzzCompile compiles for.
var fuzzLinkTypes = []LinkType{EN10MB, Raw, LinuxSLL, LinuxSLL2, IEEE80211Radio, IEEE80211, Null, PPP, IPv6}

// FuzzCompile feeds arbitrary text to the compiler. Whatever comes, it must return a program that
// ends on any packet, or an *Error that points into the expression.
func FuzzCompile(f *testing.F) {
	for _, e := range []string{
		"", "tcp port 80 or (443 and not 8080)", "host 192.0.2.1 and not (net 10/8 or 172.16)",
		"ip[((ip[0]&0xf)<<2)+13] & 2 != 0", "vlan 10 and mpls 5 and ip", "geneve 7 and vxlan and ip6",
		"pppoes and host 2001:db8::1", "type mgt subtype beacon or dir tods", "protochain 51", "llc rnr",
		"ether host 02:00:00:00:00:0a", "portrange 80-90-100", "len % 3 ^ 5 - -1 >= 1 << 33", "((((((((1))))))))",
		"not not not tcp", "byte 0 & 1", "src or dst and port 5", "net 1.2.3.4 mask 255.255.255.0", "\\host",
		"$1f", "::1",
		"gateway x", "decnet host 1.2", "iso proto \\esis", "ip proto 256 or l1", "1 = 1 / (1 - 1)",
	} {
		for kind := range byte(3) {
			f.Add(e, kind, byte(len(e)))
		}
	}
	f.Fuzz(func(t *testing.T, expression string, kind, link byte) {
		target := Target{
			LinkType: fuzzLinkTypes[int(link)%len(fuzzLinkTypes)],
			Kind:     Kind(kind % 3),
			Names:    fixedNames(t),
		}
		for _, target.Unoptimised = range []bool{false, true} {
			p, err := Compile(expression, target)
			if err != nil {
				var e *Error
				if !errors.As(err, &e) || e.Position < 0 || e.Position > len(expression) || e.Message == "" {
					t.Fatalf("error %#v does not point into %q", err, expression)
				}
				continue
			}
			last := p.Instructions[len(p.Instructions)-1]
			if last.Code&classMask != classRET {
				t.Fatalf("the program for %q does not end in a return", expression)
			}
			for i, in := range p.Instructions {
				if in.Code&classMask != classJMP {
					continue
				}
				if in.Code == codeJump {
					if to := i + 1 + int(int32(in.K)); to < 0 || to >= len(p.Instructions) {
						t.Fatalf("%q jumps out of the program at %d", expression, i)
					}
				} else if i+1+int(max(in.Jt, in.Jf)) >= len(p.Instructions) {
					t.Fatalf("%q jumps out of the program at %d", expression, i)
				}
			}
			p.Match([]byte(expression), Metadata{Kernel: kind == byte(Live)})
		}
	})
}
