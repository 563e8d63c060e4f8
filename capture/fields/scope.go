package fields

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/gopacket/layers"

	"diagsh/capture"
	"diagsh/capture/decode"
)

// A scope knows how the filter language names the bytes of the header at hand: ip[8], also after a
// VLAN tag, but not in a tunnel.
type scope struct {
	link capture.LinkType

	prefix   string // what comes before, such as "vlan and "
	accessor string // "ip"; empty: the language cannot say
	shift    int    // of the header's bytes from those of the accessor
	also     string // what must hold too for the bytes to be this header's
	lost     bool   // the language cannot say anything of the headers that follow
	depth    int
	kind     layers.EthernetType // of the header, as the one before says
	version  int                 // of IP before the header
	direct   bool                // IP is right before the header
}

// enter begins a header. It returns the filter for packets that have one.
func (s *scope) enter(h decode.Header) string {
	s.accessor, s.shift, s.also = "", 0, ""
	if s.lost || !filtered(s.link) {
		return ""
	}
	switch h.Kind {
	case layers.LayerTypeEthernet:
		s.accessor = "ether"
		if s.depth > 0 || s.link != capture.Ethernet {
			s.accessor, s.lost = "", true
		}
		return ""
	case layers.LayerTypeDot1Q:
		return s.onEthernet("vlan", layers.EthernetTypeDot1Q, layers.EthernetTypeQinQ, 0x9100)
	case layers.LayerTypeMPLS:
		if strings.Contains(s.prefix, "mpls") {
			return s.prefix + "mpls"
		}
		return s.onEthernet("mpls", layers.EthernetTypeMPLSUnicast)
	case layers.LayerTypePPPoE:
		return s.onEthernet("pppoes", layers.EthernetTypePPPoESession)
	case layers.LayerTypeARP:
		if s.kind == layers.EthernetTypeARP {
			return s.of("arp", "arp")
		}
	case layers.LayerTypeIPv4, layers.LayerTypeIPv6:
		if s.version != 0 { // in a tunnel
			s.lost = true
			return ""
		}
		if s.version, s.direct = 4, true; h.Kind == layers.LayerTypeIPv6 {
			s.version = 6
			return s.of("ip6", "ip6")
		}
		return s.of("ip", "ip")
	case layers.LayerTypeTCP:
		return s.transport("tcp", 6)
	case layers.LayerTypeUDP:
		return s.transport("udp", 17)
	case layers.LayerTypeSCTP:
		return s.transport("sctp", 132)
	case layers.LayerTypeICMPv4:
		if s.version == 4 && s.direct {
			return s.of("icmp", "icmp")
		}
	case layers.LayerTypeICMPv6:
		if s.version == 6 && s.direct {
			s.inIPv6(58)
			return s.prefix + "icmp6"
		}
	}
	s.accessor = ""
	return ""
}

// onEthernet returns the filter for a header that the language knows by some types of Ethernet.
// After another one it can say nothing.
func (s *scope) onEthernet(filter string, kinds ...layers.EthernetType) string {
	if s.link != capture.Ethernet || !slices.Contains(kinds, s.kind) {
		s.lost = true
		return ""
	}
	return s.prefix + filter
}

// of says that the language names the header's bytes so.
func (s *scope) of(accessor, filter string) string {
	s.accessor = accessor
	return s.prefix + filter
}

// transport says how the bytes of a header after IP are named.
func (s *scope) transport(name string, number int) string {
	switch {
	case !s.direct:
		return ""
	case s.version == 4:
		s.accessor = name
	default:
		s.inIPv6(number)
	}
	return s.prefix + name
}

// inIPv6 names the bytes after the header of IPv6.
func (s *scope) inIPv6(number int) {
	s.accessor, s.shift, s.also = "ip6", 40, fmt.Sprintf("ip6[6] = %d and ", number)
}

// leave ends a header.
func (s *scope) leave(h decode.Header) {
	s.depth++
	s.kind = 0
	switch l := h.Layer.(type) {
	case *layers.Ethernet:
		s.kind = l.EthernetType
	case *layers.Dot1Q:
		s.kind = l.Type
		s.prefix += "vlan and "
	case *layers.LinuxSLL:
		s.kind = l.EthernetType
	case *layers.MPLS:
		s.prefix += "mpls and "
	case *layers.PPPoE:
		s.prefix += "pppoes and "
	case *layers.PPP:
		// the language knows it by the link type, and after PPPoE
	case *layers.Loopback:
		// the language takes the byte order of this machine; the number of IPv6 depends on the system
		s.lost = l.Family != layers.ProtocolFamilyIPv4 || h.Bytes[0] != byte(layers.ProtocolFamilyIPv4)
	case *layers.IPv4, *layers.IPv6:
		// what follows directly can be named
	default:
		if h.Kind == decode.LinuxSLL2 && len(h.Bytes) > 1 {
			s.kind = layers.EthernetType(uint16(h.Bytes[0])<<8 | uint16(h.Bytes[1]))
			return
		}
		s.direct, s.lost = false, true
	}
}

// filtered reports whether the language names IP in packets of a link, by the numbers of capture
// files (https://www.tcpdump.org/linktypes.html): Ethernet, IP, BSD's loopback, PPP, cooked ones.
func filtered(link capture.LinkType) bool {
	switch link {
	case capture.Ethernet, capture.Raw, 0, 9, 12, 113, 228, 229, 276:
		return true
	}
	return false
}

// bytes returns the filter for bytes with a value; a mask of 0 is all bits.
func (s *scope) bytes(at, size int, mask, value uint64) string {
	if s.accessor == "" || size != 1 && size != 2 && size != 4 {
		return ""
	}
	place := fmt.Sprintf("%s[%d]", s.accessor, at+s.shift)
	if size > 1 {
		place = fmt.Sprintf("%s[%d:%d]", s.accessor, at+s.shift, size)
	}
	if mask != 0 {
		place += fmt.Sprintf(" & 0x%x", mask)
	}
	return fmt.Sprintf("%s%s%s = 0x%x", s.prefix, s.also, place, value)
}

// says returns a filter in words, unless the language cannot say anything of this header.
func (s *scope) says(format string, arguments ...any) string {
	if s.accessor == "" {
		return ""
	}
	return s.prefix + fmt.Sprintf(format, arguments...)
}

// port returns the filter for a port of the header at hand.
func (s *scope) port(protocol, way string, port uint64) string {
	if s.accessor == "" {
		return ""
	}
	return s.prefix + strings.Join([]string{protocol, way, "port", decimal(port)}, " ")
}

// number returns the filter for the number of a VLAN, a label or a session.
func (s *scope) number(word string, n uint64) string {
	if s.lost || !filtered(s.link) {
		return ""
	}
	return s.prefix + word + " " + decimal(n)
}
