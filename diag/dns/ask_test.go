package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestWhatIsNoAnswer: a datagram that does not answer the question is ignored, and an answer after
// it is taken. Without an answer, the error names what came.
func TestWhatIsNoAnswer(t *testing.T) {
	t.Parallel()
	for what, junk := range map[string]func(q *dns.Msg) []byte{
		"a question (no flag QR)": func(q *dns.Msg) []byte { raw, _ := q.Pack(); return raw },
		"the answer to another question (number)": func(q *dns.Msg) []byte {
			return wire(t, q, func(m *dns.Msg) { m.Id++ }, "a.test. 60 A 192.0.2.66")
		},
		"a message of another operation (opcode)": func(q *dns.Msg) []byte {
			return wire(t, q, func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }, "a.test. 60 A 192.0.2.66")
		},
		"the answer to another question": func(q *dns.Msg) []byte {
			return wire(t, q, func(m *dns.Msg) { m.Question[0].Name = "b.test." }, "a.test. 60 A 192.0.2.66")
		},
		"the answer to another question (class)": func(q *dns.Msg) []byte {
			return wire(t, q, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, "a.test. 60 A 192.0.2.66")
		},
		"a message with 0 questions": func(q *dns.Msg) []byte {
			return wire(t, q, func(m *dns.Msg) { m.Question = nil }, "a.test. 60 A 192.0.2.66")
		},
		"a message with 2 questions": func(q *dns.Msg) []byte {
			return wire(t, q, func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) },
				"a.test. 60 A 192.0.2.66")
		},
		"a malformed message": func(q *dns.Msg) []byte {
			raw := wire(t, q, nil, "a.test. 60 A 192.0.2.66")
			return raw[:len(raw)-2]
		},
		"a message with fewer records than it says": func(q *dns.Msg) []byte {
			raw := wire(t, q, nil, "a.test. 60 A 192.0.2.66")
			binary.BigEndian.PutUint16(raw[6:], 2)
			return raw
		},
		"a message shorter than its header": func(q *dns.Msg) []byte {
			return []byte{byte(q.Id >> 8), byte(q.Id), 0x80}
		},
	} {
		t.Run(what, func(t *testing.T) { noAnswer(t, what, junk) })
	}
}

func noAnswer(t *testing.T, what string, junk func(q *dns.Msg) []byte) {
	t.Parallel()
	p := newPeer(t, func(q *dns.Msg, _ int64) [][]byte { return [][]byte{junk(q), wire(t, q, nil, record)} }, nil)
	q := question(p)
	q.Timeout = patience
	r, err := plainClient().Ask(t.Context(), q)
	if err != nil || len(r.Answer) != 1 || r.Answer[0].Data != "192.0.2.1" || p.asked.Load() != 1 {
		t.Errorf("%s, then the answer: %+v, %v", what, r.Answer, err)
	}
	p = newPeer(t, func(q *dns.Msg, _ int64) [][]byte { return [][]byte{junk(q), junk(q)} }, nil)
	q = question(p)
	q.Attempts, q.Timeout = 1, soon/2
	_, err = plainClient().Ask(t.Context(), q)
	var failure *Failure
	wanted, _, _ := strings.Cut(what, " (class")
	if !errors.As(err, &failure) || !errors.Is(err, ErrReply) ||
		!slices.Equal(failure.Tried[0].Ignored, []string{wanted}) || p.asked.Load() != 1 {
		t.Errorf("%s alone: %v after %d questions", what, err, p.asked.Load())
	}
}

// TestAnswerFromElsewhere: an answer from another address is not taken, and is reported.
func TestAnswerFromElsewhere(t *testing.T) {
	t.Parallel()
	other, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		buffer := make([]byte, 512)
		for {
			n, from, err := server.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			q := new(dns.Msg)
			if q.Unpack(buffer[:n]) == nil {
				other.WriteToUDPAddrPort(wire(t, q, nil, record), from)
			}
		}
	}()
	q := question()
	q.Attempts = 1
	q.Servers = []netip.AddrPort{server.LocalAddr().(*net.UDPAddr).AddrPort()}
	_, err = plainClient().Ask(t.Context(), q)
	var failure *Failure
	want := "a message from " + other.LocalAddr().String()
	if !errors.As(err, &failure) || len(failure.Tried) != 1 || !slices.Equal(failure.Tried[0].Ignored, []string{want}) {
		t.Errorf("%v, want %q", err, want)
	}
}

