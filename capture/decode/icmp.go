package decode

import (
	"fmt"
	"net"
	"strings"

	"github.com/google/gopacket/layers"
	"golang.org/x/sys/unix"
)

// ICMP in tcpdump's words. An error says what it is about: it contains the beginning of the packet
// that caused it.

// icmp4 describes an ICMP message. What is not there is not described: [|icmp].
func icmp4(l *layers.ICMPv4, length int) string {
	kind, code := l.TypeCode.Type(), l.TypeCode.Code()
	text := ""
	switch kind {
	case layers.ICMPv4TypeEchoRequest:
		text = fmt.Sprintf("echo request, id %d, seq %d", l.Id, l.Seq)
	case layers.ICMPv4TypeEchoReply:
		text = fmt.Sprintf("echo reply, id %d, seq %d", l.Id, l.Seq)
	case layers.ICMPv4TypeDestinationUnreachable:
		text = unreachable4(l, code)
	case layers.ICMPv4TypeRedirect:
		to, what := net.IP(l.Contents[4:8]).String(), [...]string{"redirect %s to net %s", "redirect %s to host %s",
			"redirect-tos %s to net %s", "redirect-tos %s to host %s"}
		if of := quoted(l.Payload).target; of == "" {
			text = "redirect " + cutMark(layers.LayerTypeICMPv4)
		} else if int(code) < len(what) {
			text = fmt.Sprintf(what[code], of, to)
		} else {
			text = fmt.Sprintf("redirect-#%d %s to %s", code, of, to)
		}
	case layers.ICMPv4TypeTimeExceeded:
		switch code {
		case layers.ICMPv4CodeTTLExceeded:
			text = "time exceeded in-transit"
		case layers.ICMPv4CodeFragmentReassemblyTimeExceeded:
			text = "ip reassembly time exceeded"
		default:
			text = fmt.Sprintf("time exceeded-#%d", code)
		}
	case layers.ICMPv4TypeParameterProblem:
		text = fmt.Sprintf("parameter problem - octet %d", l.Contents[4])
		if code != 0 {
			text = fmt.Sprintf("parameter problem - code %d", code)
		}
	case layers.ICMPv4TypeTimestampRequest:
		text = fmt.Sprintf("time stamp query id %d seq %d", l.Id, l.Seq)
	default:
		text = fmt.Sprintf("type-#%d", kind)
		if name, known := map[uint8]string{layers.ICMPv4TypeSourceQuench: "source quench",
			layers.ICMPv4TypeRouterAdvertisement: "router advertisement",
			layers.ICMPv4TypeRouterSolicitation:  "router solicitation",
			layers.ICMPv4TypeTimestampReply:      "time stamp reply",
			layers.ICMPv4TypeInfoRequest:         "information request",
			layers.ICMPv4TypeInfoReply:           "information reply",
			layers.ICMPv4TypeAddressMaskRequest:  "address mask request",
			layers.ICMPv4TypeAddressMaskReply:    "address mask reply"}[kind]; known {
			text = name
		}
	}
	return fmt.Sprintf("ICMP %s, length %d", text, length)
}

func unreachable4(l *layers.ICMPv4, code uint8) string {
	q := quoted(l.Payload)
	if q.target == "" {
		return "unreachable " + cutMark(layers.LayerTypeICMPv4)
	}
	switch code {
	case layers.ICMPv4CodePort:
		if q.port < 0 {
			return q.target + " " + cutMark(layers.LayerTypeICMPv4)
		}
		return fmt.Sprintf("%s %s port %d unreachable", q.target, q.transport(), q.port)
	case layers.ICMPv4CodeProtocol:
		return fmt.Sprintf("%s protocol %d unreachable", q.target, q.protocol)
	case layers.ICMPv4CodeFragmentationNeeded:
		if mtu := order.Uint16(l.Contents[6:]); mtu != 0 {
			return fmt.Sprintf("%s unreachable - need to frag (mtu %d)", q.target, mtu)
		}
		return q.target + " unreachable - need to frag"
	}
	form, known := map[uint8]string{
		layers.ICMPv4CodeNet: "net %s unreachable", layers.ICMPv4CodeHost: "host %s unreachable",
		layers.ICMPv4CodeSourceRoutingFailed: "%s unreachable - source route failed",
		layers.ICMPv4CodeNetUnknown:          "net %s unreachable - unknown",
		layers.ICMPv4CodeHostUnknown:         "host %s unreachable - unknown",
		layers.ICMPv4CodeSourceIsolated:      "%s unreachable - source host isolated",
		layers.ICMPv4CodeNetAdminProhibited:  "net %s unreachable - admin prohibited",
		layers.ICMPv4CodeHostAdminProhibited: "host %s unreachable - admin prohibited",
		layers.ICMPv4CodeNetTOS:              "net %s unreachable - tos prohibited",
		layers.ICMPv4CodeHostTOS:             "host %s unreachable - tos prohibited",
		layers.ICMPv4CodeCommAdminProhibited: "host %s unreachable - admin prohibited filter",
		layers.ICMPv4CodeHostPrecedence:      "host %s unreachable - host precedence violation",
		layers.ICMPv4CodePrecedenceCutoff:    "host %s unreachable - precedence cutoff",
	}[code]
	if !known {
		return fmt.Sprintf("%s unreachable - #%d", q.target, code)
	}
	return fmt.Sprintf(form, q.target)
}

