package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"diagsh/capture"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/nameserver"
	"diagsh/internal/test/netnstest"
)

// A host name in a filter is looked up once a capture, however many interfaces that has, so that
// all of them capture the same host even where the name server answers each question differently.
// The effective filter has the addresses.
func TestOneAnswerForAFilter(t *testing.T) {
	t.Parallel()
	ns := netnstest.New(t)
	ns.Veth(t, "left", "right")
	ns.Veth(t, "up", "down")
	var questions atomic.Int32
	nameserver.Serve(t, ns, dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		n := questions.Add(1)
		m := new(dns.Msg).SetReply(q)
		header := dns.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 60}
		switch q.Question[0].Qtype {
		case dns.TypeA:
			m.Answer = []dns.RR{&dns.A{Hdr: header, A: net.IPv4(192, 0, 2, byte(n))}}
		case dns.TypeAAAA:
			m.Answer = []dns.RR{&dns.AAAA{Hdr: header, AAAA: net.ParseIP(fmt.Sprintf("2001:db8::%x", n))}}
		}
		nameserver.Reply(w, q, m)
	}))
	a := appliance.Start(t, appliance.Options{Network: ns, Files: map[string]string{"/etc/resolv.conf": nameserver.ResolvConf}})
	var filters []string
	for _, c := range []struct {
		line       string
		interfaces int
	}{
		{"packetcapture start one interface right filter 'host mx.lab.example' management yes --json", 1},
		{"packetcapture start three interface left,right,up filter 'host mx.lab.example' management yes --json", 3},
		{"packetcapture start every interface ALL filter 'host mx.lab.example and not src mx.lab.example' management yes --json", 5},
	} {
		questions.Store(int32(10 * len(filters))) // so that each capture finds other addresses
		asked := questions.Load()
		var s capture.Status
		if r := a.Local(c.line); json.Unmarshal([]byte(r.Out), &s) != nil || len(s.Interfaces) != c.interfaces {
			t.Fatalf("%s: %+v", c.line, r)
		}
		if n := questions.Load() - asked; n != 2 {
			t.Errorf("%s asked %d questions; want an A and an AAAA", c.line, n)
		}
		if strings.Contains(s.EffectiveFilter, "mx.lab") || strings.Count(s.EffectiveFilter, "192.0.2.") != strings.Count(s.Filter, "mx.lab") {
			t.Errorf("%s: the effective filter is %s", c.line, s.EffectiveFilter)
		}
		filters = append(filters, s.EffectiveFilter)
	}
	if slices.Sort(filters); len(slices.Compact(filters)) != 3 {
		t.Errorf("captures share the answer of another: %q", filters)
	}
	detail := a.Local("packetcapture status one detail yes").Out
	if flat := strings.Join(strings.Fields(detail), " "); !strings.Contains(flat, "Filter: host mx.lab.example") ||
		!strings.Contains(flat, "host (192.0.2.") || !strings.Contains(flat, "Management: kept") {
		t.Errorf("its status shows\n%s", detail)
	}

	// A filter that is set is checked at each question of the dialogue, and asks the name server
	// once.
	asked := questions.Load()
	if r := a.Local("packetcapture setup filter 'host other.lab.example'"); r.Status != 0 || questions.Load()-asked != 2 {
		t.Errorf("to set a filter asked %d questions: %+v", questions.Load()-asked, r)
	}
	asked = questions.Load()
	if r := a.Local("packetcapture start filter 'host mx.lab.example' durationn 5"); r.Status != 2 || questions.Load() != asked {
		t.Errorf("a line that is wrong asked %d questions: %+v", questions.Load()-asked, r)
	}
}