// TestServersInTheirTurn: a lost datagram is sent again, as often as is configured. After a
// server's failure the next is asked. A server that answered is not asked again.
func TestServersInTheirTurn(t *testing.T) {
	t.Parallel()
	second := newPeer(t, func(q *dns.Msg, n int64) [][]byte {
		if n == 1 {
			return nil
		}
		return good(t)(q, n)
	}, nil)
	if r, err := plainClient().Ask(t.Context(), question(second)); err != nil || len(r.Answer) != 1 ||
		second.asked.Load() != 2 || len(r.Tried) != 1 || !errors.Is(r.Tried[0].Err, ErrSilence) {
		t.Errorf("the first datagram is lost: %+v, %v", r, err)
	}
	for _, n := range []int{dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeNotImplemented, dns.RcodeFormatError,
		dns.RcodeNotAuth} {
		t.Run(dns.RcodeToString[n], func(t *testing.T) {
			t.Parallel()
			bad, fine := newPeer(t, code(t, n), nil), newPeer(t, good(t), nil)
			r, err := plainClient().Ask(t.Context(), question(bad, fine))
			if err != nil || r.Server != fine.address || len(r.Answer) != 1 ||
				r.Tried[len(r.Tried)-1].Code != dns.RcodeToString[n] {
				t.Errorf("of the first: %+v, %v", r, err)
			}
			r, err = plainClient().Ask(t.Context(), question(bad, newPeer(t, silent, nil)))
			if err != nil || r.Code != dns.RcodeToString[n] || r.Server != bad.address {
				t.Errorf("and a silent one: %+v, %v", r, err)
			}
		})
	}
	gone, fine := nobody(t), newPeer(t, code(t, dns.RcodeNameError), nil)
	r, err := plainClient().Ask(t.Context(), question(gone, fine))
	if err != nil || r.Code != "NXDOMAIN" || len(r.Tried) != 1 || !errors.Is(r.Tried[0].Err, syscall.ECONNREFUSED) {
		t.Errorf("nobody at the first: %+v, %v", r, err)
	}
	dead := newPeer(t, silent, nil)
	_, err = plainClient().Ask(t.Context(), question(dead, gone))
	var failure *Failure
	if !errors.As(err, &failure) || len(failure.Tried) != 3 || dead.asked.Load() != 2 || !errors.Is(err, ErrSilence) ||
		!errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("none answers: %v", err)
	}
	lame := newPeer(t, func(q *dns.Msg, _ int64) [][]byte {
		return [][]byte{wire(t, q, func(m *dns.Msg) { m.RecursionAvailable = false })}
	}, nil)
	if r, err := plainClient().Ask(t.Context(), question(lame, newPeer(t, good(t), nil))); err != nil ||
		len(r.Answer) != 1 || !r.Tried[0].Lame {
		t.Errorf("the first knows nothing: %+v, %v", r, err)
	}
}

