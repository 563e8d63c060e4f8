// Package decode makes of a packet's bytes something for people: one line, or up to a
// tree of every field with all bytes.
//
// Packets come from strangers, so nothing in them is believed. What
// github.com/google/gopacket decodes is chosen (allowed) and bounded; when a decoder
// panics, which some do for packets that were made for it, the packet is shown as far as
// it was decoded, with its bytes. No control character of a packet reaches a text.
package decode

import (
	"encoding/hex"
	"strconv"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"diagsh/capture"
)

// Detail is how much is shown of a packet. Each level shows what the one before shows,
// and more.
type Detail int

const (
	Line   Detail = 1 + iota // one line
	Link                     // with the addresses of the link, and the head of IP
	Layers                   // and a line for each layer
	Tree                     // and every field
	Data                     // and the bytes behind the headers
	All                      // and all bytes
)

// Packet is a packet for people. Its texts hold no control characters.
type Packet struct {
	Number          int64     `json:"number"`
	Time            time.Time `json:"time"`
	Interface       string    `json:"interface,omitempty"`
	Direction       string    `json:"direction,omitempty"` // in, out, or unknown if empty
	Length          int       `json:"length"`              // on the wire
	Captured        int       `json:"captured"`
	Protocol        string    `json:"protocol"` // the innermost that is known
	Source          string    `json:"source,omitempty"`
	SourcePort      int       `json:"sourcePort,omitempty"`
	Destination     string    `json:"destination,omitempty"`
	DestinationPort int       `json:"destinationPort,omitempty"`
	Info            string    `json:"info"`
	Link            string    `json:"link,omitempty"`
	Layers          []Layer   `json:"layers,omitempty"`
	Bytes           string    `json:"bytes,omitempty"`  // hexadecimal
	Missed          int64     `json:"missed,omitempty"` // packets between the one before and this that are not shown
	Fault           string    `json:"fault,omitempty"`  // why it is not decoded to its end

	family string // as tcpdump begins a line
	data   []byte // what is shown as bytes
}

// Layer is one header of a packet.
type Layer struct {
	Name    string  `json:"name"`
	Summary string  `json:"summary"`
	Fields  []Field `json:"fields,omitempty"`
}

// Field is one value of a header. Those of lists and structures have names such as
// Questions[0].Name.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Decode decodes a packet of an interface.
func Decode(number int64, p *capture.Packet, i capture.Interface, detail Detail) *Packet {
	d := &Packet{
		Number:    number,
		Time:      time.Unix(0, p.Time).UTC(),
		Interface: clean(i.Name),
		Direction: direction(p.Direction),
		Length:    int(p.Length),
		Captured:  len(p.Data),
	}
	s := &stack{packet: p}
	if !guarded(func() { s.decode(i.LinkType) }) {
		s.fault = "the packet is malformed"
	}
	d.Fault = clean(s.fault)
	if !guarded(func() { d.describe(s) }) || d.Protocol == "" {
		d.Protocol, d.Info = "unknown", "link type "+strconv.Itoa(int(i.LinkType))+", length "+strconv.Itoa(d.Length)
	}
	if detail >= Link {
		guarded(func() { d.Link = s.link() })
	}
	if detail >= Layers {
		for _, l := range s.layers {
			layer := Layer{Name: l.LayerType().String()}
			if !guarded(func() { layer.Summary = summary(l) }) {
				layer.Summary = "malformed"
			}
			if detail >= Tree {
				guarded(func() { layer.Fields = fields(l) })
			}
			d.Layers = append(d.Layers, layer)
		}
	}
	switch {
	case detail >= All:
		d.data = p.Data
	case detail >= Data:
		d.data = s.rest
	}
	d.Bytes = hex.EncodeToString(d.data)
	return d
}

// guarded reports whether f came to its end.
func guarded(f func()) (whole bool) {
	defer func() {
		if recover() != nil {
			whole = false
		}
	}()
	f()
	return true
}

func direction(d capture.Direction) string {
	switch d {
	case capture.DirectionUnknown:
		return ""
	case capture.Outgoing:
		return "out"
	}
	return "in"
}

// stack is the layers of a packet, outermost first. It is what gopacket's decoders build.
type stack struct {
	packet *capture.Packet
	layers []gopacket.Layer
	rest   []byte // behind the last layer
	next   gopacket.Decoder
	fault  string
}

const (
	// maxLayers is more than any packet has that was not made to have many.
	maxLayers = 24

	// maxDNS bounds what names that refer to each other can grow to in the decoder.
	maxDNS = 4096
)

// decode decodes layer after layer. The decoders say by NextDecoder what is inside.
func (s *stack) decode(link capture.LinkType) {
	s.rest = s.packet.Data
	s.next = first(link, s.rest)
	if link == linuxSLL2 {
		s.next, s.rest = sll2(s.rest)
	}
	for len(s.layers) < maxLayers && len(s.rest) > 0 {
		decoder := allow(s.next, len(s.rest))
		if decoder == nil {
			return
		}
		before := len(s.layers)
		s.next = nil
		err := decoder.Decode(s.rest, s)
		if len(s.layers) > before {
			last := s.layers[len(s.layers)-1]
			s.rest = last.LayerPayload()
			if better := inside(last, s.rest); better != nil {
				s.next = better
			}
		}
		if err != nil {
			s.fault = err.Error()
			return
		}
	}
}

