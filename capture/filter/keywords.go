package filter

import "strings"

type tokenKind uint8

const (
	tokenError tokenKind = iota
	tokenEnd
	tokenNumber
	tokenName
	tokenQuad   // 192.0.2.1, 192.0.2, 192.0
	tokenIPv6   // 2001:db8::1
	tokenEther  // 02:00:00:00:00:0a
	tokenARCnet // $0a

	tokenOpen
	tokenClose
	tokenOpenIndex
	tokenCloseIndex
	tokenColon
	tokenSlash
	tokenPlus
	tokenMinus
	tokenStar
	tokenPercent
	tokenCaret
	tokenAmp
	tokenBar
	tokenLsh
	tokenRsh
	tokenLT
	tokenGT
	tokenLE
	tokenGE
	tokenEQ
	tokenNE

	tokenAnd
	tokenOr
	tokenNot

	tokenProtocol  // value: protocol
	tokenDirection // value: direction
	tokenType      // host, net, port, portrange, proto, protochain, gateway; value: addressType
	tokenMask
	tokenPrimitive // broadcast, vlan, less ...; value: primitiveKind
	tokenLength    // len
	tokenByte
	tokenRNR     // "llc rnr", or pf's "rnr 5"
	tokenForeign // needs a link type that is not supported here
)

// protocol is a protocol qualifier.
type protocol uint8

const (
	protoDefault protocol = iota
	protoLink
	protoIP
	protoARP
	protoRARP
	protoSCTP
	protoTCP
	protoUDP
	protoICMP
	protoIGMP
	protoIGRP
	protoPIM
	protoVRRP
	protoCARP
	protoATalk
	protoAARP
	protoDECnet
	protoLAT
	protoSCA
	protoMOPRC
	protoMOPDL
	protoIPv6
	protoICMPv6
	protoAH
	protoESP
	protoISO
	protoESIS
	protoISIS
	protoISISL1
	protoISISL2
	protoISISIIH
	protoISISLSP
	protoISISSNP
	protoISISCSNP
	protoISISPSNP
	protoCLNP
	protoSTP
	protoIPX
	protoNetBEUI
	protoRadio
)

// String returns the keyword of the protocol.
func (p protocol) String() string {
	return [...]string{"", "ether", "ip", "arp", "rarp", "sctp", "tcp", "udp", "icmp", "igmp", "igrp", "pim",
		"vrrp", "carp", "atalk", "aarp", "decnet", "lat", "sca", "moprc", "mopdl", "ip6", "icmp6", "ah", "esp",
		"iso", "esis", "isis", "l1", "l2", "iih", "lsp", "snp", "csnp", "psnp", "clnp", "stp", "ipx",
		"netbeui", "radio"}[p]
}

// direction is a direction qualifier.
type direction uint8

const (
	dirDefault direction = iota
	dirSrc
	dirDst
	dirSrcOrDst
	dirSrcAndDst
	dirAddr1
	dirAddr2
	dirAddr3
	dirAddr4
	dirRA
	dirTA
)

// String returns the direction as written in an expression.
func (d direction) String() string {
	return [...]string{"", "src", "dst", "src or dst", "src and dst", "addr1", "addr2", "addr3", "addr4", "ra", "ta"}[d]
}

// addressType is a type qualifier: what the identifier after it means.
type addressType uint8

const (
	typeDefault addressType = iota // a host
	typeHost
	typeNet
	typePort
	typePortRange
	typeProto
	typeProtoChain
	typeGateway
	typeUndefined // no qualifiers are in force
)

// String returns the keyword of the type.
func (t addressType) String() string {
	return [...]string{"host", "host", "net", "port", "portrange", "proto", "protochain", "gateway", ""}[t]
}

// primitiveKind is a primitive that stands for itself instead of qualifying an identifier.
type primitiveKind uint8

const (
	primBroadcast primitiveKind = iota
	primMulticast
	primLess
	primGreater
	primInbound
	primOutbound
	primIfindex
	primVLAN
	primMPLS
	primPPPoED
	primPPPoES
	primGeneve
	primVXLAN
	primWLANType
	primWLANSubtype
	primWLANDir
	primLLC
)

// String returns the keyword of the primitive.
func (k primitiveKind) String() string {
	return [...]string{"broadcast", "multicast", "less", "greater", "inbound", "outbound", "ifindex", "vlan",
		"mpls", "pppoed", "pppoes", "geneve", "vxlan", "type", "subtype", "dir", "llc"}[k]
}

