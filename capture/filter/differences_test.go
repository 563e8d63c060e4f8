package filter

import (
	"encoding/binary"
	"slices"
	"testing"
)

// Packets for the tests below, put together layer by layer.

func layers(parts ...[]byte) []byte { return slices.Concat(parts...) }

func frame(proto uint16, payload []byte) []byte {
	return layers([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, be16(proto), payload)
}

func be16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

func v4Packet(proto byte, src, dst [4]byte, payload []byte) []byte {
	h := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, proto, 0, 0}
	return layers(h, src[:], dst[:], payload)
}

func udpPacket(src, dst uint16, payload []byte) []byte {
	return layers(be16(src), be16(dst), be16(uint16(8+len(payload))), be16(0), payload)
}

func tcpPacket(src, dst uint16) []byte { return layers(be16(src), be16(dst), make([]byte, 16)) }

var (
	hostA = [4]byte{192, 0, 2, 10}
	hostB = [4]byte{198, 51, 100, 7}
)

// radiotapFrame returns an 802.11 data frame after a radiotap header, with QoS and padding.
func radiotapFrame(proto uint16, payload []byte) []byte {
	radiotap := []byte{0, 0, 12, 0, 0x02, 0, 0, 0, 0x20, 0, 0, 0} // flags present: the header is padded
	frame := append([]byte{0x88, 0x01}, make([]byte, 22)...)
	qosAndPad := make([]byte, 4)
	return layers(radiotap, frame, qosAndPad, []byte{0xaa, 0xaa, 3, 0, 0, 0}, be16(proto), payload)
}

type match struct {
	expression string
	packet     []byte
	want       bool
}

func checkMatches(t *testing.T, target Target, meta Metadata, matches []match) {
	t.Helper()
	target.Names = fixedNames(t)
	for _, m := range matches {
		for _, target.Unoptimised = range []bool{false, true} {
			p, err := Compile(m.expression, target)
			if err != nil {
				t.Errorf("%q: %v", m.expression, err)
				continue
			}
			if got := p.Match(m.packet, meta) != 0; got != m.want {
				t.Errorf("%q (unoptimised: %v) matches: %v\n%s", m.expression, target.Unoptimised, got, p.Listing())
			}
		}
	}
}

func TestWholeMask(t *testing.T) {
	zero := frame(etherIP, v4Packet(ipTCP, [4]byte{}, hostB, tcpPacket(1, 2)))
	other := frame(etherIP, v4Packet(ipTCP, hostA, hostB, tcpPacket(1, 2)))
	checkMatches(t, Target{LinkType: EN10MB}, Metadata{}, []match{
		{"ip[12:4] & 0xffffffff = 0", zero, true},
		{"ip[12:4] & 0xffffffff = 0", other, false},
		{"ip[12:4] & 0xffffffff != 0", zero, false},
		{"ip[12:4] & 0xffffffff != 0", other, true},
	})
}

func TestByteWithMask(t *testing.T) {
	packet := []byte{0x05, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0}
	checkMatches(t, Target{LinkType: EN10MB}, Metadata{}, []match{
		{"byte 0 & 1", packet, true},
		{"byte 0 & 2", packet, false},
		{"byte 1 | 0", packet, false},
		{"byte 0 | 0", packet, true},
		{"byte 1 | 8", packet, true},
	})
}

func TestGateway(t *testing.T) {
	alpha := [6]byte{2, 0, 0, 0, 0, 0x0a}
	through := frame(etherIP, v4Packet(ipUDP, hostB, [4]byte{203, 0, 113, 9}, udpPacket(1, 2, nil)))
	copy(through, alpha[:])
	to := frame(etherIP, v4Packet(ipUDP, hostB, hostA, udpPacket(1, 2, nil)))
	copy(to, alpha[:])
	past := frame(etherIP, v4Packet(ipUDP, hostB, [4]byte{203, 0, 113, 9}, udpPacket(1, 2, nil)))
	checkMatches(t, Target{LinkType: EN10MB}, Metadata{}, []match{
		{"gateway alpha", through, true},
		{"gateway alpha", to, false},
		{"gateway alpha", past, false},
		{"ip gateway alpha", through, true},
	})
	for _, e := range []string{"gateway 10", "gateway 1.2.3.4", "gateway both", "tcp gateway alpha",
		"src gateway alpha"} {
		if _, err := Compile(e, Target{LinkType: EN10MB, Names: fixedNames(t)}); err == nil {
			t.Errorf("%q is accepted", e)
		}
	}
	if _, err := Compile("gateway alpha", Target{LinkType: Raw, Names: fixedNames(t)}); err == nil {
		t.Error("gateway is accepted without Ethernet addresses")
	}
}