// A quotation is the packet that an error is about, as far as the error contains it.
type quotation struct {
	source, target string // empty: not there
	protocol       uint8
	port           int // -1: not there
}

// transport returns how tcpdump writes the protocol that has the port.
func (q quotation) transport() string {
	switch q.protocol {
	case unix.IPPROTO_TCP:
		return "tcp"
	case unix.IPPROTO_UDP:
		return "udp"
	}
	return fmt.Sprintf("protocol %d", q.protocol)
}

// quoted reads the beginning of an IPv4 or IPv6 packet that an error contains.
func quoted(b []byte) quotation {
	q := quotation{port: -1}
	switch {
	case len(b) >= ipv4Header && b[0]>>4 == 4:
		q.source, q.target, q.protocol = address(net.IP(b[12:16])), address(net.IP(b[16:20])), b[9]
		fragment := order.Uint16(b[6:])&0x1fff != 0
		if b = b[min(len(b), max(ipv4Header, int(b[0]&0xf)*4)):]; fragment {
			b = nil // its ports are in another fragment
		}
	case len(b) >= ipv6Header && b[0]>>4 == 6:
		q.source, q.target, q.protocol = address(net.IP(b[8:24])), address(net.IP(b[24:40])), b[6]
		b = b[ipv6Header:]
		for range 8 {
			length := 8
			switch q.protocol {
			case unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING, unix.IPPROTO_DSTOPTS:
				if len(b) > 1 {
					length = 8 * (int(b[1]) + 1)
				}
			case unix.IPPROTO_FRAGMENT:
			default:
				length = 0
			}
			if length == 0 || len(b) < length {
				if length > 0 {
					b = nil
				}
				break
			}
			q.protocol, b = b[0], b[length:]
		}
	}
	if len(b) >= 4 && q.target != "" {
		q.port = int(order.Uint16(b[2:]))
	}
	return q
}

// icmp6Kinds has tcpdump's names of ICMPv6 types.
var icmp6Kinds = map[uint8]string{
	layers.ICMPv6TypeDestinationUnreachable:                "destination unreachable",
	layers.ICMPv6TypePacketTooBig:                          "packet too big",
	layers.ICMPv6TypeTimeExceeded:                          "time exceeded in-transit",
	layers.ICMPv6TypeParameterProblem:                      "parameter problem",
	layers.ICMPv6TypeEchoRequest:                           "echo request",
	layers.ICMPv6TypeEchoReply:                             "echo reply",
	layers.ICMPv6TypeMLDv1MulticastListenerQueryMessage:    "multicast listener query",
	layers.ICMPv6TypeMLDv1MulticastListenerReportMessage:   "multicast listener report",
	layers.ICMPv6TypeMLDv1MulticastListenerDoneMessage:     "multicast listener done",
	layers.ICMPv6TypeMLDv2MulticastListenerReportMessageV2: "multicast listener report v2",
	layers.ICMPv6TypeRouterSolicitation:                    "router solicitation",
	layers.ICMPv6TypeRouterAdvertisement:                   "router advertisement",
	layers.ICMPv6TypeNeighborSolicitation:                  "neighbor solicitation",
	layers.ICMPv6TypeNeighborAdvertisement:                 "neighbor advertisement",
	layers.ICMPv6TypeRedirect:                              "redirect",
	138:                                                    "router renumbering",
	139:                                                    "node information query",
	140:                                                    "node information reply",
	141:                                                    "inverse neighbor solicitation",
	142:                                                    "inverse neighbor advertisement",
	144:                                                    "ha discovery request",
	145:                                                    "ha discovery reply",
	146:                                                    "mobile router solicitation",
	147:                                                    "mobile router advertisement",
}