// inside is the decoder of what is in a layer, where the layer's own decoder does not name
// it, or does not know it; else nil.
func inside(l gopacket.Layer, data []byte) gopacket.Decoder {
	switch l := l.(type) {
	case *layers.MPLS:
		if !l.StackBottom {
			return layers.LayerTypeMPLS
		}
		return first(capture.Raw, data)
	case *layers.PPPoE:
		if l.Code == layers.PPPoECodeSession {
			return layers.LayerTypePPP
		}
	case *layers.PPP:
		if l.PPPType == layers.PPPTypeIPv4 || l.PPPType == layers.PPPTypeIPv6 {
			return first(capture.Raw, data)
		}
	case *layers.Ethernet:
		if l.EthernetType == oldQinQ {
			return layers.LayerTypeDot1Q
		}
	case *layers.Dot1Q:
		if l.Type == oldQinQ {
			return layers.LayerTypeDot1Q
		}
	}
	return nil
}

// oldQinQ is what some switches put before a second VLAN tag.
const oldQinQ layers.EthernetType = 0x9100

const linuxSLL2 capture.LinkType = 276

// first is the decoder of the outermost layer.
func first(link capture.LinkType, data []byte) gopacket.Decoder {
	switch link {
	case capture.Ethernet:
		return layers.LayerTypeEthernet
	case 0, 108:
		return layers.LayerTypeLoopback
	case 9:
		return layers.LayerTypePPP
	case 113:
		return layers.LayerTypeLinuxSLL
	case capture.Raw, 228, 229:
		switch {
		case len(data) == 0:
		case data[0]>>4 == 4:
			return layers.LayerTypeIPv4
		case data[0]>>4 == 6:
			return layers.LayerTypeIPv6
		}
	}
	return nil
}

// sll2 steps over a header that gopacket 1.1.19 does not know
// (https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html).
func sll2(data []byte) (gopacket.Decoder, []byte) {
	const length = 20
	if len(data) < length {
		return nil, data
	}
	return layers.EthernetType(uint16(data[0])<<8 | uint16(data[1])), data[length:]
}

// allowed are the layers that are decoded. Those that gopacket 1.1.19 knows and that are
// not here can be made to use memory or time without bounds, or are of no use here.
var allowed = map[gopacket.LayerType]bool{
	layers.LayerTypeEthernet: true, layers.LayerTypeLoopback: true, layers.LayerTypeLinuxSLL: true, layers.LayerTypePPP: true,
	layers.LayerTypeDot1Q: true, layers.LayerTypeLLC: true, layers.LayerTypeSNAP: true, layers.LayerTypeSTP: true,
	layers.LayerTypeARP: true, layers.LayerTypeMPLS: true, layers.LayerTypePPPoE: true, layers.LayerTypeEAPOL: true,
	layers.LayerTypeIPv4: true, layers.LayerTypeIPv6: true, layers.LayerTypeIPv6HopByHop: true, layers.LayerTypeIPv6Routing: true,
	layers.LayerTypeIPv6Fragment: true, layers.LayerTypeIPv6Destination: true, layers.LayerTypeIPSecAH: true, layers.LayerTypeIPSecESP: true,
	layers.LayerTypeICMPv4: true, layers.LayerTypeICMPv6: true, layers.LayerTypeICMPv6Echo: true,
	layers.LayerTypeICMPv6NeighborSolicitation: true, layers.LayerTypeICMPv6NeighborAdvertisement: true,
	layers.LayerTypeICMPv6RouterSolicitation: true, layers.LayerTypeICMPv6RouterAdvertisement: true, layers.LayerTypeICMPv6Redirect: true,
	layers.LayerTypeIGMP: true, layers.LayerTypeVRRP: true, layers.LayerTypeGRE: true, layers.LayerTypeEtherIP: true,
	layers.LayerTypeVXLAN: true, layers.LayerTypeGeneve: true,
	layers.LayerTypeTCP: true, layers.LayerTypeUDP: true, layers.LayerTypeUDPLite: true, layers.LayerTypeSCTP: true,
	layers.LayerTypeDNS: true, layers.LayerTypeDHCPv4: true, layers.LayerTypeNTP: true,
}

// allow is the decoder if it is for a layer that is decoded.
func allow(next gopacket.Decoder, length int) gopacket.Decoder {
	kind, ok := next.(gopacket.LayerType)
	if typed, has := next.(interface{ LayerType() gopacket.LayerType }); has && !ok {
		kind, ok = typed.LayerType(), true
	}
	if !ok || !allowed[kind] || kind == layers.LayerTypeDNS && length > maxDNS {
		return nil
	}
	return kind
}

// AddLayer implements gopacket.PacketBuilder, as the methods below do.
func (s *stack) AddLayer(l gopacket.Layer) { s.layers = append(s.layers, l) }

func (s *stack) NextDecoder(next gopacket.Decoder) error {
	s.next = next
	return nil
}

func (s *stack) SetTruncated()                                 {}
func (s *stack) SetLinkLayer(gopacket.LinkLayer)               {}
func (s *stack) SetNetworkLayer(gopacket.NetworkLayer)         {}
func (s *stack) SetTransportLayer(gopacket.TransportLayer)     {}
func (s *stack) SetApplicationLayer(gopacket.ApplicationLayer) {}
func (s *stack) SetErrorLayer(gopacket.ErrorLayer)             {}
func (s *stack) DumpPacketData()                               {}
func (s *stack) DecodeOptions() *gopacket.DecodeOptions        { return &options }

// options say that nobody writes to the packet while it is decoded, nor keeps a layer
// longer.
var options = gopacket.DecodeOptions{NoCopy: true}
