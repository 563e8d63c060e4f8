package dns

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Options are what EDNS tells of a message (RFC 6891). Texts are what strangers wrote.
type Options struct {
	Version int
	Flags   []string // do
	Payload int      // the largest datagram that the server takes, in bytes
	NSID    []byte   // the server's own name (RFC 5001)
	Cookie  string   // in hexadecimal
	// CookieGood says that the cookie begins with what was sent, and has the server's part (RFC 7873, section 5.3).
	CookieGood bool
	Errors     []ExtendedError
	Other      []Option
}

// An ExtendedError is why a server answered as it did (RFC 8914).
type ExtendedError struct {
	Code    int
	Purpose string // the registry's word for the code; empty if it has none
	Text    string
}

// An Option is one of another kind.
type Option struct {
	Code int
	Data []byte
}

// optionsOf reads the OPT record of an answer, nil if it has none.
func optionsOf(answer *dns.Msg, sent string) *Options {
	opt := answer.IsEdns0()
	if opt == nil {
		return nil
	}
	o := &Options{Version: int(opt.Version()), Payload: int(opt.UDPSize())}
	if opt.Do() {
		o.Flags = append(o.Flags, "do")
	}
	for _, option := range opt.Option {
		switch option := option.(type) {
		case *dns.EDNS0_NSID:
			o.NSID, _ = hex.DecodeString(option.Nsid) // the package wrote it
		case *dns.EDNS0_COOKIE:
			o.Cookie = strings.ToLower(option.Cookie)
			o.CookieGood = sent != "" && len(o.Cookie) > len(sent) && strings.HasPrefix(o.Cookie, sent)
		case *dns.EDNS0_EDE:
			o.Errors = append(o.Errors, ExtendedError{int(option.InfoCode), dns.ExtendedErrorCodeToString[option.InfoCode], option.ExtraText})
		default:
			o.Other = append(o.Other, Option{int(option.Option()), optionData(option)})
		}
	}
	return o
}

// optionData are the bytes of an option, read back from a message that has it alone.
func optionData(option dns.EDNS0) []byte {
	opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}, Option: []dns.EDNS0{option}}
	wire := make([]byte, dns.Len(opt)+64)
	n, err := dns.PackRR(opt, wire, 0, nil, false)
	const before = 1 + 10 + 4 // the root's name, the fixed part of a record, code and length of the option
	if err != nil || n < before {
		return nil
	}
	return wire[before:n]
}

// codeOf is the name of a response code. 16 is that of EDNS where there is no signature of a transaction (RFC 6895, section 2.3).
func codeOf(rcode int) string {
	if rcode == dns.RcodeBadVers {
		return "BADVERS"
	}
	if name, ok := dns.RcodeToString[rcode]; ok {
		return name
	}
	return fmt.Sprintf("RCODE%d", rcode)
}

func records(list []dns.RR) (all []Record) {
	for _, rr := range list {
		h := rr.Header()
		if h.Rrtype == dns.TypeOPT {
			continue // it describes the message
		}
		data := strings.TrimPrefix(rr.String(), h.String())
		if unknown, ok := rr.(*dns.RFC3597); ok { // whose text has another head
			data = strings.TrimSpace(fmt.Sprintf(`\# %d %s`, len(unknown.Rdata)/2, unknown.Rdata))
		}
		all = append(all, Record{Name: h.Name, TTL: time.Duration(h.Ttl) * time.Second, Class: dns.Class(h.Class).String(), Type: dns.Type(h.Rrtype).String(), Data: data})
	}
	return all
}
