package decode

import (
	"errors"
	"slices"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"diagsh/capture"
)

// stack is the layers of a packet, outermost first. Layers that gopacket easily reads wrong are
// read here, the others by gopacket's decoders. It is the builder that those fill.
type stack struct {
	packet  *capture.Packet
	layers  []gopacket.Layer
	lengths []int  // of each layer on the wire, with its content
	rest    []byte // after the last layer, as far as captured
	wire    int    // length of the rest on the wire
	next    gopacket.Decoder

	cut   gopacket.LayerType // the header that the captured bytes end in; 0: none
	kept  bool               // it is the last of layers nevertheless: only some of its options are missing
	bad   gopacket.LayerType // the header that is wrong
	fault string             // what is wrong with it
}

const (
	// maxLayers is more than any packet has, unless it was made to have many.
	maxLayers = 24

	// maxDNS limits what names that refer to each other can grow to in the decoder.
	maxDNS = 4096
)

// Reasons why decoding stops.
var (
	errCut       = errors.New("the packet ends in a header")
	errMalformed = errors.New("malformed")
)

// decode decodes layer after layer, until what follows is unknown or the bytes end.
func (s *stack) decode(link capture.LinkType) {
	s.rest, s.wire = slices.Clip(s.packet.Data), int(s.packet.Length)
	s.next = first(link, s.rest)
	for len(s.layers) < maxLayers {
		kind, known := allow(s.next, len(s.rest))
		if !known || s.wire <= 0 && optional[kind] {
			return
		}
		before := len(s.layers)
		s.next = nil
		inside, err := s.header(kind)
		for n := before; n < len(s.layers); n++ {
			s.lengths = append(s.lengths, s.wire)
			s.wire -= len(s.layers[n].LayerContents())
		}
		if len(s.layers) > before {
			s.rest = s.layers[len(s.layers)-1].LayerPayload()
		}
		switch {
		case errors.Is(err, errCut):
			s.cut, s.kept = kind, len(s.layers) > before
			return
		case err != nil:
			s.bad, s.fault = kind, err.Error()
			return
		}
		if inside >= 0 {
			s.wire = inside
		}
		s.wire = max(s.wire, 0)
		// What follows is padding, and no decoder may find it after the end of its slice.
		end := min(len(s.rest), s.wire)
		s.rest = s.rest[:end:end]
	}
}

// header reads one header. It returns how many bytes the header says it contains; -1 for all that
// there are.
func (s *stack) header(kind gopacket.LayerType) (inside int, err error) {
	if len(s.rest) < least(kind, s.rest) {
		return -1, errCut
	}
	before := len(s.layers)
	inside = -1
	if !guarded(func() {
		if read, own := readers[kind]; own {
			inside, err = read(s, s.rest)
		} else {
			inside, err = s.decoded(kind)
		}
	}) || err == nil && len(s.layers) == before {
		s.layers, err = s.layers[:before], errMalformed
	}
	return inside, err
}

// decoded reads a header by gopacket's decoder. It does not use the result if that reports an
// error.
func (s *stack) decoded(kind gopacket.LayerType) (inside int, err error) {
	switch kind {
	case layers.LayerTypeDHCPv4, layers.LayerTypeNTP, layers.LayerTypeIGMP, layers.LayerTypeVRRP:
		if len(s.rest) < s.wire {
			return -1, errCut // an incomplete message, though it may look like a shorter one
		}
	}
	before := len(s.layers)
	if !guarded(func() { err = kind.Decode(s.rest, s) }) {
		err = errMalformed
	}
	if err != nil {
		s.layers = s.layers[:before]
		if len(s.rest) < s.wire {
			err = errCut
		}
		return -1, err
	}
	last := s.layers[len(s.layers)-1]
	if better := within(last); better != nil {
		s.next = better
	}
	return -1, nil
}