// TestCutAnswers: a truncated answer is fetched over TCP. If that fails, the caller gets the part
// that came, and the error.
func TestCutAnswers(t *testing.T) {
	t.Parallel()
	cut := func(q *dns.Msg, _ int64) [][]byte {
		return [][]byte{wire(t, q, func(m *dns.Msg) { m.Truncated = true }, record)}
	}
	whole := newPeer(t, cut, func(q *dns.Msg) []byte { return wire(t, q, nil, record, "a.test. 60 A 192.0.2.2") })
	if r, err := plainClient().Ask(t.Context(), question(whole)); err != nil || r.Protocol != "tcp" ||
		len(r.Answer) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	for what, c := range map[string]struct {
		stream func(q *dns.Msg) []byte
		why    error
	}{
		"refused": {nil, syscall.ECONNREFUSED},
		"closed":  {func(*dns.Msg) []byte { return nil }, ErrClosed},
		"another": {func(q *dns.Msg) []byte { return wire(t, q, func(m *dns.Msg) { m.Id++ }, record) }, ErrReply},
	} {
		p := newPeer(t, cut, c.stream)
		r, err := plainClient().Ask(t.Context(), question(p))
		if !errors.Is(err, c.why) || !r.Has("tc") || r.Protocol != "udp" || len(r.Answer) != 1 || !r.Tried[0].Cut {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
		if r, err := plainClient().Ask(t.Context(), question(p, newPeer(t, good(t), nil))); err != nil || r.Has("tc") ||
			len(r.Answer) != 1 {
			t.Errorf("%s, and another server: %+v, %v", what, r, err)
		}
	}
	// A message cut in the middle of a record is truncated too (RFC 2181, section 9).
	middle := newPeer(t, func(q *dns.Msg, n int64) [][]byte { raw := cut(q, n)[0]; return [][]byte{raw[:len(raw)-2]} },
		func(q *dns.Msg) []byte { return wire(t, q, nil, record) })
	if r, err := plainClient().Ask(t.Context(), question(middle)); err != nil || r.Protocol != "tcp" {
		t.Errorf("cut in the middle of a record: %+v, %v", r, err)
	}
}

// TestLargeDatagram: datagrams larger than announced are read.
func TestLargeDatagram(t *testing.T) {
	t.Parallel()
	var list []string
	for range 200 {
		list = append(list, record)
	}
	p := newPeer(t, func(q *dns.Msg, _ int64) [][]byte { return [][]byte{wire(t, q, nil, list...)} }, nil)
	if r, err := plainClient().Ask(t.Context(), question(p)); err != nil || len(r.Answer) != 200 ||
		r.Bytes < 3*payload {
		t.Errorf("%d records, %v", len(r.Answer), err)
	}
}

// TestEDNSTrouble: where the server or a firewall does not take EDNS, the question is asked
// without, unless EDNS is what was asked for.
func TestEDNSTrouble(t *testing.T) {
	t.Parallel()
	for what, answer := range map[string]func(q *dns.Msg, n int64) [][]byte{
		"FORMERR": code(t, dns.RcodeFormatError), "NOTIMP": code(t, dns.RcodeNotImplemented), "silence": silent,
		"FORMERR without a question": func(q *dns.Msg, _ int64) [][]byte {
			return [][]byte{wire(t, q, func(m *dns.Msg) { m.Rcode, m.Question = dns.RcodeFormatError, nil })}
		},
	} {
		p := newPeer(t, func(q *dns.Msg, n int64) [][]byte {
			if q.IsEdns0() != nil {
				return answer(q, n)
			}
			return good(t)(q, n)
		}, nil)
		r, err := plainClient().Ask(t.Context(), question(p))
		if err != nil || len(r.Answer) != 1 || r.EDNS != nil || len(r.Tried) != 1 || !r.Tried[0].EDNS {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
		q := question(p)
		q.EDNS = EDNSAlways
		if r, err := plainClient().Ask(t.Context(), q); err == nil && len(r.Answer) > 0 {
			t.Errorf("%s, always with EDNS: %+v", what, r)
		}
		asked := p.asked.Load()
		q.EDNS = EDNSNever
		if r, err := plainClient().Ask(t.Context(), q); err != nil || len(r.Answer) != 1 || p.asked.Load() != asked+1 {
			t.Errorf("%s, never with EDNS: %+v, %v", what, r, err)
		}
	}
}

// TestOptions checks what EDNS carries: extended errors, the server's name, and its cookie, which
// is sent back on request.
func TestOptions(t *testing.T) {
	t.Parallel()
	p := newPeer(t, func(q *dns.Msg, n int64) [][]byte {
		cookie := ""
		for _, o := range q.IsEdns0().Option {
			if c, ok := o.(*dns.EDNS0_COOKIE); ok {
				cookie = c.Cookie
			}
		}
		return [][]byte{wire(t, q, func(m *dns.Msg) {
			m.SetEdns0(4096, true)
			opt := m.IsEdns0()
			opt.SetVersion(1)
			opt.Option = append(opt.Option,
				&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: cookie[:16] + "0102030405060708"},
				&dns.EDNS0_NSID{Code: dns.EDNS0NSID, Nsid: "6770"},
				&dns.EDNS0_EDE{InfoCode: 7, ExtraText: "old\x1b[2J"}, &dns.EDNS0_EDE{InfoCode: 4242},
				&dns.EDNS0_LOCAL{Code: 65001, Data: []byte{1, 2, 0}})
			switch n {
			case 1:
				m.Rcode = dns.RcodeBadCookie
			case 2:
				if len(cookie) != 32 {
					t.Errorf("the cookie %q has no part of the server", cookie)
				}
				m.Rcode = dns.RcodeBadVers
			}
		}, record)}
	}, nil)
	q := question(p)
	q.Cookie, q.NSID, q.EDNS = true, true, EDNSAlways
	r, err := plainClient().Ask(t.Context(), q)
	if err != nil || r.Code != "BADVERS" || r.EDNS == nil || len(r.Tried) != 1 || r.Tried[0].Code != "BADCOOKIE" {
		t.Fatalf("%+v, %v", r, err)
	}
	o := r.EDNS
	if o.Version != 1 || o.Payload != 4096 || !slices.Equal(o.Flags, []string{"do"}) || string(o.NSID) != "gp" ||
		!o.CookieGood || len(o.Cookie) != 32 {
		t.Errorf("%+v", o)
	}
	if !slices.Equal(o.Errors, []ExtendedError{{7, "Signature Expired", "old\x1b[2J"}, {4242, "", ""}}) {
		t.Errorf("%+v", o.Errors)
	}
	if len(o.Other) != 1 || o.Other[0].Code != 65001 || string(o.Other[0].Data) != "\x01\x02\x00" {
		t.Errorf("%+v", o.Other)
	}
}

// TestSearchList: a short name is looked up in the search list, a name with dots first as it is,
// and an absolute name only as it is.
func TestSearchList(t *testing.T) {
	t.Parallel()
	config := parseConfig(strings.NewReader("search one.test two.test.\noptions ndots:2\n"))
	client := &Client{Config: func() Config { return config }}
	var mu sync.Mutex
	var asked []string
	p := newPeer(t, func(q *dns.Msg, _ int64) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, q.Question[0].Name)
		switch q.Question[0].Name {
		case "host.two.test.":
			return [][]byte{wire(t, q, nil, "host.two.test. 60 A 192.0.2.1")}
		case "empty.one.test.":
			return [][]byte{wire(t, q, nil)}
		case "broken.one.test.":
			return [][]byte{wire(t, q, func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure })}
		}
		return [][]byte{wire(t, q, func(m *dns.Msg) { m.Rcode = dns.RcodeNameError })}
	}, nil)
	for name, want := range map[string]struct{ code, name, asked string }{
		"host":   {"NOERROR", "host.two.test.", "host.one.test. host.two.test."},
		"host.":  {"NXDOMAIN", "host.", "host."},
		"a.b":    {"NXDOMAIN", "a.b.", "a.b.one.test. a.b.two.test. a.b."},
		"a.b.c":  {"NXDOMAIN", "a.b.c.two.test.", "a.b.c. a.b.c.one.test. a.b.c.two.test."},
		"empty":  {"NOERROR", "empty.one.test.", "empty.one.test. empty.two.test. empty."},
		"broken": {"SERVFAIL", "broken.one.test.", "broken.one.test. broken.two.test. broken."},
	} {
		mu.Lock()
		asked = nil
		mu.Unlock()
		q := question(p)
		q.Name, q.Search, q.Timeout = name, true, patience
		r, err := client.Ask(t.Context(), q)
		mu.Lock()
		if err != nil || r.Code != want.code || r.Name != want.name || strings.Join(asked, " ") != want.asked {
			t.Errorf("%s: %s %s after %v, %v", name, r.Code, r.Name, asked, err)
		}
		mu.Unlock()
	}
}

