package decode

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"diagsh/capture"
	"diagsh/capture/pcapfile"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/packetfile"
)

var ethernet = capture.Interface{Name: "eth0", LinkType: capture.Ethernet}

// packets returns serialised packets, by their content, with correct lengths and checksums.
func packets(t testing.TB) map[string][]byte {
	t.Helper()
	link := func(kind layers.EthernetType) *layers.Ethernet {
		return &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2},
			EthernetType: kind}
	}
	ip4 := func(p layers.IPProtocol) *layers.IPv4 {
		return &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Id: 7, Protocol: p, SrcIP: net.IP{192, 0, 2, 1},
			DstIP: net.IP{192, 0, 2, 2}}
	}
	ip6 := func(p layers.IPProtocol) *layers.IPv6 {
		return &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: p, SrcIP: net.ParseIP("2001:db8::1"),
			DstIP: net.ParseIP("2001:db8::2")}
	}
	option := func(kind layers.TCPOptionKind, data ...byte) layers.TCPOption {
		return layers.TCPOption{OptionType: kind, OptionLength: uint8(2 + len(data)), OptionData: data}
	}
	tcp := func(l *layers.TCP, under gopacket.NetworkLayer) *layers.TCP {
		l.SrcPort, l.DstPort = 40000, 25
		l.SetNetworkLayerForChecksum(under)
		return l
	}
	udp := func(port layers.UDPPort, under gopacket.NetworkLayer) *layers.UDP {
		l := &layers.UDP{SrcPort: 40000, DstPort: port}
		l.SetNetworkLayerForChecksum(under)
		return l
	}
	icmp6 := func(kind uint8, under *layers.IPv6) *layers.ICMPv6 {
		l := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(kind, 0)}
		l.SetNetworkLayerForChecksum(under)
		return l
	}
	t4, u4, t6, u6, i6, n6 := ip4(layers.IPProtocolTCP), ip4(layers.IPProtocolUDP), ip6(layers.IPProtocolTCP),
		ip6(layers.IPProtocolUDP), ip6(layers.IPProtocolICMPv6), ip6(layers.IPProtocolICMPv6)
	arp := &layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6,
		ProtAddressSize: 4, Operation: 1,
		SourceHwAddress: []byte{2, 0, 0, 0, 0, 1}, SourceProtAddress: []byte{192, 0, 2, 1},
		DstHwAddress: make([]byte, 6), DstProtAddress: []byte{192, 0, 2, 2}}
	reply := *arp
	reply.Operation = 2
	made := map[string][]byte{}
	for name, stack := range map[string][]gopacket.SerializableLayer{
		"arp request": {link(layers.EthernetTypeARP), arp},
		"arp reply":   {link(layers.EthernetTypeARP), &reply},
		"tcp syn": {link(layers.EthernetTypeIPv4), t4,
			tcp(&layers.TCP{Seq: 1000, SYN: true, Window: 64240, Options: []layers.TCPOption{
				option(layers.TCPOptionKindMSS, 5, 0xb4), option(layers.TCPOptionKindSACKPermitted),
				option(layers.TCPOptionKindTimestamps, 0, 0, 0, 9, 0, 0, 0, 0),
				{OptionType: layers.TCPOptionKindNop}, option(layers.TCPOptionKindWindowScale, 7)}}, t4)},
		"tcp data": {link(layers.EthernetTypeIPv4), t4,
			tcp(&layers.TCP{Seq: 1001, Ack: 77, ACK: true, PSH: true, Window: 502}, t4), gopacket.Payload("xyz")},
		"tcp reset": {link(layers.EthernetTypeIPv4), t4,
			tcp(&layers.TCP{Seq: 1001, Ack: 77, ACK: true, RST: true}, t4)},
		"tcp fin": {link(layers.EthernetTypeIPv6), t6,
			tcp(&layers.TCP{Seq: 5, Ack: 6, ACK: true, FIN: true, Window: 1}, t6)},
		"udp":      {link(layers.EthernetTypeIPv4), u4, udp(9, u4), gopacket.Payload("12345")},
		"udp in 6": {link(layers.EthernetTypeIPv6), u6, udp(9, u6), gopacket.Payload("12345")},
		"echo": {link(layers.EthernetTypeIPv4), ip4(layers.IPProtocolICMPv4),
			&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0), Id: 3, Seq: 4}, gopacket.Payload("abcdefgh")},
		"echo reply": {link(layers.EthernetTypeIPv4), ip4(layers.IPProtocolICMPv4),
			&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(0, 0), Id: 3, Seq: 4}, gopacket.Payload("abcdefgh")},
		"echo in 6": {link(layers.EthernetTypeIPv6), i6, icmp6(128, i6),
			&layers.ICMPv6Echo{Identifier: 3, SeqNumber: 4}},
		"neighbour": {link(layers.EthernetTypeIPv6), n6, icmp6(135, n6),
			&layers.ICMPv6NeighborSolicitation{TargetAddress: net.ParseIP("2001:db8::2")}},
		"vlan": {link(layers.EthernetTypeDot1Q), &layers.Dot1Q{VLANIdentifier: 42, Priority: 3,
			Type: layers.EthernetTypeIPv4}, u4, udp(9, u4), gopacket.Payload("12345")},
		"dns query": {link(layers.EthernetTypeIPv4), u4, udp(53, u4),
			&layers.DNS{ID: 99, RD: true, Questions: []layers.DNSQuestion{{Name: []byte("mail.example"),
				Type: layers.DNSTypeMX, Class: layers.DNSClassIN}}}},
		"hostile name": {link(layers.EthernetTypeIPv4), u4, udp(53, u4),
			&layers.DNS{ID: 99, RD: true, Questions: []layers.DNSQuestion{{Name: []byte("\x1b[2Jx\r\n\u202e"),
				Type: layers.DNSTypeA, Class: layers.DNSClassIN}}}},
		"hostile greeting": {link(layers.EthernetTypeIPv4), t4, tcp(&layers.TCP{Seq: 1001, ACK: true, PSH: true}, t4),
			gopacket.Payload("220 \x1b]0;owned\x07\r\n")},
	} {
		buffer := gopacket.NewSerializeBuffer()
		if err := gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
			stack...); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		made[name] = bytes.Clone(buffer.Bytes())
	}
	return made
}

