package dns

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"diagsh/diag/source"
)

// A Question is what to ask, and whom, and how.
type Question struct {
	Name      string
	Type      string   // such as MX
	Servers   []string // addresses with port; none: those of /etc/resolv.conf
	Source    source.Source
	TCP       bool
	Recursive bool
	DNSSEC    bool
	Timeout   time.Duration // for each server
}

// A Reply is what a name server answered. All names and data are what strangers wrote.
type Reply struct {
	Server     string
	Protocol   string // udp or tcp
	Time       time.Duration
	Bytes      int
	ID         int
	Code       string   // NOERROR, NXDOMAIN …
	Flags      []string // qr, aa, tc, rd, ra, ad, cd
	Name, Type string   // as they were asked
	Answer     []Record
	Authority  []Record
	Additional []Record
}

// A Record is a resource record; Data is in the form of a zone file (RFC 1035, section 5.1).
type Record struct {
	Name  string
	TTL   time.Duration
	Class string
	Type  string
	Data  string
}

// Why there is no Reply.
var (
	ErrName     = errors.New("that is no name")
	ErrType     = errors.New("there is no such type of record")
	ErrNoServer = errors.New("no name server is configured")
	ErrReply    = errors.New("the name server sent what is no answer to the question")
)

const (
	payload    = 1232 // of UDP, as the flag day of 2020 agreed: no fragments on any path
	configPath = "/etc/resolv.conf"
)

// Reverse is the name under which the DNS has the name of an address; other names are as they are.
func Reverse(name string) (string, bool) {
	if a, err := netip.ParseAddr(name); err == nil {
		if arpa, err := dns.ReverseAddr(a.WithZone("").String()); err == nil {
			return arpa, true
		}
	}
	return name, false
}

// Ask asks the servers in their order until one answers. A truncated answer is asked for again over TCP.
func Ask(ctx context.Context, q Question) (Reply, error) {
	kind, ok := dns.StringToType[strings.ToUpper(q.Type)]
	if !ok {
		return Reply{}, ErrType
	}
	ascii, err := ASCII(q.Name)
	if err != nil {
		return Reply{}, err
	}
	name := dns.Fqdn(ascii)
	if _, ok := dns.IsDomainName(name); !ok || strings.Contains(name, "..") {
		return Reply{}, &NameError{q.Name, "Its parts have at most 63 characters, all of it at most 253"}
	}
	servers := q.Servers
	if len(servers) == 0 {
		for _, a := range Servers() {
			servers = append(servers, netip.AddrPortFrom(a, 53).String())
		}
		if len(servers) == 0 {
			return Reply{}, ErrNoServer
		}
	}
	m := new(dns.Msg)
	m.SetQuestion(name, kind)
	m.RecursionDesired = q.Recursive
	m.SetEdns0(payload, q.DNSSEC)
	var failed error
	for _, server := range servers {
		reply, err := q.ask(ctx, m, server, q.TCP)
		if err == nil && reply.truncated() && !q.TCP {
			reply, err = q.ask(ctx, m, server, true)
		}
		if err == nil {
			return reply, nil
		}
		if ctx.Err() != nil {
			return Reply{}, ctx.Err()
		}
		failed = err
	}
	return Reply{}, failed
}

// Servers are the name servers of this host.
func Servers() (list []netip.Addr) {
	config, err := dns.ClientConfigFromFile(configPath)
	if err != nil {
		return nil
	}
	for _, s := range config.Servers {
		if a, err := netip.ParseAddr(s); err == nil {
			list = append(list, a)
		}
	}
	return list
}

func (r Reply) truncated() bool {
	for _, f := range r.Flags {
		if f == "tc" {
			return true
		}
	}
	return false
}

