package ports

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// A source is a feed whose table a test says.
type source struct {
	feed
	records []Record
	flows   []Flow
}

func (s *source) held(f func([]Record, []Flow)) { f(s.records, s.flows) }

// TestStalled: a watcher that does not take what it is told loses some. Then it is told how many, what
// ended of what it knew, and what is open that it did not know.
func TestStalled(t *testing.T) {
	open := Record{Event: Held, Socket: queued + 7}
	s := &source{records: []Record{{Event: Held, Socket: 1}, open}}
	l, begun, hold := &listening{}, make(chan struct{}, 1), make(chan struct{})
	w := l.watcher()
	keep := w.Records
	w.Records = func(records []Record) {
		select {
		case begun <- struct{}{}:
		default:
		}
		<-hold
		keep(records)
	}
	q := newQueue(w, s)
	go q.run()
	q.put([]Record{{Event: Listening, Socket: 1}, {Event: Listening, Socket: 2}}, nil)
	<-begun
	for i := range queued {
		q.put([]Record{{Event: Connected, Socket: uint64(3 + i)}}, nil)
	}
	q.put([]Record{{Event: Connected, Socket: queued + 6}, {Event: Closed, Socket: queued + 6}, {Event: Closed, Socket: 2},
		{Event: Connected, Socket: queued + 7}}, nil)
	close(hold)
	l.wait(t, "held", func(r Record) bool { return r.Event == Held })
	q.put([]Record{{Event: Used, Socket: queued + 7}}, nil)
	q.end()
	var after []Event
	for _, r := range l.records[2+queued:] {
		after = append(after, r.Event)
	}
	if !slices.Equal(after, []Event{Gap, Closed, Held, Used}) {
		t.Errorf("after the records that waited come %v", after)
	}
	if lost := l.records[2+queued]; lost.Lost != 3 {
		t.Errorf("%d are lost", lost.Lost)
	}
}

// TestStalledFlows: of processes that take turns with a socket while a watcher takes nothing, only the
// flow is kept that the watcher knows, however often they do.
func TestStalledFlows(t *testing.T) {
	now := time.Now()
	s := &source{flows: []Flow{{Socket: 1, From: now, Process: Process{PID: 9}}}}
	l, begun, hold := &listening{}, make(chan struct{}), make(chan struct{})
	w := l.watcher()
	w.Records = nil
	keep, once := w.Flows, sync.OnceFunc(func() { close(begun) })
	w.Flows = func(flows []Flow) {
		once()
		<-hold
		keep(flows)
	}
	q := newQueue(w, s)
	go q.run()
	turn := func(n int) Flow {
		return Flow{Socket: 1, From: now.Add(time.Duration(n)), Process: Process{PID: 7 + n%2}}
	}
	q.put(nil, []Flow{turn(0)})
	<-begun
	q.put(nil, make([]Flow, queued))
	const turns = 10_000
	for n := range turns {
		end := turn(n)
		end.Until = now.Add(time.Hour)
		q.put(nil, []Flow{end, turn(n + 1)})
	}
	if len(q.ends.flows) != 2 || q.lost != 2*turns-2 { // one of each process
		t.Errorf("%d ends are kept, %d flows are lost", len(q.ends.flows), q.lost)
	}
	close(hold)
	q.end()
	if last := l.flows[len(l.flows)-3:]; !last[0].From.Equal(now) || last[0].Until.IsZero() || last[2].PID != 9 {
		t.Errorf("at last %+v", last)
	}
}

// TestQueueEnds: what waits is told before the end, and nothing after it.
func TestQueueEnds(t *testing.T) {
	l := &listening{}
	q := newQueue(l.watcher(), &source{})
	go q.run()
	q.put([]Record{{Event: Opened}}, []Flow{{From: time.Now()}})
	q.end()
	q.put([]Record{{Event: Closed}}, nil)
	if len(l.records) != 1 || len(l.flows) != 1 {
		t.Errorf("%v %v", l.records, l.flows)
	}
}

// TestDecodeLength: a sample that is too short or too long for its kind is an error.
func TestDecodeLength(t *testing.T) {
	for kind := byte(0); kind < 20; kind++ {
		for n := range sizeProcess + 2 {
			b := make([]byte, n)
			if n > 0 {
				b[0] = kind
			}
			want := n == sizeEvent && kind >= kindOpen && kind <= kindShut && kind != kindClosed ||
				n == sizeClosing && (kind == kindClosed || kind == kindHeld)
			if err := decodeEvent(b, new(event)); (err == nil) != want {
				t.Fatalf("%d bytes of kind %d: %v", n, kind, err)
			}
			if err := decodeChange(b, new(change)); (err == nil) != (n == sizeProcess) {
				t.Fatalf("a change of %d bytes: %v", n, err)
			}
		}
	}
}