// icmp6 describes an ICMPv6 message.
func icmp6(l *layers.ICMPv6, length int) string {
	mark := " " + cutMark(layers.LayerTypeICMPv6)
	kind, code, body := l.TypeCode.Type(), l.TypeCode.Code(), l.Payload
	text, known := icmp6Kinds[kind]
	if !known {
		text = fmt.Sprintf("unknown icmp6 type (%d)", kind)
	}
	// target returns the address at that offset after the first four bytes.
	target := func(at int, before string) string {
		if len(body) < at+net.IPv6len {
			return mark
		}
		return before + address(net.IP(body[at:at+net.IPv6len]))
	}
	switch kind {
	case layers.ICMPv6TypeEchoRequest, layers.ICMPv6TypeEchoReply:
		if len(body) < 4 {
			text += mark
			break
		}
		text += fmt.Sprintf(", id %d, seq %d", order.Uint16(body), order.Uint16(body[2:]))
	case layers.ICMPv6TypeNeighborSolicitation:
		text += target(4, ", who has ")
	case layers.ICMPv6TypeNeighborAdvertisement:
		text += target(4, ", tgt is ")
	case layers.ICMPv6TypeRedirect:
		if len(body) < 4+2*net.IPv6len {
			text += mark
			break
		}
		text += target(4+net.IPv6len, ", ") + target(4, " to ")
	case layers.ICMPv6TypeMLDv2MulticastListenerReportMessageV2:
		if len(body) < 4 {
			text += mark
			break
		}
		text += fmt.Sprintf(", %d group record(s)", order.Uint16(body[2:]))
	case layers.ICMPv6TypePacketTooBig:
		if len(body) < 4 {
			text += mark
			break
		}
		text += fmt.Sprintf(", mtu %d", order.Uint32(body))
	case layers.ICMPv6TypeDestinationUnreachable, layers.ICMPv6TypeTimeExceeded, layers.ICMPv6TypeParameterProblem:
		text += error6(kind, code, body, mark)
	}
	return fmt.Sprintf("ICMP6, %s, length %d", text, length)
}

// error6 describes why there was an error, and about what.
func error6(kind, code uint8, body []byte, mark string) string {
	if len(body) < 4 {
		return mark
	}
	number, q := order.Uint32(body), quoted(body[4:])
	of := q.target
	if of == "" {
		of = strings.TrimSpace(mark)
	}
	switch kind {
	case layers.ICMPv6TypeTimeExceeded:
		switch code {
		case layers.ICMPv6CodeHopLimitExceeded:
			if q.target == "" {
				return mark
			}
			return " for " + of
		case layers.ICMPv6CodeFragmentReassemblyTimeExceeded:
			return " (reassembly)"
		}
		return fmt.Sprintf(", unknown code (%d)", code)
	case layers.ICMPv6TypeParameterProblem:
		if what, known := map[uint8]string{layers.ICMPv6CodeErroneousHeaderField: "erroneous",
			layers.ICMPv6CodeUnrecognizedNextHeader: "next header",
			layers.ICMPv6CodeUnrecognizedIPv6Option: "option", 3: "incomplete header chain"}[code]; known {
			return fmt.Sprintf(", %s - octet %d", what, number)
		}
		return fmt.Sprintf(", code-#%d", code)
	}
	switch code {
	case layers.ICMPv6CodeNoRouteToDst:
		return ", unreachable route " + of
	case layers.ICMPv6CodeAdminProhibited:
		return ", unreachable prohibited " + of
	case layers.ICMPv6CodeBeyondScopeOfSrc:
		if q.source == "" {
			return ", beyond scope " + of
		}
		return fmt.Sprintf(", beyond scope %s, source address %s", of, q.source)
	case layers.ICMPv6CodeAddressUnreachable:
		return ", unreachable address " + of
	case layers.ICMPv6CodePortUnreachable:
		if q.port < 0 {
			return ", unreachable port" + mark
		}
		return fmt.Sprintf(", unreachable port, %s %s port %d", of, q.transport(), q.port)
	}
	return fmt.Sprintf(", unknown unreach code (%d)", code)
}
