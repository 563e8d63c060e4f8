package summary

import (
	"encoding/binary"
	"testing"

	"diagsh/capture"
	"diagsh/capture/headers"
)

// TestConnectionsAreBounded: of any number of connections and name servers, no more are remembered
// than the bounds say, and all are counted.
func TestConnectionsAreBounded(t *testing.T) {
	c := NewCounter()
	const opened = maxConnections + 5000
	data := ethernet(wire{flags: headers.SYN, seq: 1, window: 5}.ip())
	for n := range uint32(opened) {
		binary.BigEndian.PutUint32(data[26:], n)
		c.Add(&capture.Packet{Time: int64(n), Data: data, Length: uint32(len(data))}, capture.Ethernet)
	}
	s := c.Summary(10, Earliest)
	if c.connections.count > maxConnections || len(c.connections.index) > maxConnections ||
		s.TCP.Connections != opened || s.TCP.Opened != opened || s.ForgottenConnections != opened-maxConnections {
		t.Errorf("%d remembered, %d in the index; %+v, %d forgotten", c.connections.count, len(c.connections.index),
			s.TCP, s.ForgottenConnections)
	}
	// The connection that was silent for longest went first.
	if first := s.Connections[0].First.UnixNano(); len(s.Connections) != 10 || first != opened-maxConnections {
		t.Errorf("the earliest that is remembered came at %d", first)
	}
}

func TestQuestionsAreBounded(t *testing.T) {
	c := NewCounter()
	question := append(make([]byte, 12), 1, 'a', 0, 0, 1, 0, 1)
	question[5] = 1
	data := inUDP(53, question)
	const asked = maxQuestions + 500
	for n := range uint32(asked) {
		binary.BigEndian.PutUint32(data[26:], n)
		binary.BigEndian.PutUint32(data[30:], n)
		c.Add(&capture.Packet{Time: int64(n), Data: data, Length: uint32(len(data))}, capture.Ethernet)
	}
	s := c.Summary(10, OrderNone)
	if len(c.names.pending) > maxQuestions || len(c.names.servers) > maxServers || s.DNS.Questions != asked ||
		s.DNS.Unanswered != asked {
		t.Errorf("%d wait, %d servers: %+v", len(c.names.pending), len(c.names.servers), s.DNS)
	}
}

// TestAddAllocatesNothing: a packet of something known allocates nothing.
func TestAddAllocatesNothing(t *testing.T) {
	c := NewCounter()
	seq := uint32(1)
	data := ethernet(wire{flags: headers.ACK, data: 100, window: 5}.ip())
	question := append(make([]byte, 12), 1, 'a', 0, 0, 1, 0, 1)
	question[5] = 1
	asked, answered := inUDP(53, question), inUDP(40000, question)
	binary.BigEndian.PutUint16(answered[34:], 53)
	copy(answered[26:], asked[30:34])
	copy(answered[30:], asked[26:30])
	answered[44] |= dnsAnswer
	add := func() {
		seq += 100
		binary.BigEndian.PutUint32(data[38:], seq)
		binary.BigEndian.PutUint16(data[18:], uint16(seq)) // the identification
		for _, b := range [][]byte{data, asked, answered} {
			c.Add(&capture.Packet{Time: int64(seq) * 1e6, Data: b, Length: uint32(len(b))}, capture.Ethernet)
		}
	}
	add()
	if n := testing.AllocsPerRun(1000, add); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if s := c.Summary(1, OrderNone); s.DNS.Answered < 1000 || s.DNS.Unanswered > 0 {
		t.Errorf("%+v", s.DNS)
	}
}

// BenchmarkAdd counts bytes on the wire.
func BenchmarkAdd(b *testing.B) {
	for _, size := range []int{10, 1388} {
		var packets []capture.Packet
		for n := range 1000 {
			data := ethernet(wire{connection: uint16(n % 50), back: n%3 == 0, flags: headers.ACK, seq: uint32(n * size),
				data: size, window: 5, id: uint16(n)}.ip())
			packets = append(packets, capture.Packet{Time: int64(n) * 1e6, Data: data, Length: uint32(len(data))})
		}
		b.Run(map[int]string{10: "64", 1388: "1442"}[size], func(b *testing.B) {
			b.SetBytes(int64(len(packets[0].Data)))
			b.ReportAllocs()
			c := NewCounter()
			for n := 0; b.Loop(); n++ {
				p := &packets[n%1000]
				p.Time += 1e9
				c.Add(p, capture.Ethernet)
			}
		})
	}
}
