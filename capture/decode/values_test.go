package decode

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"diagsh/capture"
)

// ip4 and the functions below make headers of packets that gopacket does not make.
func ip4(protocol byte, length, fragment int, inside []byte) []byte {
	b := []byte{0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}
	binary.BigEndian.PutUint16(b[2:], uint16(length))
	binary.BigEndian.PutUint16(b[6:], uint16(fragment))
	return append(b, inside...)
}

func ip6(next byte, length int, inside []byte) []byte {
	b := make([]byte, ipv6Header)
	b[0], b[6], b[7] = 0x60, next, 64
	binary.BigEndian.PutUint16(b[4:], uint16(length))
	copy(b[8:], []byte{0x20, 1, 0xd, 0xb8})
	copy(b[24:], []byte{0x20, 1, 0xd, 0xb8})
	b[23], b[39] = 1, 2
	return append(b, inside...)
}

func segment(data string, options ...byte) []byte {
	b := []byte{0x0f, 0xa5, 0, 25, 0, 0, 0, 1, 0, 0, 0, 1, byte(5+len(options)/4) << 4, 0x10, 3, 0xe8, 0, 0, 0, 0}
	return append(append(b, options...), data...)
}

func datagram(length int, data string) []byte {
	return append([]byte{3, 0xe8, 0x27, 0x0f, byte(length >> 8), byte(length), 0, 0}, data...)
}

func frame(kind uint16, inside []byte) []byte {
	return append([]byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, byte(kind >> 8), byte(kind)}, inside...)
}