// TestAskLetsGo: a caller returns when its context ends. A deadline that passes is reported as the
// attempts made.
func TestAskLetsGo(t *testing.T) {
	t.Parallel()
	asked := make(chan bool, 8)
	p := newPeer(t, func(*dns.Msg, int64) [][]byte { asked <- true; return nil },
		func(*dns.Msg) []byte { asked <- true; select {} })
	for _, tcp := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-asked; cancel() }()
		q := question(p)
		q.TCP, q.Timeout = tcp, time.Hour
		if _, err := plainClient().Ask(ctx, q); !errors.Is(err, context.Canceled) {
			t.Errorf("tcp %v: %v", tcp, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var failure *Failure
	if _, err := plainClient().Ask(ctx, question(p)); !errors.As(err, &failure) || !errors.Is(err, ErrSilence) {
		t.Errorf("a deadline: %v", err)
	}
}

// TestSeen: the client remembers how servers fared, for a bounded number of servers.
func TestSeen(t *testing.T) {
	t.Parallel()
	c := plainClient()
	p, dead := newPeer(t, good(t), nil), nobody(t)
	c.Ask(t.Context(), question(p))
	c.Ask(t.Context(), question(dead))
	seen := map[netip.AddrPort]Seen{}
	for _, s := range c.Seen() {
		seen[s.Server] = s
	}
	if s := seen[p.address]; s.Answers != 1 || s.LastCode != "NOERROR" || s.LastTime <= 0 ||
		time.Since(s.LastAnswer) > time.Minute || s.Failures != 0 {
		t.Errorf("%+v", s)
	}
	if s := seen[dead.address]; s.Answers != 0 || s.Failures != 1 || !errors.Is(s.LastError, syscall.ECONNREFUSED) {
		t.Errorf("%+v", s)
	}
	for i := range 2 * seenLimit {
		c.failed(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 53), io.EOF)
	}
	if n := len(c.Seen()); n != seenLimit {
		t.Errorf("%d servers are remembered", n)
	}
}