func (q Question) ask(ctx context.Context, m *dns.Msg, server string, tcp bool) (Reply, error) {
	r := Reply{Server: server, Protocol: "udp", Name: m.Question[0].Name, Type: dns.TypeToString[m.Question[0].Qtype]}
	if tcp {
		r.Protocol = "tcp"
	}
	m.Id = dns.Id()
	ctx, stop := context.WithTimeout(ctx, q.Timeout)
	defer stop()
	answer, size, took, err := q.exchange(ctx, m, server, r.Protocol)
	var network net.Error
	switch {
	case err == nil && len(answer.Question) == 1 && sameName(answer.Question[0].Name, r.Name) && answer.Question[0].Qtype == m.Question[0].Qtype:
	case err == nil && answer.Rcode != dns.RcodeSuccess && len(answer.Question) == 0: // some refuse without the question
	case err != nil && errors.As(err, &network):
		return r, err
	default:
		return r, ErrReply
	}
	r.Time, r.Bytes, r.ID = took, size, int(answer.Id)
	if r.Code = dns.RcodeToString[answer.Rcode]; r.Code == "" {
		r.Code = "RCODE" + strconv.Itoa(answer.Rcode)
	}
	for _, f := range []struct {
		name string
		set  bool
	}{{"qr", answer.Response}, {"aa", answer.Authoritative}, {"tc", answer.Truncated}, {"rd", answer.RecursionDesired},
		{"ra", answer.RecursionAvailable}, {"ad", answer.AuthenticatedData}, {"cd", answer.CheckingDisabled}} {
		if f.set {
			r.Flags = append(r.Flags, f.name)
		}
	}
	r.Answer, r.Authority, r.Additional = records(answer.Answer), records(answer.Ns), records(answer.Extra)
	return r, nil
}

// sameName compares names as they are on the wire, letters of either case being equal (RFC 4343): a text may write one character in
// several ways (RFC 1035, section 5.1).
func sameName(a, b string) bool {
	var wireA, wireB [255]byte
	n, err := dns.PackDomainName(a, wireA[:], 0, nil, false)
	m, failed := dns.PackDomainName(b, wireB[:], 0, nil, false)
	return err == nil && failed == nil && bytes.EqualFold(wireA[:n], wireB[:m])
}

// exchange sends a question and waits for its answer, or for ctx: Client.Exchange of miekg/dns heeds the deadline of a context alone,
// and tells the size that an answer would have without compression (RFC 1035, section 4.1.4) instead of the one that came.
func (q Question) exchange(ctx context.Context, m *dns.Msg, server, protocol string) (answer *dns.Msg, size int, took time.Duration, err error) {
	client := &dns.Client{Net: protocol, Dialer: q.Source.Dialer(q.Timeout, protocol)}
	conn, err := client.DialContext(ctx, server)
	if err != nil {
		return nil, 0, 0, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	conn.UDPSize = payload
	began := time.Now()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, 0, 0, err
	}
	if err := conn.WriteMsg(m); err != nil {
		return nil, 0, 0, err
	}
	for {
		raw, err := conn.ReadMsgHeader(nil)
		if err != nil {
			return nil, 0, 0, cmp.Or(ctx.Err(), err)
		}
		answer := new(dns.Msg)
		if err := answer.Unpack(raw); err != nil {
			return nil, 0, 0, ErrReply
		}
		// Over UDP another message may be the late answer to an earlier question.
		if answer.Id == m.Id || protocol == "tcp" {
			return answer, len(raw), time.Since(began), nil
		}
	}
}

func records(list []dns.RR) (all []Record) {
	for _, rr := range list {
		h := rr.Header()
		if h.Rrtype == dns.TypeOPT {
			continue // it describes the message
		}
		kind := dns.Type(h.Rrtype).String()
		data := strings.TrimPrefix(rr.String(), h.String())
		all = append(all, Record{Name: h.Name, TTL: time.Duration(h.Ttl) * time.Second, Class: dns.Class(h.Class).String(), Type: kind, Data: data})
	}
	return all
}

// IsType says that there is a type of record with a name in capital letters.
func IsType(name string) bool {
	_, ok := dns.StringToType[name]
	return ok
}
