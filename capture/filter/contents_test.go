package filter

import (
	endian "encoding/binary"
	"slices"
	"strings"
	"testing"
)

// headersOf returns how many bytes at the beginning of an Ethernet frame are headers, by the
// layouts of RFC 791, 8200, 9293, 768, 792 and 9260: an oracle that knows nothing of the compiler.
func headersOf(frame []byte) int {
	at, left := 14, frame
	if len(left) < at {
		return len(frame)
	}
	kind := endian.BigEndian.Uint16(frame[12:])
	for (kind == 0x8100 || kind == 0x88a8 || kind == 0x9100) && len(frame) >= at+4 {
		kind = endian.BigEndian.Uint16(frame[at+2:])
		at += 4
	}
	least := map[byte]int{6: 20, 17: 8, 1: 8, 58: 8, 132: 12}
	n := 50 // of what is neither IP nor carries it
	switch {
	case kind == 0x8847 || kind == 0x8848 || kind == 0x8864:
		n = 8
	case kind == 0x0800 && len(frame) >= at+20:
		n = int(frame[at]&0xf) * 4
		if endian.BigEndian.Uint16(frame[at+6:])&0x1fff == 0 {
			n += least[frame[at+9]]
		}
		n = max(n, 20)
	case kind == 0x86dd && len(frame) >= at+40:
		n = 40 + least[frame[at+6]]
		if next := frame[at+6]; next == 44 || next == 0 || next == 43 || next == 60 {
			n = 40 + 8
		}
	}
	return min(len(frame), at+n)
}

// A filter that passes must answer the same whatever is after the headers: then no count of packets
// that match tells anything about contents.
func TestHeaderFiltersSayNothingOfContents(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of cases, or a peer for each")
	}
	t.Parallel()
	g := newChooser(*differentialSeed + 9)
	passed, refused, matched := 0, 0, 0
	for passed < 6000 {
		expression := g.expression(EN10MB)
		if g.chance(4) {
			expression = strings.Repeat(pick(g, "vlan or ", "not vlan and ", "vlan and ", "(vlan or ip) and "),
				1+g.IntN(9)) + expression
		}
		kind := pick(g, Live, Savefile)
		program, err := Compile(expression, Target{LinkType: EN10MB, Kind: kind, Netmask: 0xffffff00})
		if err != nil {
			continue
		}
		if LooksBehindHeaders(expression) != nil {
			refused++
			continue
		}
		passed++
		for range 8 {
			frame := append(g.packet(EN10MB), make([]byte, g.IntN(40))...)
			headers := headersOf(frame)
			meta := Metadata{Length: uint32(len(frame)), Kernel: kind == Live, VLANPresent: g.chance(3),
				VLANTCI: uint16(g.tag()), Protocol: 0x0800}
			want := program.Match(frame, meta) != 0
			if want {
				matched++
			}
			for range 4 {
				other := slices.Clone(frame)
				for i := headers; i < len(other); i++ {
					other[i] = byte(g.Uint32())
				}
				if got := program.Match(other, meta) != 0; got != want {
					t.Fatalf("%q matches by what is behind the headers (%d bytes of them):\n% x\n% x", expression,
						headers, frame, other)
				}
			}
		}
	}
	if matched < passed/4 || refused < passed/20 {
		t.Errorf("of %d filters that passed and %d that were refused, %d matched: the test says too little", passed,
			refused, matched)
	}
}

