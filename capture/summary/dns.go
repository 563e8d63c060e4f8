package summary

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"diagsh/capture/headers"
)

// Limits of what is remembered about DNS.
const (
	maxQuestions = 20_000 // questions that wait for an answer, 400 bytes each
	maxServers   = 10_000
	maxSlowest   = 1000

	// slowAnswer is the time from which an answer is slow.
	slowAnswer = 500 * time.Millisecond

	// answerWait is how long a resolver waits for an answer (resolv.conf(5), timeout). It is
	// unknown whether a question in the last answerWait was answered.
	answerWait = 5 * time.Second
)

// names counts how DNS works.
type names struct {
	dns     DNS
	servers map[headers.Address]*NameServer
	pending map[questionKey]*question
	oldest  *question // of those that wait, a list in the order of their questions
	newest  *question
	free    *question
	slowest []Question
	lost    int64 // questions to servers that were too many to list
}

type questionKey struct {
	client, server headers.Address
	port           uint16 // of the client
	id             uint16
	tcp            bool
}

// question waits for its answer.
type question struct {
	questionKey
	asked        int64
	tries        int
	name         [256]byte // as it is in the message
	length       int
	kind         uint16
	older, newer *question
}

// dnsHeader is the length of the header. dnsAnswer is the bit that tells an answer from a question
// (RFC 1035, section 4.1.1).
const (
	dnsHeader = 12
	dnsAnswer = 0x80
)

// addDNS counts a DNS message to or from port 53. In TCP it recognises a question that fills its
// segment, and an answer that starts one; a continuation looks like anything. Some hosts send the
// length of a message in a segment before it.
func (c *Counter) addDNS(h *headers.Headers, at int64) {
	b, whole := h.Data, true
	tcp := h.Transport == 6
	if tcp {
		announced := c.announced(h)
		switch {
		case h.Length == 2 || len(b) < 2:
			return
		case announced >= dnsHeader && announced >= h.Length:
			whole = announced == h.Length
		case int(binary.BigEndian.Uint16(b)) < dnsHeader:
			return
		default:
			whole = int(binary.BigEndian.Uint16(b))+2 == h.Length
			b = b[2:]
		}
	}
	network, ok := h.Network()
	if len(b) < dnsHeader || !ok {
		return
	}
	n := &c.names
	id := binary.BigEndian.Uint16(b)
	if b[2]&dnsAnswer == 0 {
		if h.TargetPort == 53 && whole {
			n.ask(questionKey{network.Source, network.Target, h.SourcePort, id, tcp}, b, at)
		}
	} else if h.SourcePort == 53 {
		n.answer(questionKey{network.Target, network.Source, h.TargetPort, id, tcp}, b, at)
	}
}

// announced returns the length of a message if the previous segment had only that. It records
// whether this one is of that kind.
func (c *Counter) announced(h *headers.Headers) int {
	network, _ := h.Network()
	key, back := endsOf(network, h.SourcePort, h.TargetPort)
	f := c.connections.find(key)
	if f == nil || h.Length == 0 {
		return 0
	}
	w := &f.ways[0]
	if back {
		w = &f.ways[1]
	}
	before := w.announced
	w.announced = 0
	if h.Length == 2 && len(h.Data) >= 2 {
		w.announced = binary.BigEndian.Uint16(h.Data)
	}
	return int(before)
}

// firstQuestion returns the first name in a message, and the type that is asked for.
func firstQuestion(b []byte) (name []byte, kind uint16) {
	if binary.BigEndian.Uint16(b[4:]) == 0 {
		return nil, 0
	}
	at := dnsHeader
	for at < len(b) && b[at] != 0 && b[at] < 64 {
		at += 1 + int(b[at])
	}
	at++
	if at > len(b) || at-dnsHeader > 255 {
		return nil, 0
	}
	if at+2 <= len(b) {
		kind = binary.BigEndian.Uint16(b[at:])
	}
	return b[dnsHeader:at], kind
}

func (n *names) ask(key questionKey, b []byte, at int64) {
	name, kind := firstQuestion(b)
	if q := n.pending[key]; q != nil {
		if q.kind == kind && string(q.name[:q.length]) == string(name) {
			q.tries++
			n.dns.Repeated++
			return
		}
		n.drop(q) // its number is used again: no answer came, and none can come any more
	}
	n.dns.Questions++
	if s := n.server(key.server); s != nil {
		s.Questions++
	}
	if len(n.pending) >= maxQuestions {
		n.drop(n.oldest)
	}
	q := n.free
	if q == nil {
		q = new(question)
	} else {
		n.free = q.newer
	}
	q.questionKey, q.asked, q.tries, q.kind = key, at, 1, kind
	q.length = copy(q.name[:], name)
	q.older, q.newer = n.newest, nil
	if n.newest != nil {
		n.newest.newer = q
	} else {
		n.oldest = q
	}
	n.newest = q
	n.pending[key] = q
}

// drop counts a question without an answer.
func (n *names) drop(q *question) {
	n.dns.Unanswered++
	if s := n.server(q.server); s != nil {
		s.Unanswered++
	}
	n.forget(q)
}