func packet(data []byte) *capture.Packet {
	return &capture.Packet{Time: 1_700_000_000_123456789, Data: data, Length: uint32(len(data)),
		Direction: capture.Incoming}
}

func text(d *Packet) string {
	var b strings.Builder
	Text(&b, d)
	return b.String()
}

// TestLineIsTcpdumps: a line says what tcpdump says, in its words.
func TestLineIsTcpdumps(t *testing.T) {
	tcpdump := netnstest.Tool(t, "tcpdump")
	for name, data := range packets(t) {
		if strings.HasPrefix(name, "hostile") {
			continue
		}
		file := filepath.Join(t.TempDir(), "x.pcap")
		var content bytes.Buffer
		stream, err := pcapfile.NewStream(&content, capture.FileHeader{Format: capture.PCAP,
			Interfaces: []capture.Interface{ethernet}, SnapLength: capture.MaxSnapLength})
		if err == nil {
			err = stream.Write([]capture.Packet{*packet(data)})
		}
		if err == nil {
			err = os.WriteFile(file, content.Bytes(), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(tcpdump, "-nn", "-S", "-t", "-r", file).Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := strings.TrimSpace(string(out))
		// tcpdump's names of the content of a datagram by its port are its own.
		want = regexp.MustCompile(`: SMTP: .*`).ReplaceAllString(want, "")
		_, got, _ := strings.Cut(text(Decode(1, packet(data), ethernet, Line)), " eth0 In ")
		got = strings.TrimSpace(got)
		if name == "neighbour" || name == "echo in 6" { // gopacket has other words for the kinds
			want, got = strings.SplitN(want, ",", 2)[0], strings.SplitN(got, ",", 2)[0]
		}
		if name == "vlan" {
			want = want[strings.Index(want, "IP "):]
		}
		if got != want {
			t.Errorf("%s:\n%s\nand not\n%s", name, got, want)
		}
	}
}

func TestEachLevelSaysMore(t *testing.T) {
	data := packets(t)["tcp data"]
	want := []string{"Flags [P.], seq 1001:1004, ack 77, win 502, length 3", "02:00:00:00:00:01 > 02:00:00:00:00:02",
		"\n    IPv4: 192.0.2.1 > 192.0.2.2, TCP, ttl 64", "\n        Window = 502\n", "\t0x0000:  7879 7a",
		"\t0x0000:  0200 0000 0002"}
	for level := Line; level <= All; level++ {
		got := text(Decode(1, packet(data), ethernet, level))
		for n, part := range want {
			shown := n < int(level) && !(n == 4 && level == All) // all bytes take the place of some
			if strings.Contains(got, part) != shown {
				t.Errorf("level %d, %q is shown: %v\n%s", level, part, !shown, got)
			}
		}
	}
}

// TestNothingOfAPacketControlsTheScreen: control characters of a packet are escaped on every level,
// in text and in records.
func TestNothingOfAPacketControlsTheScreen(t *testing.T) {
	for name, data := range packets(t) {
		for level := Line; level <= All; level++ {
			harmless(t, name, Decode(1, packet(data), ethernet, level))
		}
	}
	if got := text(Decode(1, packet(packets(t)["hostile name"]), ethernet, Line)); !strings.Contains(got,
		`A? \x1b[2Jx\r\n\u202e.`) {
		t.Errorf("%q", got)
	}
}

func harmless(t *testing.T, name string, d *Packet) {
	t.Helper()
	check := func(what, s string, newlines bool) {
		for _, r := range s {
			if (r < ' ' && !(newlines && (r == '\n' || r == '\t'))) || r == 0x7f || r >= 0x80 && r < 0xa0 ||
				r == 0x202e {
				t.Fatalf("%s: its %s has the character %#x: %q", name, what, r, s)
			}
		}
		if !utf8.ValidString(s) {
			t.Fatalf("%s: its %s is not UTF-8: %q", name, what, s)
		}
	}
	check("text", text(d), true)
	check("information", d.Info+d.Protocol+d.Source+d.Destination+d.Link+d.Fault+d.Interface, false)
	for _, l := range d.Layers {
		check("layer", l.Name+l.Summary, false)
		for _, f := range l.Fields {
			check("field", f.Name+f.Value, false)
		}
	}
}

// TestAddressesAreTsharks: packets of every link type in the filter's corpus are decoded, with the
// addresses that tshark finds in them.
func TestAddressesAreTsharks(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of cases, or a peer for each")
	}
	tshark := netnstest.Tool(t, "tshark")
	for _, file := range []string{"en10mb", "raw", "sll", "sll2"} {
		path := filepath.Join("..", "filter", "testdata", "corpus", "packets", file+".pcap")
		// The outermost IP: gopacket and Wireshark look into nested packets to different depths.
		out, err := exec.Command(tshark, "-n", "-r", path, "-T", "fields", "-E", "occurrence=f", "-E", "separator=,",
			"-e", "ip.src", "-e", "ip.dst", "-e", "ipv6.src", "-e", "ipv6.dst").Output()
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
		r := packetfile.Open(t, path)
		var p capture.Packet
		seen, agreed := 0, 0
		for n := 0; r.Next(&p) == nil; n++ {
			s := &stack{packet: &p}
			guarded(func() { s.decode(r.Interfaces()[0].LinkType) })
			got := map[string]bool{}
			for _, l := range s.layers {
				switch l := l.(type) {
				case *layers.IPv4:
					got[address(l.SrcIP)+","+address(l.DstIP)] = true
				case *layers.IPv6:
					got[address(l.SrcIP)+","+address(l.DstIP)] = true
				}
			}
			four := strings.Split(lines[n], ",")
			for _, pair := range []string{four[0] + "," + four[1], four[2] + "," + four[3]} {
				if pair != "," {
					if seen++; got[pair] {
						agreed++
					}
				}
			}
		}
		t.Logf("%s: %d of %d", file, agreed, seen)
		if seen < 50 || agreed < seen*94/100 {
			t.Errorf("%s: of %d pairs of addresses that tshark sees, %d are seen here", file, seen, agreed)
		}
	}
}

// TestPanicsAreCaught: a panic of gopacket's decoders is shown as a fault and ends nothing.
func TestPanicsAreCaught(t *testing.T) {
	if guarded(func() { panic("made for it") }) {
		t.Error("a panic is no end")
	}
	for name, data := range packets(t) {
		for n := range data {
			d := Decode(1, packet(data[:n]), ethernet, All)
			if d.Info == "" || text(d) == "" {
				t.Errorf("%s, %d bytes: nothing is said", name, n)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, data := range packets(f) {
		f.Add(uint16(1), data)
	}
	for _, name := range []string{"en10mb", "raw", "sll", "sll2", "null", "ppp", "loop", "ieee802_11", "radiotap"} {
		r := packetfile.Open(f, filepath.Join("..", "filter", "testdata", "corpus", "packets", name+".pcap"))
		var p capture.Packet
		for n := 0; n < 200 && r.Next(&p) == nil; n++ {
			f.Add(uint16(r.Interfaces()[0].LinkType), bytes.Clone(p.Data))
		}
	}
	f.Fuzz(func(t *testing.T, link uint16, data []byte) {
		before := bytes.Clone(data)
		// A decoder that does not end cannot be caught as a panic.
		late := time.AfterFunc(5*time.Second,
			func() { panic(fmt.Sprintf("link type %d: no end with %x", link, before)) })
		defer late.Stop()
		d := Decode(1, packet(data), capture.Interface{Name: "x", LinkType: capture.LinkType(link)}, All)
		harmless(t, fmt.Sprintf("%d %x", link, data), d)
		if size := len(text(d)); size > 1<<20+8*len(data) {
			t.Errorf("%d bytes of packet make %d of text", len(data), size)
		}
		if !bytes.Equal(data, before) {
			t.Error("the packet was changed")
		}
	})
}
