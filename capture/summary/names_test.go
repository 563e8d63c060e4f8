package summary

import (
	"slices"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/headers"
)

// message returns a DNS message about a name of one label, from port 40000 to 53 or back.
func message(id byte, answer bool, code byte, label string) []byte {
	b := join([]byte{0, id, 1, code, 0, 1, 0, 0, 0, 0, 0, 0, byte(len(label))}, []byte(label), []byte{0, 0, 12, 0, 1})
	if !answer {
		return inUDP(53, b)
	}
	b[2] |= dnsAnswer
	packet := inUDP(40000, b)
	packet[34], packet[35] = 0, 53
	copy(packet[26:], outer2)
	copy(packet[30:], outer)
	return packet
}

// TestNames: a question that is sent again counts once, and an answer belongs to the question with
// its number and name.
func TestNames(t *testing.T) {
	c := NewCounter()
	add := func(after time.Duration, data []byte) {
		c.Add(&capture.Packet{Time: int64(after), Data: data, Length: uint32(len(data))}, capture.Ethernet)
	}
	add(0, message(1, false, 0, "quick"))
	add(time.Millisecond, message(1, true, 0, "quick"))
	add(time.Second, message(2, false, 0, "slow"))
	add(1600*time.Millisecond, message(2, true, 3, "slow")) // no such name: an answer all the same
	add(2*time.Second, message(3, false, 0, "again"))
	add(7*time.Second, message(3, false, 0, "again"))
	add(8*time.Second, message(3, true, 2, "again")) // 6 s after it was asked, and failed
	add(9*time.Second, message(4, false, 0, "never\x1b"))
	add(10*time.Second, message(4, true, 0, "other"))
	add(11*time.Second, message(5, false, 0, "first"))
	add(12*time.Second, message(5, false, 0, "reused"))
	add(20*time.Second, message(6, false, 0, "late"))
	add(21*time.Second, message(9, true, 0, "unasked"))
	d := c.Summary(10, OrderNone).DNS
	d.SlowestAnswers[0].Seconds = nil
	got := *d
	got.Servers, got.UnansweredQuestions, got.SlowestAnswers = nil, nil, nil
	if want := (DNS{Questions: 7, Repeated: 1, Answered: 3, Unanswered: 4, UnansweredAtEnd: 1, Slow: 2, Failed: 1,
		Unasked: 2}); !equalDNS(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	names := func(list []Question) (names []string) {
		for _, q := range list {
			names = append(names, q.Name+" "+q.Type)
		}
		return names
	}
	if got := names(d.UnansweredQuestions); !slices.Equal(got, []string{`never\027. PTR`, "reused. PTR", "late. PTR"}) {
		t.Errorf("without an answer: %q", got)
	}
	if got := names(d.SlowestAnswers); !slices.Equal(got, []string{"again. PTR", "slow. PTR"}) ||
		d.SlowestAnswers[0].Tries != 2 {
		t.Errorf("slow: %q", got)
	}
	if s := d.Servers; len(s) != 1 ||
		s[0] != (NameServer{Address: "172.16.0.2", Questions: 7, Answered: 3, Unanswered: 4, Slow: 2, Failed: 1,
			LongestSeconds: 6}) {
		t.Errorf("%+v", s)
	}
}

func equalDNS(a, b DNS) bool {
	return a.Questions == b.Questions && a.Repeated == b.Repeated && a.Answered == b.Answered &&
		a.Unanswered == b.Unanswered && a.UnansweredAtEnd == b.UnansweredAtEnd && a.Slow == b.Slow &&
		a.Failed == b.Failed && a.Unasked == b.Unasked
}

// TestCopies: a packet that is captured twice is reported as such, and not as a retransmission.
func TestCopies(t *testing.T) {
	const ms = int64(time.Millisecond)
	segment := func(id uint16, v6 bool, data int) []byte {
		return ethernet(wire{flags: headers.ACK, seq: 1, ack: 9, window: 5, id: id, data: data, v6: v6}.ip())
	}
	ttl := func(data []byte, ttl byte) []byte {
		data = slices.Clone(data)
		data[22], data[24] = ttl, data[24]+1 // and the checksum
		return data
	}
	for _, c := range []struct {
		name           string
		first, again   []byte
		after          int64
		otherInterface bool
		want           int64
	}{
		{"on two interfaces", segment(1, false, 50), segment(1, false, 50), 1, true, 1},
		{"by a mirror port", segment(1, false, 50), segment(1, false, 50), 1, false, 1},
		{"sent again", segment(1, false, 50), segment(2, false, 50), 1, false, 0},
		{"much later", segment(1, false, 50), segment(1, false, 50), 50 * ms, false, 0},
		{"behind a router", segment(1, false, 50), ttl(segment(1, false, 50), 63), 50 * ms, false, 1},
		{"before a router", ttl(segment(1, false, 50), 63), segment(1, false, 50), 1, false, 0},
		{"acknowledged twice over IPv6", segment(1, true, 0), segment(1, true, 0), 1, false, 0},
		{"acknowledgement on two interfaces", segment(1, true, 0), segment(1, true, 0), 1, true, 1},
	} {
		counter := NewCounter()
		counter.Add(&capture.Packet{Data: c.first, Length: uint32(len(c.first))}, capture.Ethernet)
		p := capture.Packet{Time: c.after, Data: c.again, Length: uint32(len(c.again))}
		if c.otherInterface {
			p.Interface = 1
		}
		counter.Add(&p, capture.Ethernet)
		s := counter.Summary(1, OrderNone)
		counted := s.TCP.Retransmissions + s.TCP.OutOfOrder + s.TCP.DuplicateAcknowledgements
		if s.Copies != c.want || s.TCP.Copies != c.want || s.TCP.CopiesCounted != c.want*counted {
			t.Errorf("%s: %d copies, %+v", c.name, s.Copies, s.TCP)
		}
	}
}

// TestNamesInTCP: in TCP a question is a segment; an answer may continue in further ones, which are
// no questions.
func TestNamesInTCP(t *testing.T) {
	c := NewCounter()
	add := func(back bool, data []byte) {
		b := wire{back: back, flags: headers.ACK, window: 5, data: len(data), seq: uint32(c.packets) * 1000}.ip()
		copy(b[len(b)-len(data):], data)
		at := 22 // the server's port
		if back {
			at = 20
		}
		b[at], b[at+1] = 0, 53
		c.Add(&capture.Packet{Time: c.packets * 1e9, Data: b, Length: uint32(len(b))}, capture.Raw)
	}
	framed := func(data []byte) []byte { return append([]byte{0, byte(len(data))}, data...) }
	question := message(7, false, 0, "name")[42:]
	answer := slices.Clone(question)
	answer[2] |= dnsAnswer
	add(false, framed(question))
	add(true, append(framed(answer)[:2:2], answer[:len(answer)-4]...)) // the first segment
	add(true, answer[len(answer)-4:])
	question = slices.Clone(question)
	question[1] = 8
	add(false, []byte{0, byte(len(question))}) // the length alone
	add(false, question)
	add(false, framed(question)[:20]) // its beginning is no message
	add(false, slices.Repeat([]byte{0, 40, 1}, 40))
	if d := c.Summary(10, OrderNone).DNS; d == nil || d.Questions != 2 || d.Answered != 1 || d.Unanswered != 1 ||
		d.Unasked != 0 || d.Slow != 1 {
		t.Errorf("%+v", d)
	}
}