func TestLooksBehindHeaders(t *testing.T) {
	for _, expression := range []string{
		"", "tcp", "port 25", "host 192.0.2.1 and (port 25 or 587)", "net 2001:db8::/32",
		"tcp[tcpflags] & (tcp-syn|tcp-fin) != 0", "tcp[13] = 2",
		"tcp[0:2] > 1024", "udp[4:2] < 100", "ip[0] & 0xf != 5", "ip[8] < 5", "ip6[6] = 58",
		"icmp[icmptype] = icmp-echo", "icmp6[0] = 135",
		"ether[0] & 1 = 1", "ether[12:2] = 0x88cc", "arp[6:2] = 1", "sctp[0:2] = 5060", "greater 1000", "less 60",
		"len > 100 and len < 200",
		"vlan 7 and port 25", "vlan and vlan and tcp[13] & 2 != 0", "ether proto 0x88cc", "proto 89", "ip6 proto 17",
		"mpls", "mpls 7", "pppoes 5",
		"mpls and greater 100", "inbound", "gateway router", "portrange 6000-6010",
		"tcp[tcpflags] & tcp-push != 0 and ip[2:2] - ((ip[0] & 0xf) << 2) > 40",
		"tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
		"ip[2:2] - ((ip[0] & 0xf) << 2) != (tcp[12] & 0xf0) >> 2",
		"not vlan", "port 25 and not vlan", "port 25 or (vlan and port 25)",
		"port 25 or (vlan and (port 25 or (vlan and port 25)))", "vlan and not port 25",
		"not (vlan and port 25)", "vlan and (port 25 or udp)", "(vlan 7) and (tcp or udp) and not icmp",
		"not vlan and greater 100", "vlan 7 or len > 900",
		"not vlan and byte 12 = 8", "byte 12 = 8", "not broadcast and not multicast", "ether host 00:11:22:33:44:55",
	} {
		if err := LooksBehindHeaders(expression); err != nil {
			t.Errorf("%q reads headers only, and is refused: %v", expression, err)
		}
	}
	for expression, at := range map[string]int{
		"udp port 9999 and udp[14] & 8 != 0":            18,
		"tcp[20:4] = 0x47455420":                        0,
		"tcp[18:4] = 1":                                 0,
		"tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420": 0,
		"1 = udp[8]":                                    4,
		"port 1 or not (1 < len + udp[8])":              25,
		"ip[20] = 1":                                    0,
		"ip[40:4] > 5":                                  0,
		"ip6[48] = 1":                                   0,
		"ether[14] = 1":                                 0,
		"ether[50:4] = 1":                               0,
		"link[42] = 1":                                  0,
		"icmp[8] = 1":                                   0,
		"icmp6[8:2] = 1":                                0,
		"sctp[12] = 0":                                  0,
		"igmp[0] = 1":                                   0,
		"- udp[9] = 5":                                  2,
		"byte 42 = 6":                                   0,
		"vxlan 7":                                       0,
		"vxlan and host 192.0.2.1":                      0,
		"geneve":                                        0,
		"mpls and net 10.0.0.0/8":                       13,
		"mpls 1 and mpls 2":                             11,
		"pppoes and tcp[13] = 2":                        11,
		"7 + ip[8] < 100":                               4,
		"1 + tcp[19] & 1 = 1":                           4,
		"len - tcp[12] > 5 and tcp":                     6,
		"port 80 and ip[2:2] - tcp[12] != 0":            22,
		"tcp and ip[2:2] - tcp[12] != 0":                18,
		"(tcp port 80 or udp) and ip[2:2] - tcp[12] != 0":                                    35,
		"vlan or vlan or vlan or vlan or vlan or vlan or vlan or vlan or ether proto 0x6b65": 8,
		"not vlan and ip host 192.0.2.1":                                                     21,
		"not vlan and tcp":                                                                   13,
		"not (vlan) and tcp[0:2] = 1":                                                        15,
		"not not vlan and tcp":                                                               17,
		"vlan or ip":                                                                         8,
		"(vlan and port 25) or port 25":                                                      27,
		"vlan and port 25 or port 25":                                                        25,
		"vlan and (udp or not vlan) and tcp":                                                 31,
		"port 25 or (vlan and port 25) and udp":                                              34,
		"vlan 7 or vlan 8":                                                                   10,
		"not vlan and 1 < len + ip[8]":                                                       13,
		"ip6 protochain 6":                                                                   15,
		"tcp[13] & udp[8] = 1":                                                               10,
		"udp[0xfffffffe:4] = 1":                                                              0,
		"host 192.0.2.1 and (port 7 or tcp[20] = 1) and tcp[20:4] = 5":                       30,
	} {
		err := LooksBehindHeaders(expression)
		switch {
		case err == nil:
			t.Errorf("%q reads contents, and passes", expression)
		case err.Position != at:
			t.Errorf("%q: the place is %d (%s); want %d", expression, err.Position, expression[err.Position:], at)
		}
		if _, err := Compile(expression, Target{LinkType: EN10MB, Kind: Savefile}); err != nil {
			t.Errorf("%q is no filter: %v", expression, err)
		}
	}
}