func (n *names) forget(q *question) {
	delete(n.pending, q.questionKey)
	if q.older != nil {
		q.older.newer = q.newer
	} else {
		n.oldest = q.newer
	}
	if q.newer != nil {
		q.newer.older = q.older
	} else {
		n.newest = q.older
	}
	q.older, q.newer = nil, n.free
	n.free = q
}

func (n *names) answer(key questionKey, b []byte, at int64) {
	q := n.pending[key]
	if q == nil {
		if !key.tcp {
			n.dns.Unasked++
		}
		return
	}
	if name, _ := firstQuestion(b); name != nil && q.length > 0 &&
		!strings.EqualFold(string(q.name[:q.length]), string(name)) {
		n.dns.Unasked++
		return
	}
	took := max(time.Duration(at-q.asked), 0)
	n.dns.Answered++
	s := n.server(key.server)
	if s != nil {
		s.Answered++
		s.LongestSeconds = max(s.LongestSeconds, took.Seconds())
	}
	if took >= slowAnswer {
		n.dns.Slow++
		if s != nil {
			s.Slow++
		}
		n.remember(q, took)
	}
	if code := b[3] & 15; code != 0 && code != 3 {
		n.dns.Failed++
		if s != nil {
			s.Failed++
		}
	}
	n.forget(q)
}

// remember keeps the slowest answers.
func (n *names) remember(q *question, took time.Duration) {
	seconds := took.Seconds()
	at, _ := slices.BinarySearchFunc(n.slowest, seconds,
		func(a Question, seconds float64) int { return cmp.Compare(seconds, *a.Seconds) })
	if at >= maxSlowest {
		return
	}
	record := q.record()
	record.Seconds = &seconds
	n.slowest = slices.Insert(n.slowest, at, record)
	n.slowest = n.slowest[:min(len(n.slowest), maxSlowest)]
}

func (n *names) server(a headers.Address) *NameServer {
	s := n.servers[a]
	if s == nil {
		if len(n.servers) >= maxServers {
			n.lost++
			return nil
		}
		s = new(NameServer)
		n.servers[a] = s
	}
	return s
}

func (q *question) record() Question {
	return Question{
		Name: nameText(q.name[:q.length]), Type: typeText(q.kind), Client: q.client.Addr().String(),
		Server: q.server.Addr().String(), Tries: q.tries,
		Time: time.Unix(0, q.asked).UTC(),
	}
}

// nameText writes a name as RFC 1035 has it (section 5.1): bytes other than letters, digits,
// hyphens and underscores become \DDD. So no control character of a stranger gets any further.
func nameText(b []byte) string {
	var text strings.Builder
	for len(b) > 0 && b[0] != 0 && len(b) > int(b[0]) {
		for _, c := range b[1 : 1+b[0]] {
			switch {
			case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
				text.WriteByte(c)
			default:
				fmt.Fprintf(&text, "\\%03d", c)
			}
		}
		text.WriteByte('.')
		b = b[1+b[0]:]
	}
	if text.Len() == 0 {
		return "."
	}
	return text.String()
}

func typeText(kind uint16) string {
	if name := typeNames[kind]; name != "" {
		return name
	}
	return fmt.Sprintf("TYPE%d", kind)
}

var typeNames = map[uint16]string{
	1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV",
	35: "NAPTR", 43: "DS", 46: "RRSIG", 48: "DNSKEY", 52: "TLSA",
	64: "SVCB", 65: "HTTPS", 99: "SPF", 251: "IXFR", 252: "AXFR", 255: "ANY", 257: "CAA",
}

// summary returns the DNS part for packets up to last, or nil if there was no DNS.
func (n *names) summary(last int64, top int) *DNS {
	d := n.dns
	if d.Questions == 0 && d.Unasked == 0 {
		return nil
	}
	d.Servers, d.UnansweredQuestions, d.SlowestAnswers = []NameServer{}, []Question{}, []Question{}
	waiting := make(map[headers.Address]int64)
	for q := n.oldest; q != nil; q = q.newer {
		d.Unanswered++
		waiting[q.server]++
		if time.Duration(last-q.asked) < answerWait {
			d.UnansweredAtEnd++
		}
		if len(d.UnansweredQuestions) < top {
			d.UnansweredQuestions = append(d.UnansweredQuestions, q.record())
		}
	}
	for address, s := range n.servers {
		s := *s
		s.Address, s.Unanswered = address.Addr().String(), s.Unanswered+waiting[address]
		d.Servers = append(d.Servers, s)
	}
	slices.SortFunc(d.Servers, func(a, b NameServer) int {
		return cmp.Or(cmp.Compare(b.Unanswered, a.Unanswered), cmp.Compare(b.Questions, a.Questions),
			cmp.Compare(a.Address, b.Address))
	})
	d.Servers = d.Servers[:min(top, len(d.Servers))]
	d.SlowestAnswers = append(d.SlowestAnswers, n.slowest[:min(top, len(n.slowest))]...)
	return &d
}
