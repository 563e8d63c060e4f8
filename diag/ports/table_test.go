package ports

import (
	"encoding/binary"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A script is a table that a test tells what happens, as the programs do.
type script struct {
	*table
	now uint64 // CLOCK_MONOTONIC
}

func newScript(t testing.TB) *script {
	p := newPeople("")
	t.Cleanup(p.close)
	s := &script{table: newTable(p), now: uint64(time.Hour)}
	s.following = true
	return s
}

// sample is an event of a socket of TCP as the programs write it.
func (s *script) sample(kind, state byte, n uint64, who uint32) []byte {
	size := sizeEvent
	if kind == kindClosed || kind == kindHeld {
		size = sizeClosing
	}
	b := make([]byte, size)
	b[0], b[1] = kind, state
	binary.LittleEndian.PutUint16(b[2:], familyIPv4)
	binary.LittleEndian.PutUint16(b[4:], protocolTCP)
	binary.LittleEndian.PutUint16(b[6:], 443)
	binary.LittleEndian.PutUint16(b[8:], uint16(1+n%65535))
	binary.LittleEndian.PutUint16(b[10:], flagAnnounced)
	binary.LittleEndian.PutUint64(b[16:], s.now)
	binary.LittleEndian.PutUint64(b[24:], s.now)
	binary.LittleEndian.PutUint64(b[32:], 0xffff000000000000|n<<6)
	binary.LittleEndian.PutUint64(b[40:], n)
	binary.LittleEndian.PutUint64(b[48:], n+1000)
	binary.LittleEndian.PutUint32(b[56:], 1)
	binary.LittleEndian.PutUint16(b[62:], familyIPv4)
	copy(b[64:], []byte{127, 0, 0, 1})
	copy(b[80:], []byte{127, byte(n >> 16), 0, 1})
	for at := 96; at < size; at += sizeTask {
		if at == sizeEvent {
			at += 24
		}
		binary.LittleEndian.PutUint64(b[at:], 7)
		binary.LittleEndian.PutUint32(b[at+28:], who)
		copy(b[at+48:], "name")
	}
	return b
}

// happens tells the table an event, a millisecond after the one before.
func (s *script) happens(kind, state byte, n uint64, who uint32) {
	s.now += uint64(time.Millisecond)
	var e event
	if err := decodeEvent(s.sample(kind, state, n, who), &e); err != nil {
		panic(err)
	}
	s.event(&e)
}

// connection is a connection from outside, from its first packet to its end.
func (s *script) connection(n uint64) {
	s.happens(kindPassive, stateEstablished, n, 5)
	s.happens(kindAccept, stateEstablished, n, 5)
	s.happens(kindClosed, 7, n, 5)
}

// TestMemoryIsBounded: 200,000 sockets that come and go leave nothing behind. Those that are more than
// the table holds are counted when something of them is not told, and leave nothing behind either.
func TestMemoryIsBounded(t *testing.T) {
	s := newScript(t)
	live := func() uint64 {
		s.take()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	churn := func() {
		for n := range uint64(200_000) {
			s.connection(n + 1)
			if n%1000 == 0 {
				s.take()
			}
		}
	}
	churn() // what maps keep stays
	before := live()
	churn()
	if more := int64(live()) - int64(before); more > 1<<20 {
		t.Errorf("%d bytes stay after 200,000 sockets", more)
	}
	if len(s.sockets)+len(s.cookies)+len(s.inodes)+len(s.gone) > 0 {
		t.Errorf("%d sockets, %d cookies, %d inodes stay", len(s.sockets), len(s.cookies), len(s.inodes))
	}
	const open = 200_000
	for n := range uint64(open) {
		s.happens(kindPassive, stateEstablished, n+1, 5)
		s.happens(kindAccept, stateEstablished, n+1, 5)
		if n%1000 == 0 {
			s.take()
		}
	}
	if len(s.sockets) != mostSockets || s.untold != open-mostSockets {
		t.Errorf("%d sockets are known, %d were not told", len(s.sockets), s.untold)
	}
	if full := live() - before; full > 120<<20 {
		t.Errorf("%d bytes for a full table", full)
	}
	for n := range uint64(open) {
		s.happens(kindClosed, 7, n+1, 5)
		if n%1000 == 0 {
			s.take()
		}
	}
	if len(s.sockets)+len(s.cookies)+len(s.inodes) > 0 {
		t.Errorf("%d sockets, %d cookies, %d inodes stay", len(s.sockets), len(s.cookies), len(s.inodes))
	}
}

// TestFullTableIsSaid: what a table without room does not tell is a gap and in the status.
func TestFullTableIsSaid(t *testing.T) {
	s := newScript(t)
	var told []Record
	k := &kernel{table: s.table, tell: func(list []Record, _ []Flow) { told = append(told, list...) }}
	for n := range uint64(mostSockets) {
		s.sockets[socketKey{sk: n + 1<<40}] = &socket{}
	}
	if status := k.status(); len(status.Blind) != 1 {
		t.Errorf("%q", status.Blind)
	}
	clear(s.sockets)
	if status := k.status(); len(status.Blind) != 0 {
		t.Errorf("%q", status.Blind)
	}
	s.untold = 3
	k.untold()
	if status := k.status(); len(status.Blind) != 1 || status.Lost != 3 || status.Gaps != 1 {
		t.Errorf("%+v", status)
	}
	if len(told) != 1 || told[0].Event != Gap || told[0].Lost != 3 || told[0].Reason == "" {
		t.Errorf("%+v", told)
	}
}

// TestLateAcceptIsTold: a connection that waits for minutes is told when it is accepted, though events
// were lost meanwhile. In that time its packets are nobody's. Those that are too many are counted.
func TestLateAcceptIsTold(t *testing.T) {
	s := newScript(t)
	for n := range uint64(mostDoubted + 2) {
		s.happens(kindPassive, stateEstablished, n+1, 5)
	}
	s.now += uint64(time.Hour)
	s.missed(nil, s.now, "")
	s.missed(nil, s.now, "") // nothing is doubted twice
	if s.untold != 2 || len(s.sockets) != mostDoubted {
		t.Errorf("%d sockets of %d are kept, %d were not told", len(s.sockets), mostDoubted+2, s.untold)
	}
	s.take()
	var n uint64
	for key := range s.sockets {
		n = key.cookie
		break
	}
	s.happens(kindAccept, stateEstablished, n, 5)
	records, flows := s.take()
	if len(records) != 1 || records[0].Event != Accepted || records[0].Cookie != n || s.doubted != mostDoubted-1 {
		t.Errorf("%+v, %d are in doubt", records, s.doubted)
	}
	if len(flows) != 0 { // this process has no number here
		t.Errorf("%+v", flows)
	}
	for key := range s.sockets {
		s.happens(kindClosed, 7, key.cookie, 5)
	}
	if s.doubted != 0 || len(s.sockets) != 0 {
		t.Errorf("%d are in doubt, %d are known", s.doubted, len(s.sockets))
	}
}

// TestClockIsStepped: after a step of the clock records have its new time, durations are those that
// passed, and what is looked for among lost events is not mixed up.
func TestClockIsStepped(t *testing.T) {
	for _, step := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		s := newScript(t)
		day := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
		began := s.now
		s.clock.Read = func(id int32) (int64, bool) {
			if id == unix.CLOCK_REALTIME {
				return day.UnixNano() + int64(s.now-began), true
			}
			return int64(s.now), true
		}
		s.clock.Set()
		s.happens(kindConnected, stateEstablished, 1, 5)
		s.happens(kindConnected, stateEstablished, 2, 5)
		s.happens(kindPassive, stateEstablished, 3, 5)
		day = day.Add(step)
		s.clock.Set()
		s.happens(kindClosed, 7, 1, 5)
		records, _ := s.take()
		if got := records[0].Time; !got.Equal(day.Add(-step).Add(time.Millisecond)) {
			t.Errorf("%s before the step of %s", got, step)
		}
		if got := records[2].Time; !got.Equal(day.Add(4 * time.Millisecond)) {
			t.Errorf("%s after the step of %s", got, step)
		}
		s.now += uint64(time.Second)
		s.missed(nil, s.now, "")
		records, _ = s.take()
		if len(records) != 1 || records[0].Event != Closed || records[0].Cookie != 2 || s.doubted != 0 {
			t.Errorf("a step of %s: %+v, %d are in doubt", step, records, s.doubted)
		}
	}
}

// BenchmarkTable is what the records of a connection cost from the ring to the watchers: connect,
// accept and two ends.
func BenchmarkTable(b *testing.B) {
	s := newScript(b)
	s.following = false
	me := uint32(os.Getpid())
	var samples [][]byte
	client, server := uint64(1), uint64(2)
	samples = append(samples, s.sample(kindConnected, stateEstablished, client, me), s.sample(kindPassive, stateEstablished, server, me),
		s.sample(kindAccept, stateEstablished, server, me), s.sample(kindClosed, 7, client, me), s.sample(kindClosed, 7, server, me))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		for _, one := range samples {
			var e event
			if decodeEvent(one, &e) != nil {
				b.Fatal("not decoded")
			}
			s.event(&e)
		}
		if n++; n%20 == 0 {
			s.take()
		}
	}
}

// TestSampleIsWhole: the script's events are what the programs write.
func TestSampleIsWhole(t *testing.T) {
	s := newScript(t)
	var e event
	if err := decodeEvent(s.sample(kindClosed, 7, 3, 9), &e); err != nil {
		t.Fatal(err)
	}
	if e.cookie != 3 || e.local != netip.MustParseAddrPort("127.0.0.1:443") || e.who.id != 9 || e.accepter.id != 9 || e.user.start != 7 {
		t.Errorf("%+v", e)
	}
}