// within returns the decoder for the content of a layer whose own decoder does not name it, or
// names the wrong one; else nil.
func within(l gopacket.Layer) gopacket.Decoder {
	switch l := l.(type) {
	case *layers.MPLS:
		if !l.StackBottom {
			return layers.LayerTypeMPLS
		}
		return first(capture.Raw, l.Payload)
	case *layers.LLC:
		if l.DSAP == sapIP && l.SSAP == sapIP {
			return layers.LayerTypeIPv4
		}
	}
	return nil
}

// sapIP is the service access point of IP in 802.2.
const sapIP = 6

// Link types of capture files that package capture has no name for
// (https://www.tcpdump.org/linktypes.html).
const (
	bsdLoopback     capture.LinkType = 0
	ppp             capture.LinkType = 9
	rawOnLinux      capture.LinkType = 12
	pppSerial       capture.LinkType = 50
	ciscoHDLC       capture.LinkType = 104
	openBSDLoopback capture.LinkType = 108
	linuxSLL        capture.LinkType = 113
	onlyIPv4        capture.LinkType = 228
	onlyIPv6        capture.LinkType = 229
	linuxSLL2       capture.LinkType = 276
)

// first returns the decoder of the outermost layer.
func first(link capture.LinkType, data []byte) gopacket.Decoder {
	switch link {
	case capture.Ethernet:
		return layers.LayerTypeEthernet
	case bsdLoopback, openBSDLoopback:
		return layers.LayerTypeLoopback
	case ppp, pppSerial:
		if len(data) > 0 && (data[0] == hdlcUnicast || data[0] == hdlcMulticast) {
			return layerCiscoHDLC
		}
		return layers.LayerTypePPP
	case ciscoHDLC:
		return layerCiscoHDLC
	case linuxSLL:
		return layers.LayerTypeLinuxSLL
	case linuxSLL2:
		return layerSLL2
	case ieee80211:
		return layerWLAN
	case ieee80211Radio:
		return layerRadiotap
	case onlyIPv4:
		return layers.LayerTypeIPv4
	case onlyIPv6:
		return layers.LayerTypeIPv6
	case capture.Raw, rawOnLinux:
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

// allowed has the layers that are decoded. The others that gopacket 1.1.19 knows can be made to use
// memory or time without limit, or are of no use here.
var allowed = map[gopacket.LayerType]bool{
	layers.LayerTypeEthernet: true, layers.LayerTypeLoopback: true, layers.LayerTypeLinuxSLL: true, layerSLL2: true,
	layers.LayerTypePPP: true, layerCiscoHDLC: true, layerWLAN: true, layerRadiotap: true,
	layers.LayerTypeDot1Q: true, layers.LayerTypeLLC: true, layers.LayerTypeSNAP: true, layers.LayerTypeSTP: true,
	layers.LayerTypeARP: true, layers.LayerTypeMPLS: true, layers.LayerTypePPPoE: true, layers.LayerTypeEAPOL: true,
	layers.LayerTypeIPv4: true, layers.LayerTypeIPv6: true, layers.LayerTypeIPv6HopByHop: true,
	layers.LayerTypeIPv6Routing:  true,
	layers.LayerTypeIPv6Fragment: true, layers.LayerTypeIPv6Destination: true, layers.LayerTypeIPSecAH: true,
	layers.LayerTypeIPSecESP: true,
	layers.LayerTypeICMPv4:   true, layers.LayerTypeICMPv6: true, layers.LayerTypeICMPv6Echo: true,
	layers.LayerTypeICMPv6NeighborSolicitation: true, layers.LayerTypeICMPv6NeighborAdvertisement: true,
	layers.LayerTypeICMPv6RouterSolicitation: true, layers.LayerTypeICMPv6RouterAdvertisement: true,
	layers.LayerTypeICMPv6Redirect: true,
	layers.LayerTypeIGMP:           true, layers.LayerTypeVRRP: true, layers.LayerTypeGRE: true,
	layers.LayerTypeEtherIP: true,
	layers.LayerTypeVXLAN:   true, layers.LayerTypeGeneve: true,
	layers.LayerTypeTCP: true, layers.LayerTypeUDP: true, layers.LayerTypeUDPLite: true, layers.LayerTypeSCTP: true,
	layers.LayerTypeDNS: true, layers.LayerTypeDHCPv4: true, layers.LayerTypeNTP: true,
}

// optional has the layers that may be absent where a port or the like leads to them: without them
// nothing is cut.
var optional = map[gopacket.LayerType]bool{
	layers.LayerTypeDNS: true, layers.LayerTypeDHCPv4: true, layers.LayerTypeNTP: true, layers.LayerTypeVXLAN: true,
	layers.LayerTypeGeneve: true,
}

// allow returns the kind of layer of a decoder, if that is decoded.
func allow(next gopacket.Decoder, length int) (gopacket.LayerType, bool) {
	kind, ok := next.(gopacket.LayerType)
	if typed, has := next.(interface{ LayerType() gopacket.LayerType }); has && !ok {
		kind, ok = typed.LayerType(), true
	}
	return kind, ok && allowed[kind] && !(kind == layers.LayerTypeDNS && length > maxDNS)
}

// least returns how many bytes a header has at least, as far as known. Not all of gopacket's
// decoders check that.
func least(kind gopacket.LayerType, b []byte) int {
	at := func(i int) int {
		if i < len(b) {
			return int(b[i])
		}
		return 0
	}
	switch kind {
	case layers.LayerTypeEtherIP:
		return 2
	case layers.LayerTypeLLC:
		if at(2)&3 != 3 {
			return 4 // with numbers of frames
		}
		return 3
	case layers.LayerTypeLoopback, layers.LayerTypeMPLS, layers.LayerTypeEAPOL, layers.LayerTypeICMPv6,
		layers.LayerTypeICMPv6RouterSolicitation, layers.LayerTypeICMPv6Echo:
		return 4
	case layers.LayerTypeSNAP:
		return 5
	case layers.LayerTypePPPoE:
		return 6
	case layers.LayerTypeIPSecESP, layers.LayerTypeICMPv4, layers.LayerTypeIGMP, layers.LayerTypeVRRP,
		layers.LayerTypeVXLAN, layers.LayerTypeUDPLite:
		return 8
	case layers.LayerTypeSCTP, layers.LayerTypeDNS, layers.LayerTypeICMPv6RouterAdvertisement:
		return 12
	case layers.LayerTypeICMPv6NeighborSolicitation, layers.LayerTypeICMPv6NeighborAdvertisement:
		return 20
	case layers.LayerTypeICMPv6Redirect:
		return 36
	case layers.LayerTypeNTP:
		return 48
	case layers.LayerTypeDHCPv4:
		return 240
	case layers.LayerTypeIPv6HopByHop, layers.LayerTypeIPv6Routing, layers.LayerTypeIPv6Destination:
		return max(8*(at(1)+1), 2)
	case layers.LayerTypeIPSecAH:
		return max(4*(at(1)+2), 12)
	}
	return 1
}

// list returns the layers for people, with the one that the packet ends in.
func (s *stack) list(detail Detail) (list []Layer) {
	for _, l := range s.layers {
		layer := Layer{Name: l.LayerType().String()}
		if !guarded(func() { layer.Summary = summary(l) }) {
			layer.Summary = "malformed"
		}
		if detail >= Tree {
			guarded(func() { layer.Fields = fields(l) })
		}
		list = append(list, layer)
	}
	switch {
	case s.cut == 0:
	case s.kept:
		list[len(list)-1].Summary += " " + cutMark(s.cut)
	default:
		list = append(list, Layer{Name: s.cut.String(), Summary: cutMark(s.cut)})
	}
	return list
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

// options tell gopacket that the packet does not change while it is decoded, and that no layer is
// kept longer.
var options = gopacket.DecodeOptions{NoCopy: true}
