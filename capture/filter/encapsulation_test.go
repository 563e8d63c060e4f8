package filter

import (
	endian "encoding/binary"
	"net/netip"
	"regexp"
	"strings"
	"testing"
)

// An encapsulation puts a packet of one link type into one of another, so that
// "primitive and E" on the outside means E on the inside.
type encapsulation struct {
	primitive     string
	outer, inside LinkType
	wrap          func(g chooser, inner []byte) []byte
}

var encapsulations = []encapsulation{
	{"vlan", EN10MB, EN10MB, wrapVLAN},
	{"vlan and vlan", EN10MB, EN10MB, func(g chooser, inner []byte) []byte { return wrapVLAN(g, wrapVLAN(g, inner)) }},
	{"mpls", EN10MB, Raw, func(_ chooser, inner []byte) []byte {
		return ethernet(mac{2}, mac{4}, 0x8847, append([]byte{0, 1, 0x41, 64}, inner...))
	}},
	{"pppoes", EN10MB, PPP, func(_ chooser, inner []byte) []byte {
		return ethernet(mac{2}, mac{4}, 0x8864, pppoeSession(inner))
	}},
	{"pppoes", IEEE80211, PPP, func(_ chooser, inner []byte) []byte { return wlanFrame(0x8864, pppoeSession(inner)) }},
	{"pppoes", IEEE80211Radio, PPP,
		func(_ chooser, inner []byte) []byte { return radiotap(wlanFrame(0x8864, pppoeSession(inner))) }},
	{"geneve", EN10MB, EN10MB, onEthernet(geneveHeader, 6081)},
	{"geneve", Raw, EN10MB, onIP(geneveHeader, 6081)},
	{"geneve", LinuxSLL2, EN10MB, onCooked(geneveHeader, 6081)},
	{"geneve", IEEE80211, EN10MB, onWLAN(geneveHeader, 6081)},
	{"geneve", IEEE80211Radio, EN10MB, onRadiotap(geneveHeader, 6081)},
	{"vxlan", EN10MB, EN10MB, onEthernet(vxlanHeader, 4789)},
	{"vxlan 7", EN10MB, EN10MB, onEthernet(vxlanHeader, 4789)},
	{"vxlan", Raw, EN10MB, onIP(vxlanHeader, 4789)},
	{"vxlan", LinuxSLL2, EN10MB, onCooked(vxlanHeader, 4789)},
	{"vxlan", IEEE80211, EN10MB, onWLAN(vxlanHeader, 4789)},
	{"vxlan", IEEE80211Radio, EN10MB, onRadiotap(vxlanHeader, 4789)},
	{"vlan and geneve", EN10MB, EN10MB, func(g chooser, inner []byte) []byte {
		return wrapVLAN(g, onEthernet(geneveHeader, 6081)(g, inner))
	}},
}

var (
	geneveHeader = []byte{0, 0, 0x65, 0x58, 0, 0, 7, 0}
	vxlanHeader  = []byte{8, 0, 0, 0, 0, 0, 7, 0}
)

func wrapVLAN(g chooser, inner []byte) []byte {
	var destination, source mac
	copy(destination[:], inner)
	copy(source[:], inner[6:])
	tag := vlanTag(10, endian.BigEndian.Uint16(inner[12:]), inner[14:])
	return ethernet(destination, source, pick[uint16](g, 0x8100, 0x88a8, 0x9100), tag)
}

// pppoeSession takes the address and control bytes of PPP away, which it goes without.
func pppoeSession(inner []byte) []byte {
	b := endian.BigEndian.AppendUint16([]byte{0x11, 0, 0, 10}, uint16(len(inner)-2))
	return append(b, inner[2:]...)
}

func tunnel(g chooser, header []byte, port uint16, inner []byte) (etherType uint16, packet []byte) {
	payload := transport(17, 40000, port, 0, append(header[:len(header):len(header)], inner...))
	if g.chance(2) {
		return 0x86dd, ipPacket(netip.MustParseAddr("2001:db8::99"), netip.MustParseAddr("2001:db8::98"), 17, payload)
	}
	return 0x0800, ipPacket(netip.MustParseAddr("198.18.0.1"), netip.MustParseAddr("198.18.0.2"), 17, payload)
}