func TestVXLAN(t *testing.T) {
	inner := frame(etherIP, v4Packet(ipTCP, hostA, hostB, tcpPacket(1000, 80)))
	header := []byte{8, 0, 0, 0, 0, 0x12, 0x34, 0}
	packet := frame(etherIP, v4Packet(ipUDP, hostB, hostB, udpPacket(5555, portVXLAN, layers(header, inner))))
	v6 := frame(etherIPv6, layers([]byte{0x60, 0, 0, 0, 0, 0, ipUDP, 64}, make([]byte, 32),
		udpPacket(5555, portVXLAN, layers(header, inner))))
	noFlag := slices.Clone(packet)
	noFlag[14+20+8] = 0
	tagged := frame(etherIP, v4Packet(ipUDP, hostB, hostB, udpPacket(5555, portVXLAN,
		layers(header, frame(etherVLAN,
			layers(be16(7), be16(etherIP), v4Packet(ipTCP, hostA, hostB, tcpPacket(1, 2))))))))
	checkMatches(t, Target{LinkType: EN10MB}, Metadata{}, []match{
		{"vxlan", packet, true},
		{"vxlan", v6, true},
		{"vxlan", noFlag, false},
		{"vxlan 0x1234", packet, true},
		{"vxlan 0x1235", packet, false},
		{"vxlan and tcp port 80", packet, true},
		{"vxlan and tcp port 80", v6, true},
		{"vxlan and tcp port 81", packet, false},
		{"vxlan and src host 192.0.2.10", packet, true},
		{"vxlan and ether src 02:00:00:00:00:02", packet, true},
		{"vxlan and ether src 02:00:00:00:00:03", packet, false},
		{"vxlan and vlan 7 and tcp", tagged, true},
		{"vxlan and vlan 8 and tcp", tagged, false},
	})
	for _, e := range []string{"vxlan 0x1000000", "vxlan and protochain 6"} {
		if _, err := Compile(e, Target{LinkType: EN10MB}); err == nil {
			t.Errorf("%q is accepted", e)
		}
	}
}

func TestTunnelsBehindVariableHeaders(t *testing.T) {
	inner := frame(etherIP, v4Packet(ipTCP, hostA, hostB, tcpPacket(1000, 80)))
	geneve := layers([]byte{1, 0}, be16(etherTEB), []byte{0, 0, 5, 0}, []byte{1, 2, 3, 4}, inner)
	tunnel := radiotapFrame(etherIP, v4Packet(ipUDP, hostB, hostB, udpPacket(5555, portGeneve, geneve)))
	session := radiotapFrame(etherPPPoES,
		layers([]byte{0x11, 0}, be16(0x27), be16(100), be16(pppIP), v4Packet(ipTCP, hostA, hostB, tcpPacket(1000, 80))))
	checkMatches(t, Target{LinkType: IEEE80211Radio}, Metadata{}, []match{
		{"tcp", tunnel, false},
		{"geneve", tunnel, true},
		{"geneve 5 and tcp dst port 80", tunnel, true},
		{"geneve 6", tunnel, false},
		{"geneve and ether dst 02:00:00:00:00:01", tunnel, true},
		{"pppoes", session, true},
		{"pppoes 0x27 and tcp dst port 80", session, true},
		{"pppoes and udp", session, false},
		{"pppoes 0x28", session, false},
	})

	live := Target{LinkType: EN10MB, Kind: Live}
	ppp := layers([]byte{0x11, 0}, be16(0x27), be16(100), be16(pppIP),
		v4Packet(ipTCP, hostA, hostB, tcpPacket(1000, 80)))
	stripped := Metadata{Kernel: true, VLANPresent: true, VLANTCI: 9}
	checkMatches(t, live, stripped, []match{
		{"vlan and pppoes and ip", frame(etherPPPoES, ppp), true},
		{"vlan 9 and pppoes and tcp port 80", frame(etherPPPoES, ppp), true},
		{"vlan 8 and pppoes", frame(etherPPPoES, ppp), false},
	})
	checkMatches(t, live, Metadata{Kernel: true}, []match{
		{"vlan and pppoes and ip", frame(etherVLAN, layers(be16(9), be16(etherPPPoES), ppp)), true},
		{"vlan 9 and pppoes and tcp port 80", frame(etherVLAN, layers(be16(9), be16(etherPPPoES), ppp)), true},
		{"vlan and pppoes", frame(etherPPPoES, ppp), false},
	})
}

