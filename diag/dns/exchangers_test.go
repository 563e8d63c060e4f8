package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// exchangersOf returns Exchangers that ask the peer as a host with one name server does.
func exchangersOf(p *peer) *Exchangers {
	return &Exchangers{client: &Client{port: p.address.Port(), Config: func() Config {
		return Config{Servers: []netip.Addr{p.address.Addr()}, Timeout: soon, Attempts: 2, Ndots: 1}
	}}}
}

// TestExchangers: questions follow the usual rules: repeats to a silent server, TCP after
// truncation, no forged answers. A server's failure differs from an empty answer.
func TestExchangers(t *testing.T) {
	t.Parallel()
	const one, two = "a.test. 60 MX 20 Second.test.", "a.test. 60 MX 10 first.test."
	records := func(list ...string) func(*dns.Msg, int64) [][]byte {
		return func(q *dns.Msg, _ int64) [][]byte { return [][]byte{wire(t, q, nil, list...)} }
	}
	for what, test := range map[string]struct {
		answer func(*dns.Msg, int64) [][]byte
		stream func(*dns.Msg) []byte
		want   string
	}{
		"sorted": {answer: records(one, two), want: "[{first.test 10} {Second.test 20}] <nil>"},
		"an alias": {answer: records("a.test. 60 CNAME b.test.", "b.test. 60 MX 5 mx.test.",
			"c.test. 60 MX 1 other.test."), want: "[{mx.test 5}] <nil>"},
		"a null MX":         {answer: records("a.test. 60 MX 0 ."), want: "[] the domain takes no mail"},
		"a null one beside": {answer: records("a.test. 60 MX 0 .", two), want: "[{first.test 10}] <nil>"},
		"malformed": {answer: records(`a.test. 60 MX 5 mx\032x.test.`),
			want: "[] what the name servers say of them is malformed"},
		"malformed beside": {answer: records(`a.test. 60 MX 5 m\010x.test.`, two), want: "[{first.test 10}] <nil>"},
		"no such name":     {answer: code(t, dns.RcodeNameError), want: "[] <nil>"},
		"no records":       {answer: records(), want: "[] <nil>"},
		"a failure": {answer: code(t, dns.RcodeServerFailure),
			want: "[] the name servers answered with a failure (127.0.0.1 with SERVFAIL)"},
		"no resolver": {answer: func(q *dns.Msg, _ int64) [][]byte {
			return [][]byte{wire(t, q, func(m *dns.Msg) { m.RecursionAvailable = false })}
		}, want: "[] the name server 127.0.0.1 knows nothing of them, and asks no other"},
		"silence": {answer: silent, want: "[] no name server answered in time (127.0.0.1)"},
		"silent once": {answer: func(q *dns.Msg, n int64) [][]byte {
			if n == 1 {
				return nil
			}
			return [][]byte{wire(t, q, nil, two)}
		}, want: "[{first.test 10}] <nil>"},
		"a forged one before": {answer: func(q *dns.Msg, _ int64) [][]byte {
			return [][]byte{wire(t, q, func(m *dns.Msg) { m.Id++ }, one), wire(t, q, nil, two)}
		}, want: "[{first.test 10}] <nil>"},
		"cut": {answer: func(q *dns.Msg, _ int64) [][]byte {
			return [][]byte{wire(t, q, func(m *dns.Msg) { m.Truncated = true }, one)}
		}, stream: func(q *dns.Msg) []byte { return wire(t, q, nil, one, two) },
			want: "[{first.test 10} {Second.test 20}] <nil>"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			p := newPeer(t, test.answer, test.stream)
			e := exchangersOf(p)
			list, err := e.Of(t.Context(), "A.test")
			if got := fmt.Sprint(list, " ", err); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
			if unknown := strings.Contains(test.want, "name server"); errors.Is(err, ErrNoAnswer) != unknown {
				t.Errorf("that nobody knows is %v", !unknown)
			}
			asked := p.asked.Load()
			if again, failed := e.Of(t.Context(), "a.TEST"); fmt.Sprint(again, failed) != fmt.Sprint(list, err) ||
				p.asked.Load() != asked {
				t.Errorf("asked again: %v %v", again, failed)
			}
		})
	}
}

// TestExchangersLetGo: a lookup at a silent server returns when its context ends, and remembers
// nothing.
func TestExchangersLetGo(t *testing.T) {
	t.Parallel()
	asked := make(chan bool, 10)
	p := newPeer(t, func(*dns.Msg, int64) [][]byte { asked <- true; return nil }, nil)
	e := exchangersOf(p)
	e.client.Config = func() Config {
		return Config{Servers: []netip.Addr{p.address.Addr()}, Timeout: time.Hour, Attempts: 1}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := e.Of(ctx, "a.test"); done <- err }()
	<-asked
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) || len(e.memory) != 0 {
			t.Errorf("%v, remembered is %v", err, e.memory)
		}
	case <-time.After(patience):
		t.Error("it waits on")
	}
	// A caller whose context has ended sends no question.
	if _, err := e.Of(ctx, "b.test"); !errors.Is(err, context.Canceled) {
		t.Errorf("asked for nobody: %v", err)
	}
	e.client.Config = func() Config {
		return Config{Servers: []netip.Addr{p.address.Addr()}, Timeout: soon, Attempts: 1}
	}
	e.Of(t.Context(), "c.test")
	if n := p.asked.Load(); n != 2 {
		t.Errorf("%d questions were sent, want 2", n)
	}
}