// keywordList names the words with a meaning of their own, for suggestions; among those that are as
// close, the first is suggested.
func keywordList() []string {
	return []string{"and", "or", "not", "ether", "link", "wlan", "ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp",
		"icmp", "icmp6", "igmp", "pim", "vrrp", "carp", "esp", "ah", "src", "dst", "host", "net", "mask", "port",
		"portrange", "proto", "protochain", "gateway", "broadcast", "multicast", "less", "greater", "byte", "len",
		"inbound", "outbound", "ifindex", "vlan", "mpls", "pppoed", "pppoes", "geneve", "vxlan", "type", "subtype",
		"dir", "llc", "stp", "iso", "ipx", "atalk", "aarp", "decnet", "isis", "esis", "clnp", "radio"}
}

// keyword classifies a word. Keywords are case-sensitive; what is none of them is a name.
func keyword(word string) token {
	proto := func(p protocol) token { return token{kind: tokenProtocol, value: uint32(p)} }
	dir := func(d direction) token { return token{kind: tokenDirection, value: uint32(d)} }
	typ := func(t addressType) token { return token{kind: tokenType, value: uint32(t)} }
	prim := func(k primitiveKind) token { return token{kind: tokenPrimitive, value: uint32(k)} }
	switch word {
	case "and":
		return token{kind: tokenAnd}
	case "or":
		return token{kind: tokenOr}
	case "not":
		return token{kind: tokenNot}
	case "link", "ether", "ppp", "slip", "fddi", "tr", "wlan":
		return proto(protoLink)
	case "ip":
		return proto(protoIP)
	case "arp":
		return proto(protoARP)
	case "rarp":
		return proto(protoRARP)
	case "sctp":
		return proto(protoSCTP)
	case "tcp":
		return proto(protoTCP)
	case "udp":
		return proto(protoUDP)
	case "icmp":
		return proto(protoICMP)
	case "igmp":
		return proto(protoIGMP)
	case "igrp":
		return proto(protoIGRP)
	case "pim":
		return proto(protoPIM)
	case "vrrp":
		return proto(protoVRRP)
	case "carp":
		return proto(protoCARP)
	case "atalk":
		return proto(protoATalk)
	case "aarp":
		return proto(protoAARP)
	case "decnet":
		return proto(protoDECnet)
	case "lat":
		return proto(protoLAT)
	case "sca":
		return proto(protoSCA)
	case "moprc":
		return proto(protoMOPRC)
	case "mopdl":
		return proto(protoMOPDL)
	case "ip6":
		return proto(protoIPv6)
	case "icmp6":
		return proto(protoICMPv6)
	case "ah":
		return proto(protoAH)
	case "esp":
		return proto(protoESP)
	case "iso":
		return proto(protoISO)
	case "esis", "es-is":
		return proto(protoESIS)
	case "isis", "is-is":
		return proto(protoISIS)
	case "l1":
		return proto(protoISISL1)
	case "l2":
		return proto(protoISISL2)
	case "iih":
		return proto(protoISISIIH)
	case "lsp":
		return proto(protoISISLSP)
	case "snp":
		return proto(protoISISSNP)
	case "csnp":
		return proto(protoISISCSNP)
	case "psnp":
		return proto(protoISISPSNP)
	case "clnp":
		return proto(protoCLNP)
	case "stp":
		return proto(protoSTP)
	case "ipx":
		return proto(protoIPX)
	case "netbeui":
		return proto(protoNetBEUI)
	case "radio":
		return proto(protoRadio)
	case "src":
		return dir(dirSrc)
	case "dst":
		return dir(dirDst)
	case "addr1", "address1":
		return dir(dirAddr1)
	case "addr2", "address2":
		return dir(dirAddr2)
	case "addr3", "address3":
		return dir(dirAddr3)
	case "addr4", "address4":
		return dir(dirAddr4)
	case "ra":
		return dir(dirRA)
	case "ta":
		return dir(dirTA)
	case "host":
		return typ(typeHost)
	case "net":
		return typ(typeNet)
	case "port":
		return typ(typePort)
	case "portrange":
		return typ(typePortRange)
	case "proto":
		return typ(typeProto)
	case "protochain":
		return typ(typeProtoChain)
	case "gateway":
		return typ(typeGateway)
	case "mask":
		return token{kind: tokenMask}
	case "broadcast":
		return prim(primBroadcast)
	case "multicast":
		return prim(primMulticast)
	case "less":
		return prim(primLess)
	case "greater":
		return prim(primGreater)
	case "inbound":
		return prim(primInbound)
	case "outbound":
		return prim(primOutbound)
	case "ifindex":
		return prim(primIfindex)
	case "vlan":
		return prim(primVLAN)
	case "mpls":
		return prim(primMPLS)
	case "pppoed":
		return prim(primPPPoED)
	case "pppoes":
		return prim(primPPPoES)
	case "geneve":
		return prim(primGeneve)
	case "vxlan":
		return prim(primVXLAN)
	case "type":
		return prim(primWLANType)
	case "subtype":
		return prim(primWLANSubtype)
	case "dir", "direction":
		return prim(primWLANDir)
	case "llc":
		return prim(primLLC)
	case "len", "length":
		return token{kind: tokenLength}
	case "byte":
		return token{kind: tokenByte}
	case "rnr", "rulenum":
		return token{kind: tokenRNR}
	case "lane", "metac", "bcc", "oam", "oamf4", "oamf4ec", "oamf4sc", "sc", "ilmic", "vpi", "vci", "connectmsg",
		"metaconnect",                                                               // ATM
		"on", "ifname", "rset", "ruleset", "srnr", "subrulenum", "reason", "action", // OpenBSD's pf log
		"fisu", "lssu", "lsu", "msu", "hfisu", "hlssu", "hmsu", "sio", "opc", "dpc", "sls",
		"hsio", "hopc", "hdpc", "hsls": // SS7
		return token{kind: tokenForeign}
	}
	if v, ok := namedNumber(word); ok {
		return token{kind: tokenNumber, value: v}
	}
	return token{kind: tokenName}
}

