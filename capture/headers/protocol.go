package headers

import "fmt"

// Protocol is what a packet is, by its innermost known header.
type Protocol uint32

// Protocols without a number of their own, and classes to which an EtherType or an IP protocol
// number is added.
const (
	Other Protocol = iota // nothing is known
	LLC
	ARP
	DNS
	IPv4         // whose header is incomplete
	IPv6         // whose header is incomplete
	IPv4Fragment // of an incomplete datagram
	IPv6Fragment
	Management // of 802.11, and control frames
	Encrypted  // data of 802.11
	PPP        // control protocols, and what PPP compressed or encrypted

	classEtherType Protocol = 0x10000
	classIP        Protocol = 0x20000
)

// OfEtherType returns the protocol of an EtherType that is not looked into.
func OfEtherType(kind uint16) Protocol { return classEtherType | Protocol(kind) }

// OfIP returns the protocol with this number in an IP header.
func OfIP(number uint8) Protocol { return classIP | Protocol(number) }

// IPName returns the name of a protocol by its number in an IP header.
func IPName(number uint8) string {
	if name := ipNames[number]; name != "" {
		return name
	}
	return fmt.Sprintf("ip protocol %d", number)
}

// ipNames has names as tcpdump's filter language and /etc/protocols have them.
var ipNames = [256]string{
	1: "icmp", 2: "igmp", 4: "ipip", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6 in ip", 46: "rsvp", 47: "gre",
	50: "esp", 51: "ah", 58: "icmp6", 59: "ipv6 without payload",
	88: "eigrp", 89: "ospf", 97: "etherip", 103: "pim", 108: "ipcomp", 112: "vrrp", 115: "l2tp", 132: "sctp",
	136: "udplite", 137: "mpls in ip",
}

func (p Protocol) String() string {
	switch {
	case p&classIP != 0:
		return IPName(uint8(p))
	case p&classEtherType != 0:
		switch uint16(p) {
		case 0x8863:
			return "PPPoE discovery"
		case 0x88cc:
			return "LLDP"
		case 0x888e:
			return "EAPOL"
		case 0x8809:
			return "slow protocols (LACP)"
		case 0x88e5:
			return "MACsec"
		case 0x88f7:
			return "PTP"
		}
		return fmt.Sprintf("0x%04x", uint16(p))
	}
	return [...]string{"other", "LLC", "ARP", "DNS", "IPv4", "IPv6", "IPv4 fragment", "IPv6 fragment",
		"802.11 management", "802.11 encrypted", "PPP control"}[p]
}

// Tunnels is the set of a packet's encapsulations.
type Tunnels uint32

// Encapsulations.
const (
	VLAN Tunnels = 1 << iota
	MPLS
	PPPoE
	PPPFrame // without PPPoE
	GRE
	IPIP
	IPv6InIP
	AH
	VXLAN
	Geneve
	GTP
	L2TP
	Teredo
	EtherIP
	ERSPAN
	LISP
	TZSP
	NSH
	PBB
)

// TunnelKinds is how many kinds of tunnels there are: each is 1<<n for n from 0.
const TunnelKinds = 19

var tunnelNames = [TunnelKinds]string{
	"VLAN", "MPLS", "PPPoE", "PPP", "GRE", "IP in IP", "IPv6 in IP", "AH", "VXLAN", "Geneve", "GTP", "L2TP", "Teredo",
	"EtherIP", "ERSPAN", "LISP", "TZSP", "NSH", "PBB",
}

// TunnelName returns the name of the kind 1<<n.
func TunnelName(n int) string { return tunnelNames[n] }
