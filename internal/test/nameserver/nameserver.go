// Package nameserver is a small name server for tests.
package nameserver

import (
	"net"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"diagsh/internal/test/netnstest"
)

// ResolvConf is the /etc/resolv.conf that names the server of Start.
const ResolvConf = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"

// Start answers from a zone, see Zone and Serve.
func Start(t testing.TB, network *netnstest.Namespace, zone ...string) {
	t.Helper()
	Serve(t, network, Zone(t, zone...))
}

// Zone answers from a zone, in the form of zone files (RFC 1035). An alias is followed within the
// zone. Other names do not exist, which a SOA record of the zone, if there is one, goes with (RFC
// 2308). Answers that do not fit a datagram are truncated.
func Zone(t testing.TB, zone ...string) dns.HandlerFunc {
	t.Helper()
	records := map[string][]dns.RR{}
	var soa []dns.RR
	for _, line := range zone {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		name := dns.CanonicalName(rr.Header().Name)
		records[name] = append(records[name], rr)
		if rr.Header().Rrtype == dns.TypeSOA {
			soa = append(soa, rr)
		}
	}
	return func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		m.Authoritative, m.RecursionAvailable = true, true
		name := dns.CanonicalName(q.Question[0].Name)
		if _, ok := records[name]; !ok {
			m.Rcode = dns.RcodeNameError
		}
		for name != "" {
			alias := ""
			for _, rr := range records[name] {
				if c, ok := rr.(*dns.CNAME); ok && q.Question[0].Qtype != dns.TypeCNAME {
					alias = dns.CanonicalName(c.Target)
				} else if rr.Header().Rrtype != q.Question[0].Qtype {
					continue
				}
				m.Answer = append(m.Answer, rr)
			}
			name = alias
		}
		if len(m.Answer) == 0 {
			m.Ns = soa
		}
		Reply(w, q, m)
	}
}

// Reply sends an answer, truncated to what the other side takes.
func Reply(w dns.ResponseWriter, q, m *dns.Msg) {
	if _, udp := w.LocalAddr().(*net.UDPAddr); udp {
		size := dns.MinMsgSize
		if o := q.IsEdns0(); o != nil {
			size = int(o.UDPSize())
		}
		m.Truncate(size)
	}
	w.WriteMsg(m)
}

// Serve answers on 127.0.0.1 in a namespace, over UDP and TCP.
func Serve(t testing.TB, network *netnstest.Namespace, answer dns.Handler) {
	t.Helper()
	ServeUDP(t, network, "127.0.0.1", answer)
	ServeTCP(t, network, "127.0.0.1", answer)
}

// ServeUDP answers datagrams to an address of a namespace.
func ServeUDP(t testing.TB, network *netnstest.Namespace, address string, answer dns.Handler) {
	t.Helper()
	var packets net.PacketConn
	var err error
	network.Do(t, func() { packets, err = net.ListenPacket("udp", net.JoinHostPort(address, "53")) })
	if err != nil {
		t.Fatal(err)
	}
	run(t, &dns.Server{PacketConn: packets, Handler: answer})
}

// ServeTCP answers on connections to an address of a namespace.
func ServeTCP(t testing.TB, network *netnstest.Namespace, address string, answer dns.Handler) {
	t.Helper()
	var listener net.Listener
	var err error
	network.Do(t, func() { listener, err = net.Listen("tcp", net.JoinHostPort(address, "53")) })
	if err != nil {
		t.Fatal(err)
	}
	run(t, &dns.Server{Listener: listener, Handler: answer})
}

func run(t testing.TB, s *dns.Server) {
	t.Helper()
	ready := make(chan struct{})
	s.NotifyStartedFunc = func() { close(ready) }
	go s.ActivateAndServe()
	<-ready
	t.Cleanup(func() { s.Shutdown() })
}

// Echo sends back the question, as an echo service does (RFC 862).
func Echo(w dns.ResponseWriter, q *dns.Msg) { w.WriteMsg(q) }

// Code answers every question with a code and, where EDNS is known and it is not 0, an extended
// error (RFC 8914).
func Code(rcode int, extended uint16, text string) dns.HandlerFunc {
	return func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetRcode(q, rcode)
		if q.IsEdns0() != nil && extended > 0 {
			m.SetEdns0(1232, false)
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: extended, ExtraText: text}}
		}
		w.WriteMsg(m)
	}
}

// WithoutEDNS answers FORMERR to who asks with EDNS, as servers before RFC 2671 do.
func WithoutEDNS(answer dns.Handler) dns.HandlerFunc {
	return func(w dns.ResponseWriter, q *dns.Msg) {
		if q.IsEdns0() != nil {
			w.WriteMsg(new(dns.Msg).SetRcodeFormatError(q))
			return
		}
		answer.ServeDNS(w, q)
	}
}

// FirstLost answers each name from the second question on.
func FirstLost(answer dns.Handler) dns.HandlerFunc {
	var seen sync.Map
	return func(w dns.ResponseWriter, q *dns.Msg) {
		if _, again := seen.LoadOrStore(q.Question[0].String(), true); again {
			answer.ServeDNS(w, q)
		}
	}
}
