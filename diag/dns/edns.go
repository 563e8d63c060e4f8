package dns

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Options is what EDNS says about a message (RFC 6891). Its texts come from strangers.
type Options struct {
	Version int
	Flags   []string // do
	Payload int      // the largest datagram that the server takes, in bytes
	NSID    []byte   // the server's own name (RFC 5001)
	Cookie  string   // in hexadecimal
	// CookieGood reports whether the cookie starts with the client's part and has a server's part
	// (RFC 7873, section 5.3).
	CookieGood bool
	Errors     []ExtendedError
	Other      []Option
}

// An ExtendedError is the reason that a server gave for its answer (RFC 8914).
type ExtendedError struct {
	Code    int
	Purpose string // the registry's word for the code, or empty
	Text    string
}

// An Option is an option of any other code.
type Option struct {
	Code int
	Data []byte
}

// optionsOf reads the OPT record of an answer. It returns nil if there is none.
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
			o.NSID, _ = hex.DecodeString(option.Nsid) // the library wrote it as hexadecimal
		case *dns.EDNS0_COOKIE:
			o.Cookie = strings.ToLower(option.Cookie)
			o.CookieGood = sent != "" && len(o.Cookie) > len(sent) && strings.HasPrefix(o.Cookie, sent)
		case *dns.EDNS0_EDE:
			o.Errors = append(o.Errors, ExtendedError{int(option.InfoCode),
				dns.ExtendedErrorCodeToString[option.InfoCode], option.ExtraText})
		default:
			o.Other = append(o.Other, Option{int(option.Option()), optionData(option)})
		}
	}
	return o
}

// optionData returns the bytes of an option. It packs a message with only that option and cuts them
// out.
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

// codeOf returns the name of a response code. 16 is BADVERS, as EDNS has it, because there is no
// transaction signature (RFC 6895, section 2.3).
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
		if unknown, ok := rr.(*dns.RFC3597); ok { // a record of unknown type has another header
			data = strings.TrimSpace(fmt.Sprintf(`\# %d %s`, len(unknown.Rdata)/2, unknown.Rdata))
		}
		all = append(all, Record{Name: h.Name, TTL: time.Duration(h.Ttl) * time.Second,
			Class: dns.Class(h.Class).String(), Type: dns.Type(h.Rrtype).String(), Data: data})
	}
	return all
}