// TestTypesAndClasses: types and classes have names or numbers (RFC 3597).
func TestTypesAndClasses(t *testing.T) {
	for text, want := range map[string]bool{"A": true, "mx": true, "TYPE1": true, "type65400": true, "AXFR": true,
		"TYPE0": false, "TYPE65536": false,
		"TYPE+1": false, "OPT": false, "None": false, "": false, "nosuch": false} {
		if IsType(text) != want {
			t.Errorf("type %q: %v", text, !want)
		}
	}
	for text, want := range map[string]bool{"IN": true, "ch": true, "chaos": true, "HS": true, "ANY": true,
		"CLASS3": true, "": true, "XX": false, "CLASS0": false} {
		if IsClass(text) != want {
			t.Errorf("class %q: %v", text, !want)
		}
	}
}

// FuzzMatch: any message either answers the question or is reported as no answer.
func FuzzMatch(f *testing.F) {
	q := new(dns.Msg).SetQuestion("a.test.", dns.TypeA)
	q.Id = 7
	f.Add(wire(f, q, nil, record))
	f.Add(wire(f, q, func(m *dns.Msg) { m.SetEdns0(1232, true); m.Truncated = true }, record, "a.test. 60 TXT \"x\""))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, wrong := match(q, raw)
		if (m == nil) == (wrong == "") {
			t.Fatalf("%v, %q", m, wrong)
		}
		if m != nil {
			r := (&asking{client: plainClient(), name: "a.test.", kind: dns.TypeA, class: dns.ClassINET}).reply(m,
				netip.AddrPort{}, "udp")
			if !r.Has("qr") {
				t.Errorf("%+v is an answer", r)
			}
		}
	})
}
