// Package fields says where each field of a packet is: header by header, with its bytes, its bits,
// a label for people and, where the filter language can say it, the filter that selects packets
// with the same value.
//
// Names are those of Wireshark's fields, which people know: ip.ttl. What is put together from
// several packets, or computed, is in no place and has no offset. Which headers a packet has, and
// whether they are whole, is package decode's to say.
package fields

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"diagsh/capture"
	"diagsh/capture/decode"
)

// Layer is one header of a packet.
type Layer struct {
	Name    string  `json:"name"`  // as show has it
	Label   string  `json:"label"` // for people
	Summary string  `json:"summary"`
	Offset  *int    `json:"offset,omitempty"` // in the captured bytes
	Length  int     `json:"length"`           // as far as captured, in bytes
	Filter  string  `json:"filter,omitempty"` // that selects packets with such a header
	Fields  []Field `json:"fields"`
}

// Field is one value of a header.
type Field struct {
	Part
	Fields []Part `json:"fields,omitempty"` // parts of the value, such as flags
}

// Part is a value with its place.
type Part struct {
	Name   string `json:"name"`
	Label  string `json:"label"`
	Value  string `json:"value"`
	Offset *int   `json:"offset,omitempty"` // in the captured bytes; none: it is in none of them
	Length int    `json:"length,omitempty"` // in bytes
	Mask   string `json:"mask,omitempty"`   // hexadecimal, as long as the field: the bits that it has
	Filter string `json:"filter,omitempty"` // that selects packets with this value
}

// Locate returns the headers of a packet, the outermost first.
func Locate(p *capture.Packet, link capture.LinkType) []Layer {
	headers, _ := decode.Headers(p, link)
	list := []Layer{}
	s := scope{link: link}
	for _, h := range headers {
		layer := Layer{Name: h.Name, Label: h.Name, Summary: h.Summary, Length: len(h.Bytes), Fields: []Field{}}
		if h.Offset >= 0 {
			at := h.Offset
			layer.Offset = &at
		}
		describe, known := describers[h.Kind]
		if known {
			layer.Label = describe.label
		}
		layer.Filter = s.enter(h)
		switch {
		case h.Layer == nil || h.Offset < 0 && known:
		case known:
			layer.Fields = append(layer.Fields, s.fields(h, describe)...)
		default:
			layer.Fields = append(layer.Fields, unplaced(h)...)
		}
		list = append(list, layer)
		s.leave(h)
	}
	return list
}

// fields returns the fields of a header. What a decoder has accepted may still be too short for them:
// then there are those before.
func (s *scope) fields(h decode.Header, describe describer) []Field {
	b := builder{b: h.Bytes, base: h.Offset, scope: s, layer: h.Layer}
	func() {
		defer func() { recover() }()
		describe.fields(&b)
	}()
	return b.list
}

// unplaced returns the fields of a header whose places are not known.
func unplaced(h decode.Header) (list []Field) {
	for _, f := range h.Fields() {
		list = append(list, Field{Part: Part{Name: f.Name, Label: f.Name, Value: f.Value}})
	}
	return list
}

// A describer says what is in one kind of header.
type describer struct {
	label  string
	fields func(*builder)
}

// A builder puts the fields of a header together. What was not captured of it is left out.
type builder struct {
	b     []byte
	base  int // offset of the header
	scope *scope
	layer gopacket.Layer
	list  []Field
}

// has reports whether bytes of the header were captured.
func (b *builder) has(at, size int) bool { return at >= 0 && size >= 0 && at+size <= len(b.b) }

// number returns the big-endian number at a place.
func (b *builder) number(at, size int) uint64 { return wide(b.b[at : at+size]) }

// wide returns bytes as one big-endian number.
func wide(b []byte) (n uint64) {
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

// add adds a field with a value, and returns it for its parts; nil if it was not captured.
func (b *builder) add(name, label string, at, size int, value string) *Field {
	if !b.has(at, size) || size == 0 {
		return nil
	}
	offset := b.base + at
	b.list = append(b.list, Field{Part: Part{Name: name, Label: label, Value: decode.Clean(value), Offset: &offset,
		Length: size}})
	return &b.list[len(b.list)-1]
}

// A format writes a number.
type format func(uint64) string

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }
func hex16(n uint64) string   { return fmt.Sprintf("0x%04x", n) }
func hex32(n uint64) string   { return fmt.Sprintf("0x%08x", n) }
func hex8(n uint64) string    { return fmt.Sprintf("0x%02x", n) }

// times returns a format for a number that counts in units of several.
func times(factor uint64, unit string) format {
	return func(n uint64) string { return fmt.Sprintf("%d%s", n*factor, unit) }
}

func yesNo(n uint64) string {
	if n != 0 {
		return "set"
	}
	return "not set"
}

// named returns a format for a number with names; those without one are written as numbers.
func named(name func(uint64) string) format {
	return func(n uint64) string {
		if text := name(n); text != "" {
			return fmt.Sprintf("%s (%d)", text, n)
		}
		return decimal(n)
	}
}

// in returns the names of a map.
func in(names map[uint64]string) format { return named(func(n uint64) string { return names[n] }) }

// uint adds a number that fills its bytes.
func (b *builder) uint(name, label string, at, size int, show format) *Field {
	if !b.has(at, size) {
		return nil
	}
	n := b.number(at, size)
	f := b.add(name, label, at, size, show(n))
	if f != nil {
		f.Filter = b.scope.bytes(at, size, 0, n)
	}
	return f
}

