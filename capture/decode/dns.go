package decode

import (
	"fmt"
	"strings"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	dnsnames "github.com/miekg/dns"
)

const (
	dnsPort   = 53
	dnsHeader = 12
)

// wholeMessage reports whether the bytes of a TCP connection start with a complete DNS message,
// after its length (RFC 1035, 4.2.2). Bytes in the middle of a longer message almost never look
// like one.
func wholeMessage(b []byte) bool {
	return len(b) >= 2+dnsHeader && int(order.Uint16(b)) >= dnsHeader && len(b) >= 2+int(order.Uint16(b))
}

func readDNS(s *stack, b []byte) (int, error) {
	if last := len(s.layers) - 1; last >= 0 && s.layers[last].LayerType() == layers.LayerTypeTCP {
		b = b[2 : 2+int(order.Uint16(b))]
	}
	if len(s.rest) < s.wire {
		return -1, errCut // it may look whole nevertheless
	}
	l := &layers.DNS{}
	var err error
	if !guarded(func() { err = l.DecodeFromBytes(b, gopacket.NilDecodeFeedback) }) {
		err = errMalformed
	}
	if err != nil {
		return -1, err
	}
	s.AddLayer(l)
	return -1, nil
}

// dnsType returns the name of a record type. One without a name is written by its number, as RFC
// 3597 has it.
func dnsType(t layers.DNSType) string {
	if name, known := dnsnames.TypeToString[uint16(t)]; known {
		return name
	}
	return fmt.Sprintf("TYPE%d", uint16(t))
}

// rcode returns the result of a question in tcpdump's words.
func rcode(c layers.DNSResponseCode) string {
	switch c {
	case layers.DNSResponseCodeFormErr:
		return "FormErr"
	case layers.DNSResponseCodeServFail:
		return "ServFail"
	case layers.DNSResponseCodeNXDomain:
		return "NXDomain"
	case layers.DNSResponseCodeNotImp:
		return "NotImp"
	case layers.DNSResponseCodeRefused:
		return "Refused"
	}
	if name, known := dnsnames.RcodeToString[int(c)]; known {
		return name
	}
	return fmt.Sprintf("Resp%d", c)
}

// cutDNS describes a message that is cut after its header: its result and its counts, and for a
// query the first question if that is there.
func cutDNS(b []byte, length int) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d", order.Uint16(b))
	answer := b[2]&0x80 != 0
	if !answer && b[2]&1 != 0 {
		text.WriteString("+")
	}
	if name, next, err := dnsnames.UnpackDomainName(b, dnsHeader); err == nil && order.Uint16(b[4:]) > 0 &&
		len(b) >= next+4 {
		fmt.Fprintf(&text, " %s? %s", dnsType(layers.DNSType(order.Uint16(b[next:]))), clean(name))
	}
	if answer {
		// An additional record may extend the code of those not in the first list (RFC 6891,
		// 6.1.3): BADCOOKIE has the low bits of YXRRSET.
		code := layers.DNSResponseCode(b[3] & 0xf)
		if known := code <= layers.DNSResponseCodeRefused || order.Uint16(b[10:]) == 0; known &&
			code != layers.DNSResponseCodeNoErr {
			fmt.Fprintf(&text, " %s", rcode(code))
		}
		fmt.Fprintf(&text, " %d/%d/%d", order.Uint16(b[6:]), order.Uint16(b[8:]), order.Uint16(b[10:]))
	}
	fmt.Fprintf(&text, " %s (%d)", cutMark(layers.LayerTypeDNS), length)
	return text.String()
}

// dns describes a query or an answer nearly as tcpdump does: ID, question, result and answers.
func dns(l *layers.DNS, length int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d", l.ID)
	if l.RD && !l.QR {
		b.WriteString("+")
	}
	for n, q := range l.Questions {
		if n == 3 {
			fmt.Fprintf(&b, " and %d more", len(l.Questions)-n)
			break
		}
		fmt.Fprintf(&b, " %s? %s.", dnsType(q.Type), clean(string(q.Name)))
	}
	if l.QR {
		if l.ResponseCode != layers.DNSResponseCodeNoErr {
			fmt.Fprintf(&b, " %s", rcode(l.ResponseCode))
		}
		fmt.Fprintf(&b, " %d/%d/%d", len(l.Answers), len(l.Authorities), len(l.Additionals))
		for n := range l.Answers {
			if n == 8 {
				b.WriteString(" ...")
				break
			}
			if n > 0 {
				b.WriteString(",")
			}
			fmt.Fprintf(&b, " %s", answer(&l.Answers[n]))
		}
	}
	fmt.Fprintf(&b, " (%d)", length)
	return b.String()
}

func answer(r *layers.DNSResourceRecord) string {
	switch r.Type {
	case layers.DNSTypeA, layers.DNSTypeAAAA:
		return fmt.Sprintf("%s %s", r.Type, address(r.IP))
	case layers.DNSTypeCNAME:
		return "CNAME " + clean(string(r.CNAME)) + "."
	case layers.DNSTypeNS:
		return "NS " + clean(string(r.NS)) + "."
	case layers.DNSTypePTR:
		return "PTR " + clean(string(r.PTR)) + "."
	case layers.DNSTypeMX:
		return fmt.Sprintf("MX %s. %d", clean(string(r.MX.Name)), r.MX.Preference)
	case layers.DNSTypeTXT:
		var texts []string
		for _, t := range r.TXTs {
			texts = append(texts, `"`+clean(string(t))+`"`)
		}
		return "TXT " + strings.Join(texts, " ")
	}
	return dnsType(r.Type)
}
