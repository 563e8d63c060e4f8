package dns

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"diagsh/diag/source"
)

// A Question is what to ask, whom, and how.
type Question struct {
	Name    string           // with letters of any language
	Type    string           // such as MX or TYPE65400; AXFR and IXFR ask for a whole zone
	Class   string           // empty: IN
	Search  bool             // apply the search list to a short name
	Servers []netip.AddrPort // empty: those of this host
	Source  source.Source
	TCP     bool
	EDNS    EDNS
	Serial  uint32 // the zone's serial that an IXFR starts from

	Recursive        bool
	DNSSEC           bool // ask for signatures
	CheckingDisabled bool // ask the server not to check them
	NSID             bool // ask for the server's name (RFC 5001)
	Cookie           bool // send a cookie (RFC 7873)

	Timeout  time.Duration // of one attempt; 0: as this host is configured
	Attempts int           // of each server; 0: as this host is configured
}

// EDNS says whether to ask with EDNS (RFC 6891).
type EDNS int

const (
	EDNSAuto   EDNS = iota // with it, and without where that is refused or gets no answer
	EDNSAlways             // with it
	EDNSNever              // without it
)

// A Reply is what a name server answered. All names and data come from strangers.
type Reply struct {
	Server   netip.AddrPort
	Protocol string // udp or tcp
	Time     time.Duration
	Bytes    int
	Messages int // messages of a transfer; else 1
	ID       int
	Opcode   string
	Code     string   // NOERROR, NXDOMAIN …
	Flags    []string // qr, aa, tc, rd, ra, ad, cd
	EDNS     *Options // nil if the answer came without

	Name, Type, Class string // as asked
	Answer            []Record
	Authority         []Record
	Additional        []Record

	Cut   bool      // a transfer was longer than transferLimit
	Tried []Attempt // earlier attempts, which did not give this answer
}

// Has reports whether a reply has a flag.
func (r Reply) Has(flag string) bool {
	for _, f := range r.Flags {
		if f == flag {
			return true
		}
	}
	return false
}

// A Record is a resource record. Data has the form of a zone file (RFC 1035, section 5.1).
type Record struct {
	Name  string
	TTL   time.Duration
	Class string
	Type  string
	Data  string
}

// An Attempt is one question to one server without a final answer.
type Attempt struct {
	Server   netip.AddrPort
	Protocol string
	EDNS     bool
	Code     string // the code of an answer that another server may better; else empty
	Lame     bool   // the answer is empty, and the server neither knows nor asks others
	Cut      bool   // the answer was truncated, to be fetched over TCP
	Err      error  // why there is no answer: an error of the network, ErrSilence, ErrClosed or ErrReply
	Ignored  []string
}

// Reasons for having no Reply.
var (
	ErrName    = errors.New("that is no name")
	ErrType    = errors.New("there is no such type of record")
	ErrClass   = errors.New("there is no such class of records")
	ErrReply   = errors.New("the name server sent what is no answer to the question")
	ErrClosed  = errors.New("the name server closed the connection without an answer")
	ErrSilence = errors.New("the name server did not answer in time")
)

// A Failure reports that no server gave a usable answer.
type Failure struct {
	Tried []Attempt // the last one is the reason
}

func (f *Failure) Error() string {
	var b strings.Builder
	b.WriteString("no name server answered")
	for _, a := range f.Tried {
		fmt.Fprintf(&b, "; %s %s: ", a.Server, a.Protocol)
		switch {
		case a.Err != nil:
			b.WriteString(a.Err.Error())
		case a.Cut:
			b.WriteString("cut off")
		default:
			b.WriteString(a.Code)
		}
	}
	return b.String()
}

// Unwrap returns the errors of its attempts, and ErrNoAnswer.
func (f *Failure) Unwrap() []error {
	list := []error{ErrNoAnswer}
	for _, a := range f.Tried {
		if a.Err != nil {
			list = append(list, a.Err)
		}
	}
	return list
}

// Reverse returns the name under which the DNS has the name of an address, which may have brackets.
// It returns any other name unchanged.
func Reverse(name string) (string, bool) {
	if a, err := netip.ParseAddr(Unbracketed(name)); err == nil {
		if arpa, err := dns.ReverseAddr(a.WithZone("").Unmap().String()); err == nil {
			return arpa, true
		}
	}
	return name, false
}

// IsType reports whether text names a record type: a mnemonic, or TYPE and its number (RFC 3597,
// section 5).
func IsType(text string) bool {
	_, ok := typeOf(text)
	return ok
}

// IsClass reports whether text names a class: IN, CH, HS, ANY, or CLASS and its number.
func IsClass(text string) bool {
	_, ok := classOf(text)
	return ok
}

// IsTransfer reports whether a type asks for a whole zone.
func IsTransfer(text string) bool {
	kind, _ := typeOf(text)
	return kind == dns.TypeAXFR || kind == dns.TypeIXFR
}

func typeOf(text string) (uint16, bool) {
	text = strings.ToUpper(text)
	if kind, ok := dns.StringToType[text]; ok {
		return kind, kind != dns.TypeNone && kind != dns.TypeOPT && kind != dns.TypeReserved
	}
	return numbered(text, "TYPE")
}

func classOf(text string) (uint16, bool) {
	switch text = strings.ToUpper(text); text {
	case "":
		return dns.ClassINET, true
	case "CHAOS":
		return dns.ClassCHAOS, true
	case "HESIOD":
		return dns.ClassHESIOD, true
	}
	if class, ok := dns.StringToClass[text]; ok {
		return class, true
	}
	return numbered(text, "CLASS")
}

// numbered parses a word followed by a number of 16 bits other than 0.
func numbered(text, word string) (uint16, bool) {
	digits, ok := strings.CutPrefix(text, word)
	n, err := strconv.ParseUint(digits, 10, 16)
	return uint16(n), ok && err == nil && n > 0 && digits[0] != '+'
}

// whole returns a name as it is asked for, with its final dot. The error is a *NameError.
func whole(name string) (string, error) {
	ascii, err := ASCII(name)
	if err != nil {
		return "", err
	}
	fqdn := dns.Fqdn(ascii)
	if name == "" {
		return "", &NameError{name, "It is empty"}
	}
	if _, ok := dns.IsDomainName(fqdn); !ok || strings.Contains(fqdn, "..") {
		if ascii != name {
			return "", &NameError{name, "In the form that the DNS has (xn--...) its parts have 1 to 63 characters, all of it at most 253"}
		}
		return "", &NameError{name, "Its parts have 1 to 63 characters, all of it at most 253"}
	}
	return fqdn, nil
}

// sameName compares names as they are on the wire: a text may write one character in several ways
// (RFC 1035, section 5.1). Case of ASCII letters does not count (RFC 4343).
func sameName(a, b string) bool {
	var wireA, wireB [255]byte
	n, err := dns.PackDomainName(a, wireA[:], 0, nil, false)
	m, failed := dns.PackDomainName(b, wireB[:], 0, nil, false)
	return err == nil && failed == nil && bytes.Equal(lower(wireA[:n]), lower(wireB[:m]))
}

// lower converts ASCII letters to lower case, in place.
func lower(b []byte) []byte {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return b
}
