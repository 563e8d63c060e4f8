package dns

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// transferLimit is how many records of a zone are kept: as many as a user may look at, within the
// memory of one command.
const transferLimit = 20_000

// transferred transfers a zone over TCP (RFC 5936), or its changes since a serial number (RFC
// 1995). It asks the servers one after the other until one gives it. A reply with a code other than
// NOERROR has no records.
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

// transfer reads a zone from one server, message by message until its SOA record comes again.
func (a *asking) transfer(ctx context.Context, server netip.AddrPort) (r Reply, err error) {
	e := &exchange{source: a.Source, server: server, timeout: a.Timeout}
	defer func() {
		if err != nil && !errors.Is(err, context.Canceled) {
			a.tried = append(a.tried, Attempt{Server: server, Protocol: "tcp", Err: err, Ignored: e.ignored})
			a.client.failed(server, err)
		}
	}()
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
	m := a.transferMessage()
	if err := conn.WriteMsg(m); err != nil {
		return r, e.fault(ctx, err)
	}
	ends := zoneEnd{incremental: a.kind == dns.TypeIXFR, serial: a.Serial}
	for over := false; !over; {
		conn.SetReadDeadline(time.Now().Add(a.Timeout)) // one read
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
			break
		}
		var ok bool
		if over, ok = ends.in(one.Answer); !ok {
			e.ignore("a zone that does not begin with an SOA record")
			return r, ErrReply
		}
		r.Answer = append(r.Answer, records(one.Answer)...)
		if !over && len(r.Answer) >= transferLimit {
			r.Answer, r.Cut, over = r.Answer[:transferLimit], true, true
		}
	}
	a.client.answered(r)
	return r, nil
}

// transferMessage builds the request for a zone. An IXFR carries the serial number to start from in
// an SOA record (RFC 1995, section 3).
func (a *asking) transferMessage() *dns.Msg {
	m := a.message(true)
	m.RecursionDesired = false
	if a.kind == dns.TypeIXFR {
		soa := dns.RR_Header{Name: a.name, Rrtype: dns.TypeSOA, Class: a.class}
		m.Ns = []dns.RR{&dns.SOA{Hdr: soa, Ns: ".", Mbox: ".", Serial: a.Serial}}
	}
	return m
}

// matchTransfer is match for transfers: messages after the first may lack the question (RFC 5936,
// section 2.2).
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

// A zoneEnd finds the end of a transfer, where the SOA record of the beginning comes again. In an
// incremental transfer each difference starts with two SOA records, and the second may be that of
// the new zone (RFC 1995, section 4). A single SOA record says that nothing changed.
type zoneEnd struct {
	incremental bool
	serial      uint32 // where an incremental transfer starts
	newest      uint32
	records     int
	seen        int  // SOA records with the newest serial, after the first record
	differences bool // the second record is an SOA record too
}

// in reads records. over reports the end of the transfer; ok is false if the very first record is
// no SOA record.
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
	// A server without a newer version answers with its SOA record alone.
	return z.incremental && z.records == 1 && int32(z.newest-z.serial) <= 0, z.records > 0
}
