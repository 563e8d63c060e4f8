package dns

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"math/big"
	"net/netip"
	"slices"

	"github.com/miekg/dns"
)

// payload is the UDP size that questions announce. The DNS flag day of 2020 agreed on it, as it
// avoids fragments on any path. Larger answers are read too.
const payload = 1232

// Ask asks the servers in turn until one answers, in as many rounds as are configured. It fetches a
// truncated answer over TCP. It returns an answer that another server may better (SERVFAIL, REFUSED
// …) only if none does.
//
// Without a reply the error is a *Failure, a *NameError, ErrType, ErrClass or the context's. It
// returns both a reply and an error if the answer was truncated and the whole cannot be had.
func (c *Client) Ask(ctx context.Context, q Question) (Reply, error) {
	kind, ok := typeOf(q.Type)
	if !ok {
		return Reply{}, ErrType
	}
	class, ok := classOf(q.Class)
	if !ok {
		return Reply{}, ErrClass
	}
	name, err := whole(q.Name)
	if err != nil {
		return Reply{}, err
	}
	config := c.config()
	if len(q.Servers) == 0 {
		for _, a := range config.Servers {
			q.Servers = append(q.Servers, netip.AddrPortFrom(a, cmp.Or(c.port, 53)))
		}
		if config.Rotate {
			rotate(q.Servers)
		}
		q.TCP = q.TCP || config.TCP
	}
	q.Timeout, q.Attempts = cmp.Or(q.Timeout, config.Timeout), cmp.Or(q.Attempts, config.Attempts)
	names := []string{name}
	if q.Search {
		if names, err = searched(config, q.Name); err != nil {
			return Reply{}, err
		}
	}
	return c.search(ctx, q, names, kind, class)
}

// searched returns the candidates of a name from the search list, without those that the DNS cannot
// have.
func searched(config Config, name string) (list []string, err error) {
	ascii, err := ASCII(name)
	if err != nil {
		return nil, err
	}
	for _, n := range config.Names(ascii) {
		if n, wrong := whole(n); wrong == nil {
			list = append(list, n)
		} else {
			err = wrong
		}
	}
	if len(list) > 0 {
		err = nil
	}
	return list, err
}

// search asks for one name after the other until one has records. If none has, it returns the reply
// of a server that failed, else one about a name that exists, else the last.
func (c *Client) search(ctx context.Context, q Question, names []string, kind, class uint16) (best Reply, err error) {
	rank := -1
	for _, name := range names {
		r, err := (&asking{client: c, Question: q, name: name, kind: kind, class: class}).all(ctx)
		if err != nil || r.Code == "NOERROR" && len(r.Answer) > 0 {
			return r, err
		}
		this := 2
		switch r.Code {
		case "NXDOMAIN":
			this = 0
		case "NOERROR":
			this = 1
		}
		if this >= rank && (rank < 2 || this > rank) {
			best, rank = r, this
		}
	}
	return best, nil
}

// rotate makes the list start at a random place.
func rotate(list []netip.AddrPort) {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(len(list))))
	if err != nil {
		return
	}
	slices.Reverse(list[:n.Int64()])
	slices.Reverse(list[n.Int64():])
	slices.Reverse(list)
}

// An asking is the state of asking for one name.
type asking struct {
	Question
	client      *Client
	name        string
	kind, class uint16
	cookie      string // in hexadecimal: the client's, followed by the server's once that is known
	tried       []Attempt
}

// all asks all servers, in rounds. In EDNSAuto the last round is without EDNS, because some
// firewalls drop it.
func (a *asking) all(ctx context.Context) (Reply, error) {
	if IsTransfer(a.Type) {
		return a.transferred(ctx)
	}
	if a.Cookie {
		var own [8]byte
		rand.Read(own[:])
		a.cookie = hex.EncodeToString(own[:])
	}
	var second *Reply // an answer that another server may better
	var cut *Reply
	silent := slices.Clone(a.Servers)
	for round := 0; round < a.Attempts && len(silent) > 0; round++ {
		plain := a.EDNS == EDNSNever || a.EDNS == EDNSAuto && !a.explicit() && a.Attempts > 1 && round == a.Attempts-1
		asked := silent
		silent = nil
		for _, server := range asked {
			if err := ctx.Err(); errors.Is(err, context.Canceled) {
				return Reply{}, err
			}
			r, err := a.server(ctx, server, plain)
			switch {
			case ctx.Err() != nil && (err != nil || errors.Is(ctx.Err(), context.Canceled)):
				if errors.Is(ctx.Err(), context.Canceled) {
					return Reply{}, ctx.Err()
				}
				return Reply{}, &Failure{a.tried}
			case err == nil && !a.mayBeBettered(r):
				r.Tried = a.tried
				return r, nil
			case err == nil:
				a.tried = append(a.tried, Attempt{Server: server, Protocol: r.Protocol, EDNS: r.EDNS != nil,
					Code: r.Code, Lame: r.Code == "NOERROR"})
				if second == nil {
					second = &r
				}
			case r.Has("tc"):
				cut = &r
			case errors.Is(err, ErrSilence), errors.Is(err, ErrReply), errors.Is(err, ErrClosed):
				silent = append(silent, server)
			}
		}
	}
	switch {
	case cut != nil:
		cut.Tried = a.tried
		return *cut, &Failure{a.tried}
	case second != nil:
		// Tried lists the other attempts only.
		second.Tried = slices.DeleteFunc(a.tried, func(t Attempt) bool {
			return t.Code == second.Code && t.Server == second.Server && t.Err == nil && !t.Cut
		})
		return *second, nil
	}
	return Reply{}, &Failure{a.tried}
}

