package dns

import (
	"errors"
	"fmt"
	"testing"

	"github.com/miekg/dns"
)

const soa = "a.test. 60 SOA ns.a.test. h.a.test. %d 1 1 1 1"

// TestTransfers: a zone ends with the SOA record that it starts with, and an incremental transfer
// with that of the new zone.
func TestTransfers(t *testing.T) {
	t.Parallel()
	newest, older, old := fmt.Sprintf(soa, 9), fmt.Sprintf(soa, 8), fmt.Sprintf(soa, 7)
	for what, c := range map[string]struct {
		kind    string
		serial  uint32
		records []string
		want    int
		err     error
	}{
		"a zone":                 {"AXFR", 0, []string{newest, record, newest, record}, 3, nil},
		"a zone of nothing":      {"AXFR", 0, []string{newest, newest}, 2, nil},
		"no zone":                {"AXFR", 0, []string{record, newest}, 0, ErrReply},
		"a zone that breaks off": {"AXFR", 0, []string{newest, record}, 0, ErrClosed},
		"two differences": {"IXFR", 7,
			[]string{newest, old, record, older, record, older, record, newest, record, newest, record}, 10, nil},
		"a zone for a difference":   {"IXFR", 7, []string{newest, record, newest, record}, 3, nil},
		"nothing new":               {"IXFR", 9, []string{newest}, 1, nil},
		"nothing new for a newer":   {"IXFR", 10, []string{newest}, 1, nil},
		"a difference breaking off": {"IXFR", 7, []string{newest, old, record, newest}, 0, ErrClosed},
	} {
		p := newPeer(t, silent,
			func(q *dns.Msg) []byte { return wire(t, q, func(m *dns.Msg) { m.Ns = nil }, c.records...) })
		q := question(p)
		q.Type, q.Serial, q.Timeout = c.kind, c.serial, patience
		r, err := plainClient().Ask(t.Context(), q)
		// Records after the end in the same message are shown too.
		if got := len(r.Answer); !errors.Is(err, c.err) ||
			c.err == nil && (got < c.want || got > c.want+1 || r.Protocol != "tcp") {
			t.Errorf("%s: %d records over %s, %v; want %d, %v", what, got, r.Protocol, err, c.want, c.err)
		}
	}
	refusing := newPeer(t, silent,
		func(q *dns.Msg) []byte { return wire(t, q, func(m *dns.Msg) { m.Rcode = dns.RcodeRefused }) })
	giving := newPeer(t, silent, func(q *dns.Msg) []byte { return wire(t, q, nil, newest, record, newest) })
	q := question(refusing)
	q.Type = "AXFR"
	if r, err := plainClient().Ask(t.Context(), q); err != nil || r.Code != "REFUSED" || len(r.Answer) > 0 {
		t.Errorf("refused: %+v, %v", r, err)
	}
	q = question(refusing, giving)
	q.Type = "AXFR"
	if r, err := plainClient().Ask(t.Context(), q); err != nil || r.Code != "NOERROR" || r.Server != giving.address {
		t.Errorf("refused by the first: %+v, %v", r, err)
	}
}
