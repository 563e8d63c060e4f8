package dns

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// transferLimit is how many records of a zone are kept: what a person looks at, and no more memory than one command may have.
const transferLimit = 20_000

// transferred asks for a zone (RFC 5936), or for what changed in it since a serial number (RFC 1995), over TCP as both say or allow: the
// servers one after the other until one gives it. A reply with a code other than NOERROR has no records.
func (a *asking) transferred(ctx context.Context) (Reply, error) {
	var refused *Reply
	for _, server := range a.Servers {
		r, err := a.transfer(ctx, server)
		switch {
		case errors.Is(err, context.Canceled):
			return Reply{}, err
		case err != nil:
			continue
		case r.Code == "NOERROR":
			r.Tried = a.tried
			return r, nil
		case refused == nil:
			refused = &r
		default:
			a.tried = append(a.tried, Attempt{Server: server, Protocol: "tcp", Code: r.Code})
		}
	}
	if refused != nil {
		refused.Tried = a.tried
		return *refused, nil
	}
	return Reply{}, &Failure{a.tried}
}

// transfer reads a zone from one server: messages until its SOA record comes again.
func (a *asking) transfer(ctx context.Context, server netip.AddrPort) (r Reply, err error) {
	e := &exchange{source: a.Source, server: server, timeout: a.Timeout}
	defer func() {
		if err != nil && !errors.Is(err, context.Canceled) {
			a.tried = append(a.tried, Attempt{Server: server, Protocol: "tcp", Err: err, Ignored: e.ignored})
			a.client.failed(server, err)
		}
	}()
	m := a.message(true)
	m.RecursionDesired = false
	if a.kind == dns.TypeIXFR {
		m.Ns = []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Name: a.name, Rrtype: dns.TypeSOA, Class: a.class}, Ns: ".", Mbox: ".", Serial: a.Serial}}
	}
	connecting, stop := context.WithTimeout(ctx, a.Timeout)
	defer stop()
	conn, err := e.connect(connecting)
	if err != nil {
		return r, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	began := time.Now()
	conn.SetDeadline(began.Add(a.Timeout))
	if err := conn.WriteMsg(m); err != nil {
		return r, e.fault(ctx, err)
	}
	ends := zoneEnd{incremental: a.kind == dns.TypeIXFR, serial: a.Serial}
	for {
		conn.SetReadDeadline(time.Now().Add(a.Timeout)) // of each message
		raw, err := conn.ReadMsgHeader(nil)
		if err != nil {
			return r, e.fault(ctx, err)
		}
		one, wrong := matchTransfer(m, raw, r.Messages > 0)
		if wrong != "" {
			e.ignore(wrong)
			return r, ErrReply
		}
		if r.Messages == 0 {
			r = a.reply(one, server, "tcp")
			r.Answer = nil
		}
		r.Messages++
		r.Bytes += len(raw)
		r.Time = time.Since(began)
		if one.Rcode != dns.RcodeSuccess {
			r.Code, r.Answer = codeOf(one.Rcode), nil
			a.client.answered(r)
			return r, nil
		}
		over, ok := ends.in(one.Answer)
		if !ok {
			e.ignore("a zone that does not begin with an SOA record")
			return r, ErrReply
		}
		r.Answer = append(r.Answer, records(one.Answer)...)
		if over {
			a.client.answered(r)
			return r, nil
		}
		if len(r.Answer) >= transferLimit {
			r.Answer, r.Cut = r.Answer[:transferLimit], true
			a.client.answered(r)
			return r, nil
		}
	}
}

// matchTransfer is match; messages behind the first may have no question (RFC 5936, section 2.2).
func matchTransfer(m *dns.Msg, raw []byte, further bool) (*dns.Msg, string) {
	if further && len(raw) >= headerSize && raw[4] == 0 && raw[5] == 0 {
		one := new(dns.Msg)
		if err := one.Unpack(raw); err != nil || one.Id != m.Id || !one.Response {
			return nil, "a malformed message"
		}
		return one, ""
	}
	return match(m, raw)
}

// A zoneEnd finds the end of a transfer: the SOA record of the beginning comes again. In an incremental one each difference begins with
// two SOA records, the second of which may be that of the new zone (RFC 1995, section 4); one SOA record alone says that nothing
// changed.
type zoneEnd struct {
	incremental bool
	serial      uint32 // that an incremental one begins with
	newest      uint32
	records     int
	seen        int  // SOA records with the newest number behind the first
	differences bool // the second record is an SOA record too
}

// in reads records; ok is false if the first of all is no SOA record.
func (z *zoneEnd) in(list []dns.RR) (over, ok bool) {
	for _, rr := range list {
		soa, isSOA := rr.(*dns.SOA)
		z.records++
		switch {
		case z.records == 1 && !isSOA:
			return false, false
		case z.records == 1:
			z.newest = soa.Serial
			continue
		case z.records == 2 && z.incremental && isSOA && soa.Serial != z.newest:
			z.differences = true
		}
		if isSOA && soa.Serial == z.newest {
			z.seen++
		}
		if z.seen == 2 || z.seen == 1 && !z.differences {
			return true, true
		}
	}
	// A server that has nothing newer says so with its SOA record alone.
	return z.incremental && z.records == 1 && int32(z.newest-z.serial) <= 0, z.records > 0
}