func inHex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestLinesOfUnusualPackets: lines of packets that are cut, longer than a header can say, or
// nested.
func TestLinesOfUnusualPackets(t *testing.T) {
	mss := []byte{2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0}
	whole := frame(0x0800, ip4(6, 56, 0, segment("", mss...)))
	// hop-by-hop options, then 80000 bytes
	jumbogram := append([]byte{6, 0, 0xc2, 4, 0, 1, 0x38, 0x80}, segment("x")...)
	for _, c := range []struct {
		name   string
		data   []byte
		length int // on the wire; 0: the length of data
		want   string
	}{
		{"no Ethernet header", whole[:13], 70, "[|ether] [cut to 13]"},
		{"no IP header", whole[:30], 70, "IP [|ip] [cut to 30]"},
		{"no TCP header", whole[:34], 70, "IP 10.0.0.1 > 10.0.0.2: [|tcp] [cut to 34]"},
		{"the ports of TCP", whole[:38], 70, "IP 10.0.0.1.4005 > 10.0.0.2.25: [|tcp] [cut to 38]"},
		{"some options of TCP", whole[:61], 70,
			"IP 10.0.0.1.4005 > 10.0.0.2.25: Flags [.], seq 1, ack 1, win 1000, options [mss 1460,sackOK[|tcp]], length 0 [cut to 61]"},
		{"the ports of UDP", frame(0x0800, ip4(17, 236, 0, datagram(216, "")[:4])), 250,
			"IP 10.0.0.1.1000 > 10.0.0.2.9999: [|udp] [cut to 38]"},
		{"no IPv6 header", frame(0x86dd, ip6(6, 20, nil))[:39], 74, "IP6 [|ip6] [cut to 39]"},
		{"a runt of IP", frame(0x0800, nil), 0, "IP [|ip]"},
		{"ARP", frame(0x0806, []byte{0, 1, 8, 0, 6, 4, 0, 1, 2, 0}), 42, "ARP, [|arp] [cut to 24]"},
		{"wrong length of IP's header", frame(0x0800, append([]byte{0x42}, make([]byte, 30)...)), 0, "IP bad-hlen 8"},

		{"IP of length 0, cut", frame(0x0800, ip4(6, 0, 0, segment("zzzz"))), 3054,
			"IP 10.0.0.1.4005 > 10.0.0.2.25: Flags [.], seq 1:3001, ack 1, win 1000, length 3000: zzzz [cut to 58]"},
		{"BIG TCP", frame(0x0800, ip4(6, 0, 0, segment("z"))), 14 + 20 + 20 + 80000,
			"IP 10.0.0.1.4005 > 10.0.0.2.25: Flags [.], seq 1:80001, ack 1, win 1000, length 80000 [cut to 55]"},
		{"BIG TCP in IPv6", frame(0x86dd, ip6(6, 0, segment("z"))), 14 + 40 + 20 + 80000,
			"IP6 2001:db8::1.4005 > 2001:db8::2.25: Flags [.], seq 1:80001, ack 1, win 1000, length 80000 [cut to 75]"},
		{"a jumbogram", frame(0x86dd, ip6(0, 0, jumbogram)), 14 + 40 + 80000,
			"IP6 2001:db8::1.4005 > 2001:db8::2.25: Flags [.], seq 1:79973, ack 1, win 1000, length 79972 [cut to 83]"},
		{"IPv6 with nothing in it, padded", append(frame(0x86dd, ip6(59, 0, nil)), make([]byte, 6)...), 0,
			"IP6 2001:db8::1 > 2001:db8::2: no next header, length 0"},
		{"AH", frame(0x0800, ip4(51, 164, 0, append(inHex(t, "060400000000000100000001000000000000000000000000"),
			segment(strings.Repeat("\x00", 100))...))), 0,
			"IP 10.0.0.1.4005 > 10.0.0.2.25: Flags [.], seq 1:101, ack 1, win 1000, length 100"},
		{"AH in IPv6, behind options",
			frame(0x86dd,
				ip6(60, 152, append(inHex(t, "3300010400000000"+"060400000000000100000001000000000000000000000000"),
					segment(strings.Repeat("\x00", 100))...))), 0,
			"IP6 2001:db8::1.4005 > 2001:db8::2.25: Flags [.], seq 1:101, ack 1, win 1000, length 100"},
		{"padding is no data", append(frame(0x0800, ip4(6, 40, 0, segment(""))), "pads!!"...), 0,
			"IP 10.0.0.1.4005 > 10.0.0.2.25: Flags [.], seq 1, ack 1, win 1000, length 0"},
		{"the first fragment", frame(0x0800, ip4(17, 1500, 0x2000, datagram(3008, ""))), 1514,
			"IP 10.0.0.1.1000 > 10.0.0.2.9999: UDP, length 3000 [cut to 42]"},
		{"another fragment", frame(0x0800, ip4(17, 1500, 185, nil)), 1514,
			"IP 10.0.0.1 > 10.0.0.2: udp, fragment at 1480, length 1480 [cut to 34]"},
		{"the first fragment in IPv6",
			frame(0x86dd, ip6(44, 1448, append([]byte{17, 0, 0, 1, 0, 0, 0, 9}, datagram(3008, "")...))), 1502,
			"IP6 2001:db8::1.1000 > 2001:db8::2.9999: UDP, length 3000 [cut to 70]"},
		{"another fragment in IPv6", frame(0x86dd, ip6(44, 1448, []byte{17, 0, 5, 0xa1, 0, 0, 0, 9})), 1502,
			"IP6 2001:db8::1 > 2001:db8::2: udp, fragment at 1440, length 1440 [cut to 62]"},

		{"port unreachable", frame(0x0800,
			ip4(1, 56, 0, append([]byte{3, 3, 0, 0, 0, 0, 0, 0}, ip4(17, 100, 0, datagram(80, ""))...))), 0,
			"IP 10.0.0.1 > 10.0.0.2: ICMP 10.0.0.2 udp port 9999 unreachable, length 36"},
		{"need to frag", frame(0x0800,
			ip4(1, 56, 0, append([]byte{3, 4, 0, 0, 0, 0, 5, 0x78}, ip4(6, 1500, 0, segment("")[:8])...))), 0,
			"IP 10.0.0.1 > 10.0.0.2: ICMP 10.0.0.2 unreachable - need to frag (mtu 1400), length 36"},
		{"host unreachable", frame(0x0800,
			ip4(1, 56, 0, append([]byte{3, 1, 0, 0, 0, 0, 0, 0}, ip4(6, 1500, 0, segment("")[:8])...))), 0,
			"IP 10.0.0.1 > 10.0.0.2: ICMP host 10.0.0.2 unreachable, length 36"},
		{"redirect",
			frame(0x0800, ip4(1, 56, 0, append([]byte{5, 1, 0, 0, 10, 0, 0, 9}, ip4(6, 1500, 0, segment("")[:8])...))),
			0, "IP 10.0.0.1 > 10.0.0.2: ICMP redirect 10.0.0.2 to host 10.0.0.9, length 36"},
		{"unreachable, cut", frame(0x0800,
			ip4(1, 56, 0, append([]byte{3, 3, 0, 0, 0, 0, 0, 0}, ip4(17, 100, 0, nil)...))), 70,
			"IP 10.0.0.1 > 10.0.0.2: ICMP 10.0.0.2 [|icmp], length 36 [cut to 62]"},
		{"port unreachable in IPv6", frame(0x86dd,
			ip6(58, 56, append([]byte{1, 4, 0, 0, 0, 0, 0, 0}, ip6(17, 100, datagram(80, ""))...))), 0,
			"IP6 2001:db8::1 > 2001:db8::2: ICMP6, destination unreachable, unreachable port, 2001:db8::2 udp port 9999, length 56"},
		{"too big", frame(0x86dd, ip6(58, 48, append([]byte{2, 0, 0, 0, 0, 0, 5, 0x78}, ip6(6, 1500, nil)...))), 0,
			"IP6 2001:db8::1 > 2001:db8::2: ICMP6, packet too big, mtu 1400, length 48"},
		{"time exceeded in IPv6", frame(0x86dd,
			ip6(58, 48, append([]byte{3, 0, 0, 0, 0, 0, 0, 0}, ip6(6, 1500, nil)...))), 0,
			"IP6 2001:db8::1 > 2001:db8::2: ICMP6, time exceeded in-transit for 2001:db8::2, length 48"},

		{"IGMP version 3, cut to the length of version 2", frame(0x0800, ip4(2, 36, 0, inHex(t, "2200f90100000001"))),
			50, "IP 10.0.0.1 > 10.0.0.2: [|igmp] [cut to 42]"},
		{"DNS, cut in its question", frame(0x0800,
			ip4(17, 58, 0, inHex(t, "03e8003500260000"+"0063010000010000000000000461"))), 72,
			"IP 10.0.0.1.1000 > 10.0.0.2.53: 99+ [|domain] (30) [cut to 56]"},
		{"DNS, cut behind its question",
			frame(0x0800, ip4(17, 68, 0, inHex(t, "003503e800300000"+"006381830001000000010000"+"016100"+"00010001"))),
			82, "IP 10.0.0.1.53 > 10.0.0.2.1000: 99 A? a. NXDomain 0/1/0 [|domain] (40) [cut to 61]"},
		{"DNS, cut before what makes another code of it",
			frame(0x0800, ip4(17, 68, 0, inHex(t, "003503e800300000"+"006381870001000000000001"))), 82,
			"IP 10.0.0.1.53 > 10.0.0.2.1000: 99 0/0/1 [|domain] (40) [cut to 54]"},
		{"DNS by TCP",
			frame(0x0800, ip4(6, 61, 0, inHex(t, "03e80035"+"00000001"+"00000001"+"501003e800000000"+"0013"+
				"006301000001000000000000"+"016100"+"00010001"))), 0,
			"IP 10.0.0.1.1000 > 10.0.0.2.53: Flags [.], seq 1:22, ack 1, win 1000, length 21 99+ A? a. (19)"},
		{"DNS by TCP, not whole", frame(0x0800,
			ip4(6, 61, 0, inHex(t, "03e80035"+"00000001"+"00000001"+"501003e800000000"+"0200"+
				"006301000001000000000000"+"016100"+"00010001"))), 0,
			"IP 10.0.0.1.1000 > 10.0.0.2.53: Flags [.], seq 1:22, ack 1, win 1000, length 21"},
	} {
		p := packet(c.data)
		if c.length > 0 {
			p.Length = uint32(c.length)
		}
		p.Direction = capture.DirectionUnknown
		got := strings.TrimSpace(text(Decode(1, p, capture.Interface{LinkType: capture.Ethernet},
			Line))[len("15:04:05.000000 "):])
		if got != c.want {
			t.Errorf("%s:\n%s\nand not\n%s", c.name, got, c.want)
		}
	}
}