func onIP(header []byte, port uint16) func(chooser, []byte) []byte {
	return func(g chooser, inner []byte) []byte {
		_, packet := tunnel(g, header, port, inner)
		return packet
	}
}

func onEthernet(header []byte, port uint16) func(chooser, []byte) []byte {
	return func(g chooser, inner []byte) []byte {
		etherType, packet := tunnel(g, header, port, inner)
		return ethernet(mac{2}, mac{4}, etherType, packet)
	}
}

func onCooked(header []byte, port uint16) func(chooser, []byte) []byte {
	return func(g chooser, inner []byte) []byte {
		etherType, packet := tunnel(g, header, port, inner)
		return append(append(endian.BigEndian.AppendUint16(nil, etherType), make([]byte, 18)...), packet...)
	}
}

func onWLAN(header []byte, port uint16) func(chooser, []byte) []byte {
	return func(g chooser, inner []byte) []byte { return wlanFrame(tunnel(g, header, port, inner)) }
}

func onRadiotap(header []byte, port uint16) func(chooser, []byte) []byte {
	return func(g chooser, inner []byte) []byte { return radiotap(wlanFrame(tunnel(g, header, port, inner))) }
}

func wlanFrame(etherType uint16, payload []byte) []byte {
	b := make([]byte, 24)
	b[0] = 0x08
	b = append(b, 0xaa, 0xaa, 3, 0, 0, 0)
	return append(endian.BigEndian.AppendUint16(b, etherType), payload...)
}

func radiotap(frame []byte) []byte { return append([]byte{0, 0, 8, 0, 0, 0, 0, 0}, frame...) }

// outsideWords are about the packet as a whole, or change what the rest means.
var outsideWords = regexp.MustCompile(
	`\b(len|less|greater|inbound|outbound|ifindex|vlan|mpls|pppoed|pppoes|geneve|vxlan|protochain|byte|radio)\b`)

// linkWords are about what MPLS and PPP have no place for.
var linkWords = regexp.MustCompile(
	`\b(ether|link|broadcast|multicast|llc|stp|ipx|iso|clnp|esis|isis|netbeui|atalk|aarp|decnet|lat|moprc|mopdl|l1|csnp|arp|rarp|type|subtype|dir|wlan)\b`)

// frameBytes are counted from the first byte of the frame, tag or not.
var frameBytes = regexp.MustCompile(`(ether|link)\[`)

// TestEncapsulations compares "vxlan and (E)" on a packet in VXLAN with E on that
// packet, and so on. Most of this libpcap either does not have or does wrong.
func TestEncapsulations(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of cases, or a peer for each")
	}
	t.Parallel()
	g := newChooser(*differentialSeed + 3)
	for _, c := range encapsulations {
		t.Run(c.primitive+" on "+c.outer.String(), func(t *testing.T) {
			inner := generatedPackets(g, c.inside, 60)
			var outer [][]byte
			for _, p := range inner {
				outer = append(outer, c.wrap(g, p.data))
			}
			compared, matched := 0, 0
			for range 300 {
				e := g.expression(c.inside)
				switch {
				case outsideWords.MatchString(e),
					c.inside != EN10MB && linkWords.MatchString(e),
					strings.HasPrefix(c.primitive, "vlan") && frameBytes.MatchString(e):
					continue
				}
				inside, err := Compile(e, Target{LinkType: c.inside, Unoptimised: true})
				if err != nil {
					continue
				}
				whole, err := Compile(c.primitive+" and ("+e+")", Target{LinkType: c.outer})
				if err != nil {
					continue
				}
				compared++
				for i, p := range inner {
					want, got := inside.Match(p.data, Metadata{}), whole.Match(outer[i], Metadata{})
					if got != want {
						t.Errorf("%s and (%s): %d, without %d, on %s", c.primitive, e, got, want, hexDump(&p))
						break
					}
					if got != 0 {
						matched++
					}
				}
			}
			if compared < 40 || matched < compared {
				t.Errorf("%d expressions matched %d times, which says little", compared, matched)
			}
		})
	}
}