// namedNumbers are the constants of pcap-filter(7): offsets and values of ICMP, ICMPv6 and TCP
// fields. They are plain numbers everywhere.
var namedNumbers = [...]struct {
	name  string
	value uint32
}{
	{"icmptype", 0},
	{"icmp6type", 0},
	{"icmp-echoreply", 0},
	{"icmpcode", 1},
	{"icmp6code", 1},
	{"tcpflags", 13},
	{"icmp-unreach", 3},
	{"icmp-sourcequench", 4},
	{"icmp-redirect", 5},
	{"icmp-echo", 8},
	{"icmp-routeradvert", 9},
	{"icmp-routersolicit", 10},
	{"icmp-timxceed", 11},
	{"icmp-paramprob", 12},
	{"icmp-tstamp", 13},
	{"icmp-tstampreply", 14},
	{"icmp-ireq", 15},
	{"icmp-ireqreply", 16},
	{"icmp-maskreq", 17},
	{"icmp-maskreply", 18},
	{"icmp6-destinationunreach", 1},
	{"icmp6-packettoobig", 2},
	{"icmp6-timeexceeded", 3},
	{"icmp6-parameterproblem", 4},
	{"icmp6-echo", 128},
	{"icmp6-echoreply", 129},
	{"icmp6-multicastlistenerquery", 130},
	{"icmp6-multicastlistenerreportv1", 131},
	{"icmp6-multicastlistenerdone", 132},
	{"icmp6-routersolicit", 133},
	{"icmp6-routeradvert", 134},
	{"icmp6-neighborsolicit", 135},
	{"icmp6-neighboradvert", 136},
	{"icmp6-redirect", 137},
	{"icmp6-routerrenum", 138},
	{"icmp6-nodeinformationquery", 139},
	{"icmp6-nodeinformationresponse", 140},
	{"icmp6-ineighbordiscoverysolicit", 141},
	{"icmp6-ineighbordiscoveryadvert", 142},
	{"icmp6-multicastlistenerreportv2", 143},
	{"icmp6-homeagentdiscoveryrequest", 144},
	{"icmp6-homeagentdiscoveryreply", 145},
	{"icmp6-mobileprefixsolicit", 146},
	{"icmp6-mobileprefixadvert", 147},
	{"icmp6-certpathsolicit", 148},
	{"icmp6-certpathadvert", 149},
	{"icmp6-multicastrouteradvert", 151},
	{"icmp6-multicastroutersolicit", 152},
	{"icmp6-multicastrouterterm", 153},
	{"tcp-fin", 0x01},
	{"tcp-syn", 0x02},
	{"tcp-rst", 0x04},
	{"tcp-push", 0x08},
	{"tcp-ack", 0x10},
	{"tcp-urg", 0x20},
	{"tcp-ece", 0x40},
	{"tcp-cwr", 0x80},
}

// namedNumber returns the value of a constant.
func namedNumber(word string) (uint32, bool) {
	if !strings.HasPrefix(word, "icmp") && !strings.HasPrefix(word, "tcp") {
		return 0, false
	}
	for _, n := range namedNumbers {
		if n.name == word {
			return n.value, true
		}
	}
	return 0, false
}
