// Package nameserver is a small name server for tests.
package nameserver

import (
	"net"
	"testing"

	"github.com/miekg/dns"

	"diagsh/internal/netnstest"
)

// ResolvConf is the /etc/resolv.conf that names the server of Start.
const ResolvConf = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"

// Start answers on 127.0.0.1 in a namespace from a zone, in the form of zone files (RFC 1035). Other names do not exist. Answers
// that do not fit a datagram are truncated.
func Start(t testing.TB, network *netnstest.Namespace, zone ...string) {
	t.Helper()
	records := map[string][]dns.RR{}
	for _, line := range zone {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		name := dns.CanonicalName(rr.Header().Name)
		records[name] = append(records[name], rr)
	}
	answer := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		m.Authoritative, m.RecursionAvailable = true, true
		known, ok := records[dns.CanonicalName(q.Question[0].Name)]
		if !ok {
			m.Rcode = dns.RcodeNameError
		}
		for _, rr := range known {
			if rr.Header().Rrtype == q.Question[0].Qtype || rr.Header().Rrtype == dns.TypeCNAME {
				m.Answer = append(m.Answer, rr)
			}
		}
		if _, udp := w.LocalAddr().(*net.UDPAddr); udp {
			size := dns.MinMsgSize
			if o := q.IsEdns0(); o != nil {
				size = int(o.UDPSize())
			}
			m.Truncate(size)
		}
		w.WriteMsg(m)
	})
	var packets net.PacketConn
	var listener net.Listener
	var err error
	network.Do(t, func() {
		if packets, err = net.ListenPacket("udp", "127.0.0.1:53"); err == nil {
			listener, err = net.Listen("tcp", "127.0.0.1:53")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: answer}, {Listener: listener, Handler: answer}} {
		ready := make(chan struct{})
		s.NotifyStartedFunc = func() { close(ready) }
		go s.ActivateAndServe()
		<-ready
		t.Cleanup(func() { s.Shutdown() })
	}
}