// explicit reports whether the question asks for a feature of EDNS.
func (a *asking) explicit() bool { return a.DNSSEC || a.NSID }

// mayBeBettered reports whether another server may know what this one did not.
func (a *asking) mayBeBettered(r Reply) bool {
	switch r.Code {
	case "SERVFAIL", "REFUSED", "NOTIMP", "FORMERR", "NOTAUTH", "BADVERS", "BADCOOKIE":
		return true
	}
	return r.Code == "NOERROR" && a.Recursive && len(r.Answer) == 0 && !r.Has("aa") && !r.Has("ra")
}

// server asks one server. It falls back to no EDNS if the server refuses EDNS, repeats with the
// server's cookie if asked to, and uses TCP after truncation. It can return a truncated answer
// along with an error.
func (a *asking) server(ctx context.Context, server netip.AddrPort, plain bool) (r Reply, err error) {
	tcp := a.TCP
	cookies := 0
	for {
		if r, err = a.once(ctx, server, plain, tcp); err != nil {
			return r, err
		}
		refused := (r.Code == "FORMERR" || r.Code == "NOTIMP" || r.Code == "BADVERS") && !plain && a.EDNS == EDNSAuto
		tried := Attempt{Server: server, Protocol: r.Protocol, EDNS: !plain, Code: r.Code}
		switch {
		case refused:
			plain = true
		case r.Code == "BADCOOKIE" && a.Cookie && r.EDNS != nil && r.EDNS.CookieGood && cookies < 2:
			a.cookie = r.EDNS.Cookie
			if cookies++; cookies == 2 {
				tcp = true // RFC 7873, section 5.3
			}
		case r.Has("tc") && !tcp:
			tcp, tried.Cut = true, true
			a.tried = append(a.tried, tried)
			whole, err := a.once(ctx, server, plain, true)
			if err != nil {
				return r, err
			}
			return whole, nil
		default:
			return r, nil
		}
		a.tried = append(a.tried, tried)
	}
}

// once asks a server one time. It records a failure in a.tried.
func (a *asking) once(ctx context.Context, server netip.AddrPort, plain, tcp bool) (Reply, error) {
	m := a.message(plain)
	e := &exchange{source: a.Source, server: server, timeout: a.Timeout}
	ask, protocol := e.udp, "udp"
	if tcp {
		ask, protocol = e.tcp, "tcp"
	}
	got, err := ask(ctx, m)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			a.tried = append(a.tried, Attempt{Server: server, Protocol: protocol, EDNS: !plain, Err: err,
				Ignored: e.ignored})
			a.client.failed(server, err)
		}
		return Reply{}, err
	}
	r := a.reply(got.Msg, server, protocol)
	r.Time, r.Bytes, r.Messages = got.took, got.size, 1
	a.client.answered(r)
	return r, nil
}

// message builds the question as it is sent.
func (a *asking) message(plain bool) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(a.name, a.kind)
	m.Question[0].Qclass = a.class
	m.RecursionDesired, m.CheckingDisabled = a.Recursive, a.CheckingDisabled
	if plain {
		return m
	}
	m.SetEdns0(payload, a.DNSSEC)
	opt := m.IsEdns0()
	if a.NSID {
		opt.Option = append(opt.Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})
	}
	if a.cookie != "" {
		opt.Option = append(opt.Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: a.cookie})
	}
	return m
}

// reply converts an answer to the form that callers get.
func (a *asking) reply(m *dns.Msg, server netip.AddrPort, protocol string) Reply {
	r := Reply{Server: server, Protocol: protocol, ID: int(m.Id), Opcode: dns.OpcodeToString[m.Opcode],
		Code: codeOf(m.Rcode),
		Name: a.name, Type: dns.Type(a.kind).String(), Class: dns.Class(a.class).String()}
	for _, f := range []struct {
		name string
		set  bool
	}{{"qr", m.Response}, {"aa", m.Authoritative}, {"tc", m.Truncated}, {"rd", m.RecursionDesired},
		{"ra", m.RecursionAvailable}, {"ad", m.AuthenticatedData}, {"cd", m.CheckingDisabled}} {
		if f.set {
			r.Flags = append(r.Flags, f.name)
		}
	}
	sent := a.cookie
	if len(sent) > 16 {
		sent = sent[:16]
	}
	r.EDNS = optionsOf(m, sent)
	r.Answer, r.Authority, r.Additional = records(m.Answer), records(m.Ns), records(m.Extra)
	return r
}