// TestRecordOfACutPacket: a record of a cut packet names the header that it ends in, and has no
// member with an invented value.
func TestRecordOfACutPacket(t *testing.T) {
	p := packet(frame(0x0800, ip4(6, 40, 0, segment("")))[:38])
	p.Length = 54
	record, err := json.Marshal(Decode(1, p, ethernet, All))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"cutIn":"TCP"`, `"sourcePort":4005`, `"info":"[|tcp]"`,
		`{"name":"TCP","summary":"[|tcp]"}`} {
		if !bytes.Contains(record, []byte(want)) {
			t.Errorf("%s is not in %s", want, record)
		}
	}
	for _, not := range []string{"Seq", "Checksum\",\"value\":\"0\"}]},{\"name\":\"TCP", "seq"} {
		if bytes.Contains(record, []byte(not)) {
			t.Errorf("%s is in %s", not, record)
		}
	}
}

// TestLinkTypes: every link type that a filter can be compiled for is decoded, and some more.
func TestLinkTypes(t *testing.T) {
	inside := ip4(6, 40, 0, segment(""))
	for link, before := range map[capture.LinkType]string{
		0: "02000000", 1: "0200000000020200000000010800", 9: "0021", 12: "", 50: "ff030021", 101: "", 104: "0f000800",
		108: "00000002",
		105: "0801" + "0000" + "020000000001" + "020000000002" + "020000000003" + "0000" + "aaaa030000000800",
		113: "000000010006020000000001" + "0000" + "0800", 127: "0000080000000000" + "0801" + "0000" + "020000000001" +
			"020000000002" + "020000000003" + "0000" + "aaaa030000000800",
		228: "", 276: "08000000000000020001000602000000000a0000",
	} {
		d := Decode(1, packet(append(inHex(t, before), inside...)), capture.Interface{LinkType: link}, Line)
		if d.Source != "10.0.0.1" || d.Protocol != "TCP" || d.DestinationPort != 25 || d.Fault != "" {
			t.Errorf("link type %d: %+v", link, d)
		}
	}
	if d := Decode(1, packet(inside), capture.Interface{LinkType: 192},
		Line); d.Info != fmt.Sprintf("link type 192, length %d", len(inside)) {
		t.Errorf("a link type that is not known: %+v", d)
	}
}
