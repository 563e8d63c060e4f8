package decode

import (
	"fmt"

	"github.com/google/gopacket/layers"
)

// frame describes a layer of a link. It reports false for any other layer.
func (d *Packet) frame(s *stack, n int) bool {
	length := s.lengths[n]
	switch l := s.layers[n].(type) {
	case *layers.Ethernet:
		d.Protocol, d.family = "Ethernet", ""
		d.Source, d.Destination = l.SrcMAC.String(), l.DstMAC.String()
		d.SourcePort, d.DestinationPort, d.ported = 0, 0, false
		d.Info = fmt.Sprintf("ethertype %s (0x%04x), length %d", ethertype(l.EthernetType),
			uint16(l.EthernetType), length)
	case *layers.Dot1Q:
		d.Protocol = "802.1Q"
		d.Info = fmt.Sprintf("vlan %d, ethertype %s (0x%04x), length %d", l.VLANIdentifier, ethertype(l.Type),
			uint16(l.Type), d.Length)
	case *layers.LinuxSLL:
		d.Protocol, d.Info = l.LayerType().String(), fmt.Sprintf("ethertype %s (0x%04x), length %d",
			ethertype(l.EthernetType), uint16(l.EthernetType), length)
	case *sll2:
		d.Protocol, d.Info = l.LayerType().String(), fmt.Sprintf("ethertype %s (0x%04x), length %d",
			ethertype(l.EthernetType), uint16(l.EthernetType), length)
	case *wlan:
		d.Protocol, d.Info = "802.11", fmt.Sprintf("802.11 %s, length %d", l.name(), length)
		d.Source, d.Destination = l.Transmitter.String(), l.Receiver.String()
	case *layers.ARP:
		d.arp(l, length)
	default:
		return false
	}
	return true
}

// network describes a header of IP. It reports false for any other layer.
func (d *Packet) network(s *stack, n int) bool {
	length := s.lengths[n]
	switch l := s.layers[n].(type) {
	case *layers.IPv4:
		d.ends("IPv4", "IP", l.SrcIP, l.DstIP)
		inside := length - int(l.IHL)*4
		if l.Length != 0 {
			inside = int(l.Length) - int(l.IHL)*4
		}
		d.Info = fmt.Sprintf("%s, length %d", protocol(l.Protocol), inside)
		if l.FragOffset != 0 {
			d.Info = fmt.Sprintf("%s, fragment at %d, length %d", protocol(l.Protocol), int(l.FragOffset)*8, inside)
		}
	case *layers.IPv6:
		d.ends("IPv6", "IP6", l.SrcIP, l.DstIP)
		inside := int(l.Length)
		if inside == 0 {
			inside = s.behind(n)
		}
		d.Info = fmt.Sprintf("%s, length %d", protocol(l.NextHeader), inside)
	case *layers.IPv6Fragment:
		if l.FragmentOffset != 0 {
			d.Info = fmt.Sprintf("%s, fragment at %d, length %d", protocol(l.NextHeader), int(l.FragmentOffset)*8,
				s.behind(n))
		}
	case *layers.IPv6HopByHop, *layers.IPv6Routing, *layers.IPv6Destination:
	default:
		return false
	}
	return true
}

// transport describes a header with ports. It reports false for any other layer.
func (d *Packet) transport(s *stack, n int) bool {
	length := s.lengths[n]
	switch l := s.layers[n].(type) {
	case *layers.TCP:
		d.ported = true
		d.Protocol, d.SourcePort, d.DestinationPort = "TCP", int(l.SrcPort), int(l.DstPort)
		d.Info = tcp(l, length-int(l.DataOffset)*4, s.cut == layers.LayerTypeTCP)
	case *layers.UDP:
		d.ported = true
		d.Protocol, d.SourcePort, d.DestinationPort = "UDP", int(l.SrcPort), int(l.DstPort)
		inside := int(l.Length) - udpHeader // of all fragments
		if l.Length == 0 {
			inside = s.behind(n)
		}
		d.Info = fmt.Sprintf("UDP, length %d", inside)
	case *layers.SCTP:
		d.ported = true
		d.Protocol, d.SourcePort, d.DestinationPort = "SCTP", int(l.SrcPort), int(l.DstPort)
		d.Info = fmt.Sprintf("sctp, tag 0x%08x, length %d", l.VerificationTag, s.behind(n))
	default:
		return false
	}
	return true
}

// message describes what IP or a transport carries.
func (d *Packet) message(s *stack, n int) {
	length := s.lengths[n]
	switch l := s.layers[n].(type) {
	case *layers.ICMPv4:
		d.Protocol, d.Info = "ICMP", icmp4(l, length)
	case *layers.ICMPv6:
		d.Protocol, d.Info = "ICMPv6", icmp6(l, length)
	case *layers.ICMPv6Echo, *layers.ICMPv6NeighborSolicitation, *layers.ICMPv6NeighborAdvertisement,
		// ICMPv6's line has these
		*layers.ICMPv6RouterSolicitation, *layers.ICMPv6RouterAdvertisement, *layers.ICMPv6Redirect:
	case *layers.DNS:
		d.Protocol = "DNS"
		if text := dns(l, length); n > 0 && s.layers[n-1].LayerType() == layers.LayerTypeTCP {
			d.Info += " " + dns(l, len(l.Contents))
		} else {
			d.Info = text
		}
	case *layers.DHCPv4:
		d.Protocol, d.Info = "DHCP", dhcp(l, length)
	case *layers.NTP:
		d.Protocol, d.Info = "NTP", fmt.Sprintf("NTPv%d, stratum %d, length %d", l.Version, l.Stratum, length)
	default:
		d.Protocol = l.LayerType().String()
		d.Info = fmt.Sprintf("%s, length %d", d.Protocol, length)
	}
}
