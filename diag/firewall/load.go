package firewall

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// A key is what meta and ct load: its name and how it is written.
type key struct {
	name string
	kind kind
}

var metaKeys = map[uint32]key{unix.NFT_META_LEN: {"meta length", host}, unix.NFT_META_PROTOCOL: {"meta protocol", etherType},
	unix.NFT_META_MARK: {"meta mark", mark}, unix.NFT_META_IIF: {"iif", index}, unix.NFT_META_OIF: {"oif", index},
	unix.NFT_META_IIFNAME: {"iifname", words}, unix.NFT_META_OIFNAME: {"oifname", words},
	unix.NFT_META_SKUID: {"meta skuid", host}, unix.NFT_META_SKGID: {"meta skgid", host},
	unix.NFT_META_NFPROTO: {"meta nfproto", family}, unix.NFT_META_L4PROTO: {"meta l4proto", protocol},
	unix.NFT_META_PKTTYPE: {"meta pkttype", packetType}, unix.NFT_META_CPU: {"meta cpu", host}, unix.NFT_META_CGROUP: {"meta cgroup", host},
	unix.NFT_META_IIFTYPE: {"meta iiftype", hardware}, unix.NFT_META_OIFTYPE: {"meta oiftype", hardware}}

var ctKeys = map[uint32]key{unix.NFT_CT_STATE: {"ct state", state}, unix.NFT_CT_DIRECTION: {"ct direction", direction},
	unix.NFT_CT_STATUS: {"ct status", status}, unix.NFT_CT_MARK: {"ct mark", mark}}

// unreadMeta and unreadCT are the names of keys that are not read.
var (
	unreadMeta = map[uint32]string{unix.NFT_META_PRIORITY: "priority", unix.NFT_META_NFTRACE: "nftrace", unix.NFT_META_RTCLASSID: "rtclassid",
		unix.NFT_META_IIFGROUP: "iifgroup", unix.NFT_META_OIFGROUP: "oifgroup", unix.NFT_META_PRANDOM: "random", 25: "ipsec",
		30: "time", 31: "day", 32: "hour"}
	unreadCT = map[uint32]string{unix.NFT_CT_EXPIRATION: "expiration", unix.NFT_CT_HELPER: "helper", unix.NFT_CT_L3PROTOCOL: "l3proto",
		unix.NFT_CT_SRC: "saddr", unix.NFT_CT_DST: "daddr", unix.NFT_CT_PROTOCOL: "protocol", unix.NFT_CT_PROTO_SRC: "proto-src",
		unix.NFT_CT_PROTO_DST: "proto-dst", unix.NFT_CT_LABELS: "label", unix.NFT_CT_PKTS: "packets", unix.NFT_CT_BYTES: "bytes",
		unix.NFT_CT_AVGPKT: "avgpkt", unix.NFT_CT_ZONE: "zone", unix.NFT_CT_EVENTMASK: "event", unix.NFT_CT_SRC_IP: "ip saddr",
		unix.NFT_CT_DST_IP: "ip daddr", unix.NFT_CT_SRC_IP6: "ip6 saddr", unix.NFT_CT_DST_IP6: "ip6 daddr", unix.NFT_CT_ID: "id"}
)

// unreadKey returns the name of a key of a kind that is not read, its number if it has none.
func unreadKey(of string, names map[uint32]string, number uint32) key {
	if name := names[number]; name != "" {
		return key{of + " " + name, hex}
	}
	return key{fmt.Sprintf("%s %d", of, number), hex}
}

func (t *translator) meta(a attributes) {
	k, known := metaKeys[a.number(unix.NFTA_META_KEY)]
	if !known {
		k = unreadKey("meta", unreadMeta, a.number(unix.NFTA_META_KEY))
	}
	if a[unix.NFTA_META_SREG] != nil {
		t.set(k.name, k.kind, a.register(unix.NFTA_META_SREG))
		return
	}
	t.registers[a.register(unix.NFTA_META_DREG)] = operand{name: k.name, kind: k.kind, unread: !known}
}

func (t *translator) ct(a attributes) {
	k, known := ctKeys[a.number(unix.NFTA_CT_KEY)]
	if !known || a[unix.NFTA_CT_DIRECTION] != nil {
		known = false
		if k.kind = hex; k.name == "" {
			k = unreadKey("ct", unreadCT, a.number(unix.NFTA_CT_KEY))
		}
	}
	if a[unix.NFTA_CT_SREG] != nil {
		t.set(k.name, k.kind, a.register(unix.NFTA_CT_SREG))
		return
	}
	t.registers[a.register(unix.NFTA_CT_DREG)] = operand{name: k.name, kind: k.kind, unread: !known}
}

// A field is a field of the header of a protocol, by its place. That of protocol "" is of every
// transport that has ports.
type field struct {
	protocol       string
	offset, length uint32
	name           string
	kind           kind
}