// Arithmetic before the first look after the header leaves the header's length alone.
func TestArithmeticBeforeVariableHeader(t *testing.T) {
	short := radiotapFrame(etherIP, v4Packet(ipTCP, hostA, hostB, tcpPacket(1000, 80)))
	checkMatches(t, Target{LinkType: IEEE80211Radio}, Metadata{}, []match{
		{"tcp or len > 1000", short, true},
		{"len > 1000 or tcp", short, true},
		{"len > 1000 or udp", short, false},
	})
}

func TestLiveTagsInPacketAndMetadata(t *testing.T) {
	live := Target{LinkType: EN10MB, Kind: Live}
	ip := v4Packet(ipTCP, hostA, hostB, tcpPacket(1000, 80))
	untagged := frame(etherIP, ip)
	inPacket := frame(etherVLAN, layers(be16(9), be16(etherIP), ip))
	arpInPacket := frame(etherVLAN, layers(be16(9), be16(etherARP), make([]byte, 46)))
	stripped := Metadata{Kernel: true, VLANPresent: true, VLANTCI: 9}
	checkMatches(t, live, Metadata{Kernel: true}, []match{
		{"ip or (vlan and ip)", untagged, true},
		{"ip or (vlan and ip)", inPacket, true},
		{"ip or (vlan and ip)", arpInPacket, false},
		{"not ip and not (vlan and ip)", inPacket, false},
		{"vlan 9 and ip", inPacket, true},
		{"vlan 8", inPacket, false},
	})
	checkMatches(t, live, stripped, []match{
		{"ip or (vlan and ip)", untagged, true},
		{"arp or (vlan and ip)", untagged, true},
		{"vlan 9 and ip", untagged, true},
		{"vlan 8 and ip", untagged, false},
		{"vlan and vlan", untagged, false},
		{"vlan and vlan 9 and ip", inPacket, true},
		{"ether[12:2] = 0x8100 or (vlan and tcp port 80)", untagged, true},
		{"ether[12:2] = 0x8100 or (vlan and tcp port 81)", untagged, false},
	})
}

func TestTestsTurnedRound(t *testing.T) {
	source := layers(make([]byte, 8), []byte{0x20, 1, 0x0d, 0xb8}, make([]byte, 12), make([]byte, 16))
	source[0], source[6] = 0x60, ipUDP
	packet := frame(etherIPv6, layers(source, udpPacket(2, 5, nil)))
	checkMatches(t, Target{LinkType: EN10MB}, Metadata{}, []match{
		{"(ip6 src net 2001:db8::/125 and dst port 2) or (ip6 src net 2001:db8::/125 and src port 2)", packet, true},
	})
}

// TestTruncatedBehindVariableHeaders compares optimised with unoptimised programs where libpcap
// does not optimise: they must agree on truncated packets too.
func TestTruncatedBehindVariableHeaders(t *testing.T) {
	packet := radiotapFrame(etherIP, v4Packet(ipTCP, hostA, hostB, tcpPacket(1000, 80)))
	for _, e := range []string{"not ip or ip", "not port 80", "port 22 or port 80 or len > 20",
		"ip host 192.0.2.20 or 192.0.2.10",
		"not (arp and tcp[13] & 2 != 0) or icmp", "ether proto 0x88cc or llc or not llc", "tcp[0:2] * 0 = 0 or udp"} {
		optimised, err := Compile(e, Target{LinkType: IEEE80211Radio})
		if err != nil {
			t.Fatalf("%q: %v", e, err)
		}
		plain, err := Compile(e, Target{LinkType: IEEE80211Radio, Unoptimised: true})
		if err != nil {
			t.Fatalf("%q: %v", e, err)
		}
		for n := range packet {
			meta := Metadata{Length: uint32(len(packet))}
			if a, b := optimised.Match(packet[:n], meta), plain.Match(packet[:n], meta); a != b {
				t.Errorf("%q on the first %d bytes: optimised %d, unoptimised %d", e, n, a, b)
			}
		}
	}
}

// TestTunnelsThatAreNotThere holds programs that look after a tunnel which was not found to the
// rules of the kernel.
func TestTunnelsThatAreNotThere(t *testing.T) {
	for _, e := range []string{"geneve or ip", "vxlan or tcp port 80", "not geneve and ip6", "vlan or geneve or arp",
		"(geneve and ip) or (vxlan and ip6)"} {
		for _, unoptimised := range []bool{false, true} {
			for _, kind := range []Kind{Dead, Live} {
				p, err := Compile(e, Target{LinkType: EN10MB, Kind: kind, Unoptimised: unoptimised})
				if err != nil {
					t.Fatalf("%q: %v", e, err)
				}
				if ready, why := p.KernelReady(); !ready {
					t.Errorf("%q (%v, unoptimised: %v): %s", e, kind, unoptimised, why)
				}
			}
		}
	}
}
