package summary

import (
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/headers"
)

// TestCases: how connections of some shapes count, without another program to compare with.
func TestCases(t *testing.T) {
	type step struct {
		wire
		after time.Duration
	}
	const syn, ack, rst = headers.SYN, headers.ACK, headers.RST
	data := func(seq uint32) step {
		return step{wire{flags: ack, seq: seq, ack: 5, data: 100}, 300 * time.Microsecond}
	}
	open := func(isn uint32) []step {
		return []step{{wire{flags: syn, seq: isn}, 0}, {wire{back: true, flags: syn | ack, seq: 4, ack: isn + 1},
			10 * time.Millisecond}, {wire{flags: ack, seq: isn + 1, ack: 5}, 0}}
	}
	for _, c := range []struct {
		name  string
		steps [][]step
		want  TCP
	}{
		{"the ports are used again, with a lower number",
			[][]step{open(3e9), {data(3e9 + 1), data(3e9 + 101), {wire{flags: rst, seq: 3e9 + 201}, 0}}, open(1e9),
				{data(1e9 + 1), data(1e9 + 101)}},
			TCP{Packets: 11, Connections: 2, Opened: 2, Answered: 2, PortsReused: 1, Resets: 1}},
		{"keep-alives without data and with one byte",
			[][]step{open(0), {data(1), {wire{flags: ack, seq: 100, ack: 5}, time.Second},
				{wire{flags: ack, seq: 100, ack: 5, data: 1}, time.Second}}},
			TCP{Packets: 6, Connections: 1, Opened: 1, Answered: 1, KeepAlives: 2}},
		{"two gaps at once", [][]step{open(0), {data(1), data(201), data(401), data(101), data(301)}},
			TCP{Packets: 8, Connections: 1, Opened: 1, Answered: 1, OutOfOrder: 2, LostSegments: 2}},
		{"lost before the capture, and sent again after a timeout", [][]step{open(0),
			{data(1), data(201), {wire{flags: ack, seq: 101, ack: 5, data: 100}, 480 * time.Millisecond}}},
			TCP{Packets: 6, Connections: 1, Opened: 1, Answered: 1, LostSegments: 1, Retransmissions: 1,
				TimeoutRetransmissions: 1}},
		{"begun before the capture", [][]step{{data(1), data(101), {wire{back: true, flags: ack, seq: 5, ack: 201}, 0},
			data(201)}},
			TCP{Packets: 4, Connections: 1}},
	} {
		counter := NewCounter()
		now := time.Duration(1e18)
		for _, steps := range c.steps {
			for n, s := range steps {
				s.window, s.id = 1000, uint16(n)
				now += s.after + 1000
				b := ethernet(s.ip())
				counter.Add(&capture.Packet{Time: int64(now), Data: b, Length: uint32(len(b))}, capture.Ethernet)
			}
		}
		if got := counter.Summary(1, OrderNone).TCP; got != c.want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.name, got, c.want)
		}
	}
}

// TestTiming: a connection shows how long the network and the server took, and how it ended.
func TestTiming(t *testing.T) {
	const syn, ack, fin, rst = headers.SYN, headers.ACK, headers.FIN, headers.RST
	const ms = time.Millisecond
	type step struct {
		after time.Duration
		wire
	}
	begin := []step{{0, wire{flags: syn, seq: 1}}, {10 * ms, wire{back: true, flags: syn | ack, seq: 1, ack: 2}},
		{5 * ms, wire{flags: ack, seq: 2, ack: 2}}}
	for n, c := range []struct {
		steps                             []step
		handshake, first, longest, waited float64
		answers                           int64
		state                             State
	}{
		{append(begin, step{700 * ms, wire{back: true, flags: ack, seq: 2, ack: 2, data: 10}},
			step{ms, wire{flags: ack, seq: 2, ack: 12, data: 5}},
			step{300 * ms, wire{back: true, flags: ack, seq: 12, ack: 7, data: 10}},
			step{ms, wire{back: true, flags: ack, seq: 22, ack: 7, data: 10}}), 0.015, 0.7, 0.7, 1, 2, Open},
		// the question again
		{append(begin, step{100 * ms, wire{flags: ack, seq: 2, ack: 2, data: 5}},
			step{250 * ms, wire{flags: ack, seq: 2, ack: 2, data: 5}},
			step{50 * ms, wire{back: true, flags: ack | fin, seq: 2, ack: 7, data: 10}},
			step{ms, wire{flags: fin | ack, seq: 7, ack: 13}}), 0.015, 0.4, 0.3, 0.3, 1, Closed},
		{begin[:1], 0, 0, 0, 0, 0, Unanswered},
		{begin[:2], 0, 0, 0, 0, 0, HalfOpen},
		{append(begin[:1:1], step{ms, wire{back: true, flags: rst | ack, ack: 2}}), 0, 0, 0, 0, 0, Refused},
		{append(begin, step{ms, wire{back: true, flags: rst, seq: 2}}), 0.015, 0, 0, 0, 0, WasReset},
		{append(begin, step{ms, wire{flags: fin | ack, seq: 2, ack: 2}}), 0.015, 0, 0, 0, 0, Closing},
	} {
		counter, now := NewCounter(), time.Duration(1e18)
		for _, s := range c.steps {
			now += s.after
			s.window = 1000
			b := ethernet(s.ip())
			counter.Add(&capture.Packet{Time: int64(now), Data: b, Length: uint32(len(b))}, capture.Ethernet)
		}
		got := counter.Summary(1, Slowest).Connections[0]
		value := func(seconds *float64) float64 {
			if seconds == nil {
				return 0
			}
			return *seconds
		}
		if value(got.HandshakeSeconds) != c.handshake || value(got.FirstByteSeconds) != c.first ||
			value(got.LongestWaitSeconds) != c.longest || value(got.WaitedSeconds) != c.waited ||
			got.Answers != c.answers || got.State != c.state || got.ServerPort != 80 {
			t.Errorf("%d: handshake %v, first %v, longest %v, waited %v: %+v", n, value(got.HandshakeSeconds),
				value(got.FirstByteSeconds), value(got.LongestWaitSeconds), value(got.WaitedSeconds), got)
		}
	}
}