var linkFields = []field{{"ether", 0, 6, "daddr", mac}, {"ether", 6, 6, "saddr", mac}, {"ether", 12, 2, "type", etherType}}

var networkFields = []field{
	{"ip", 2, 2, "length", network}, {"ip", 4, 2, "id", network}, {"ip", 8, 1, "ttl", network}, {"ip", 9, 1, "protocol", protocol},
	{"ip", 12, 4, "saddr", ip4}, {"ip", 16, 4, "daddr", ip4},
	{"ip6", 4, 2, "length", network}, {"ip6", 6, 1, "nexthdr", protocol}, {"ip6", 7, 1, "hoplimit", network},
	{"ip6", 8, 16, "saddr", ip6}, {"ip6", 24, 16, "daddr", ip6},
	{"arp", 6, 2, "operation", operation}, {"arp", 8, 6, "saddr ether", mac}, {"arp", 14, 4, "saddr ip", ip4},
	{"arp", 18, 6, "daddr ether", mac}, {"arp", 24, 4, "daddr ip", ip4},
}

var transportFields = []field{
	{"icmp", 0, 1, "type", icmp}, {"icmpv6", 0, 1, "type", icmp6}, {"tcp", 13, 1, "flags", tcpFlags},
	{"tcp", 4, 4, "sequence", network}, {"tcp", 8, 4, "ackseq", network}, {"tcp", 14, 2, "window", network}, {"udp", 4, 2, "length", network},
	{"", 0, 2, "sport", network}, {"", 2, 2, "dport", network},
}

// ported are the protocols of the transport that have ports.
var ported = map[string]bool{"tcp": true, "udp": true, "udplite": true, "sctp": true, "dccp": true}

// payload notes or writes a field of a packet.
func (t *translator) payload(a attributes) {
	offset, length := a.number(unix.NFTA_PAYLOAD_OFFSET), a.number(unix.NFTA_PAYLOAD_LEN)
	protocol, list, place := t.header(a.number(unix.NFTA_PAYLOAD_BASE))
	o := operand{name: fmt.Sprintf("%s @%s,%d,%d", protocol, place, 8*offset, 8*length), unread: true}
	for _, f := range list {
		address := (f.kind == ip4 || f.kind == ip6) && length < f.length
		if f.offset != offset || f.length != length && !address {
			continue
		}
		if f.protocol != protocol && (f.protocol != "" || !ported[protocol] && protocol != "th") {
			continue
		}
		o = operand{name: protocol + " " + f.name, kind: f.kind}
		if address { // nft compares only the first bytes of a network's address
			o.part = int(length)
		}
		break
	}
	if o.unread {
		o.fields = together(protocol, list, offset, length)
	}
	if a[unix.NFTA_PAYLOAD_SREG] != nil {
		t.set(o.name, o.kind, a.register(unix.NFTA_PAYLOAD_SREG))
		return
	}
	t.registers[a.register(unix.NFTA_PAYLOAD_DREG)] = o
}

// together returns the fields of a protocol that follow each other in a place, nil if others are in it:
// nft compares such at once.
func together(protocol string, list []field, offset, length uint32) (found []field) {
	end := offset + length
	for _, f := range list {
		if f.offset == offset && f.offset+f.length <= end && (f.protocol == protocol || f.protocol == "" && ported[protocol]) {
			f.protocol, offset = protocol, offset+f.length
			found = append(found, f)
		}
	}
	if offset != end {
		return nil
	}
	return found
}

// header returns the protocol of a header, the fields and the short name of its place, and takes back
// the words that a field of it implies.
func (t *translator) header(base uint32) (protocol string, list []field, place string) {
	switch base {
	case unix.NFT_PAYLOAD_LL_HEADER:
		if !t.ethernet {
			return "payload", nil, "ll"
		}
		t.drop(&t.impliedLink)
		if t.network == "8021q" {
			t.drop(&t.impliedFamily)
		}
		return "ether", linkFields, "ll"
	case unix.NFT_PAYLOAD_NETWORK_HEADER:
		if protocol = t.network; protocol == "" {
			return "payload", nil, "nh"
		}
		t.drop(&t.impliedFamily)
		return protocol, networkFields, "nh"
	case unix.NFT_PAYLOAD_TRANSPORT_HEADER:
		switch protocol = t.transport; protocol {
		case "":
			return "th", transportFields, "th"
		case "ipv6-icmp":
			protocol = "icmpv6"
		}
		if protocol == "icmp" && t.network == "ip" || protocol == "icmpv6" && t.network == "ip6" {
			t.drop(&t.impliedFamily)
		}
		t.drop(&t.impliedTransport)
		return protocol, transportFields, "th"
	}
	return "payload", nil, fmt.Sprint(base)
}
