package sockets

import "golang.org/x/sys/unix"

// IPProtocolName returns the name of an IP protocol as in /etc/protocols and IANA's list, in lower
// case, or "".
func IPProtocolName(number uint16) string {
	if int(number) < len(ipProtocolNames) {
		return ipProtocolNames[number]
	}
	return ""
}

// ipProtocolNames has the protocols in use (IANA's protocol numbers). 255 is special in raw(7):
// such a socket only sends, with headers that its process writes.
var ipProtocolNames = [256]string{
	0: "hopopt", 1: "icmp", 2: "igmp", 3: "ggp", 4: "ipencap", 5: "st", 6: "tcp", 8: "egp", 9: "igp", 12: "pup",
	17: "udp", 27: "rdp", 33: "dccp",
	36: "xtp", 41: "ipv6", 43: "ipv6-route", 44: "ipv6-frag", 46: "rsvp", 47: "gre", 50: "esp", 51: "ah",
	58: "ipv6-icmp", 59: "ipv6-nonxt",
	60: "ipv6-opts", 88: "eigrp", 89: "ospf", 94: "ipip", 97: "etherip", 98: "encap", 103: "pim", 108: "ipcomp",
	112: "vrrp", 115: "l2tp", 124: "isis",
	132: "sctp", 133: "fc", 135: "mobility-header", 136: "udplite", 137: "mpls-in-ip", 138: "manet", 139: "hip",
	140: "shim6", 141: "wesp", 142: "rohc",
	143: "ethernet", unix.IPPROTO_RAW: "raw",
}

// EtherTypeName returns the name of the protocol that a packet socket receives, in lower case, or
// "".
func EtherTypeName(number uint16) string {
	switch number {
	case 0:
		return "none" // packet(7): it receives no packets
	case unix.ETH_P_ALL:
		return "all"
	case unix.ETH_P_802_2:
		return "802.2"
	case unix.ETH_P_IP:
		return "ip"
	case unix.ETH_P_ARP:
		return "arp"
	case unix.ETH_P_RARP:
		return "rarp"
	case unix.ETH_P_8021Q:
		return "802.1q"
	case unix.ETH_P_8021AD:
		return "802.1ad"
	case unix.ETH_P_IPV6:
		return "ipv6"
	case unix.ETH_P_SLOW:
		return "slow" // LACP
	case unix.ETH_P_MPLS_UC:
		return "mpls"
	case unix.ETH_P_PPP_DISC:
		return "pppoe-discovery"
	case unix.ETH_P_PPP_SES:
		return "pppoe"
	case unix.ETH_P_PAE:
		return "eapol"
	case unix.ETH_P_LLDP:
		return "lldp"
	case unix.ETH_P_MACSEC:
		return "macsec"
	case unix.ETH_P_1588:
		return "ptp"
	}
	return ""
}