// bits adds a number that is some bits of its bytes.
func (b *builder) bits(name, label string, at, size int, mask uint64, show format) *Field {
	if !b.has(at, size) {
		return nil
	}
	whole := b.number(at, size)
	shift := 0
	for mask>>shift&1 == 0 {
		shift++
	}
	f := b.add(name, label, at, size, show((whole&mask)>>shift))
	if f != nil {
		f.Mask = fmt.Sprintf("%0*x", 2*size, mask)
		f.Filter = b.scope.bytes(at, size, mask, whole&mask)
	}
	return f
}

// raw adds bytes, in hexadecimal.
func (b *builder) raw(name, label string, at, size int) *Field {
	if !b.has(at, size) {
		return nil
	}
	return b.add(name, label, at, size, inHex(b.b[at:at+size]))
}

// inHex writes bytes in hexadecimal, of many the first ones and their number.
func inHex(b []byte) string {
	const most = 64
	if len(b) > most {
		return fmt.Sprintf("%x... (%d bytes)", b[:most], len(b))
	}
	return hex.EncodeToString(b)
}

// assigned reports whether gopacket's name of a number is one, and not that it has none.
func assigned(name string) bool { return name != "" && !strings.HasPrefix(name, "Unknown") }

// inside adds parts to a field by what f adds to the builder.
func (b *builder) inside(field *Field, f func()) {
	if field == nil {
		return
	}
	// The field moves with the list, and nothing is added to that meanwhile.
	outer := b.list
	b.list = nil
	f()
	for _, f := range b.list {
		field.Fields = append(field.Fields, f.Part)
	}
	b.list = outer
}

// describers has the headers whose fields are known by their places.
var describers = map[gopacket.LayerType]describer{
	layers.LayerTypeEthernet: {"Ethernet", (*builder).ethernet}, layers.LayerTypeDot1Q: {"VLAN tag (802.1Q)", (*builder).vlan},
	layers.LayerTypeLinuxSLL: {"Linux cooked capture", (*builder).sll},
	layers.LayerTypeLLC:      {"Logical link control (802.2)", (*builder).llc},
	layers.LayerTypeSNAP:     {"Subnetwork access protocol", (*builder).snap},
	layers.LayerTypeLoopback: {"Null/Loopback", (*builder).loopback},
	layers.LayerTypePPP:      {"Point-to-Point Protocol", (*builder).ppp},
	layers.LayerTypePPPoE:    {"PPP over Ethernet", (*builder).pppoe},
	layers.LayerTypeMPLS:     {"MPLS label", (*builder).mpls}, layers.LayerTypeARP: {"Address Resolution Protocol", (*builder).arp},
	layers.LayerTypeIPv4:                        {"Internet Protocol version 4", (*builder).ipv4},
	layers.LayerTypeIPv6:                        {"Internet Protocol version 6", (*builder).ipv6},
	layers.LayerTypeIPv6HopByHop:                {"Hop-by-hop options", (*builder).options6},
	layers.LayerTypeIPv6Destination:             {"Destination options", (*builder).options6},
	layers.LayerTypeIPv6Routing:                 {"Routing header", (*builder).routing6},
	layers.LayerTypeIPv6Fragment:                {"Fragment header", (*builder).fragment6},
	layers.LayerTypeTCP:                         {"Transmission Control Protocol", (*builder).tcp},
	layers.LayerTypeUDP:                         {"User Datagram Protocol", (*builder).udp},
	layers.LayerTypeSCTP:                        {"Stream Control Transmission Protocol", (*builder).sctp},
	layers.LayerTypeICMPv4:                      {"Internet Control Message Protocol", (*builder).icmp},
	layers.LayerTypeICMPv6:                      {"Internet Control Message Protocol version 6", (*builder).icmp6},
	layers.LayerTypeICMPv6Echo:                  {"Echo", (*builder).echo6},
	layers.LayerTypeIPSecAH:                     {"Authentication header", (*builder).ah},
	layers.LayerTypeIPSecESP:                    {"Encapsulating security payload", (*builder).esp},
	layers.LayerTypeGRE:                         {"Generic routing encapsulation", (*builder).gre},
	layers.LayerTypeVXLAN:                       {"Virtual extensible LAN", (*builder).vxlan},
	layers.LayerTypeGeneve:                      {"Geneve", (*builder).geneve},
	layers.LayerTypeEtherIP:                     {"Ethernet in IP", (*builder).etherIP},
	layers.LayerTypeDNS:                         {"Domain Name System", (*builder).dns},
	layers.LayerTypeDHCPv4:                      {"Dynamic Host Configuration Protocol", (*builder).dhcp},
	layers.LayerTypeNTP:                         {"Network Time Protocol", (*builder).ntp},
	layers.LayerTypeIGMP:                        {"Internet Group Management Protocol", (*builder).igmp},
	layers.LayerTypeICMPv6NeighborSolicitation:  {"Neighbor solicitation", (*builder).solicitation6},
	layers.LayerTypeICMPv6NeighborAdvertisement: {"Neighbor advertisement", (*builder).advertisement6},
	decode.LinuxSLL2:                            {"Linux cooked capture, version 2", (*builder).sll2}, decode.CiscoHDLC: {"Cisco HDLC", (*builder).hdlc},
	decode.RadioTap: {"Radiotap", (*builder).radiotap}, decode.WLAN: {"IEEE 802.11", (*builder).wlan},
}
