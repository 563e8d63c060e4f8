package exports

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/daemon/exports/sending"
)

// A stuck host takes the beginning of a file and nothing more, before it is let go.
type stuckHost struct {
	*webHost
	mu      sync.Mutex
	tries   int
	came    func()
	release chan struct{}
}

func newStuckHost(t *testing.T, r *rig) (*stuckHost, sending.Destination) {
	s := &stuckHost{webHost: &webHost{files: map[string][]byte{}}, release: make(chan struct{}), came: func() { r.news <- struct{}{} }}
	return s, s.webHost.listen(t, s)
}

func (s *stuckHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		s.mu.Lock()
		s.tries++
		s.mu.Unlock()
		s.came()
		r.Body.Read(make([]byte, 1))
		select {
		case <-s.release:
		case <-r.Context().Done():
		}
	}
	s.webHost.ServeHTTP(w, r)
}

func (s *stuckHost) tried() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tries
}

// Copies that hardly go on make room when others wait, and have their turn again after them. Alone they
// are left.
func TestCopiesThatHardlyGoOnMakeRoom(t *testing.T) {
	r := newRig(t)
	r.q.turn = 100 * time.Millisecond
	r.atATime(2, 1)
	one, toOne := newStuckHost(t, r)
	other, toOther := newStuckHost(t, r)
	there, toThere := newGate(t)
	there.opens()
	r.target("one", toOne, false)
	r.target("other", toOther, false)
	r.target("there", toThere, false)
	const size = 32 << 20 // more than what the network takes before anybody reads it
	if err := r.files.WriteFile("large.pcap", make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	r.file("a.pcap", "b.pcap")
	r.add(access.System, "one", "large.pcap")
	r.add(access.System, "other", "large.pcap")
	r.q.Start()
	r.await("both are under way", func() bool { return one.tried() == 1 && other.tried() == 1 })
	r.add(access.System, "there", "a.pcap", "b.pcap")
	r.await("the copies to the other target", func() bool { return len(r.done) == 2 })
	r.await("their turn again", func() bool { return one.tried()+other.tried() >= 3 })
	for _, target := range []string{"one", "other"} {
		if e := r.state("large.pcap", target); e.Tries != 0 || e.Error != "" || e.State != capture.ExportSending && e.State != capture.ExportWaiting {
			t.Errorf("a copy that made room is %+v", e)
		}
	}
	close(one.release)
	close(other.release)
	r.await("all copies", func() bool { return len(r.done) == 4 })
}

// Who comes first after a copy made room: those that were queued before, then it, then those that came
// later. It has twice as long then.
func TestTheOrderOfTurns(t *testing.T) {
	now := time.Now()
	slow := &capture.Export{File: "slow", Target: "slow", State: capture.ExportSending, Bytes: 1 << 30, Queued: now.Add(-4 * time.Hour)}
	before := &capture.Export{File: "before", Target: "there", State: capture.ExportWaiting, Queued: now.Add(-time.Hour)}
	after := &capture.Export{File: "after", Target: "there", State: capture.ExportWaiting, Queued: now.Add(time.Minute)}
	ended := 0
	q := &Queue{turn: turn, setbacks: map[*capture.Export]setback{}, bounds: capture.ExportSettings{Parallel: 1, PerTarget: 1}, queue: []*capture.Export{slow}}
	r := &running{end: func(error) { ended++ }, since: now.Add(-2 * time.Minute), passed: 1000}
	q.running = map[*capture.Export]*running{slow: r}
	q.makeRoom(now)
	if ended != 0 {
		t.Error("a copy makes room for none")
	}
	q.queue = append(q.queue, &capture.Export{File: "same", Target: "slow", State: capture.ExportWaiting, Queued: now.Add(-2 * time.Hour)})
	if e, _ := q.next(now, slow); e != nil {
		t.Error("a copy makes room for another to its target")
	}
	q.queue[1].State = capture.ExportPaused
	q.queue = append(q.queue, before)
	q.makeRoom(now.Add(59 * time.Second))
	if ended != 0 {
		t.Error("it had no turn of its own")
	}
	r.passed += 60 * leastRate
	q.makeRoom(now.Add(time.Minute))
	if ended != 0 {
		t.Error("a copy that goes on makes room")
	}
	q.makeRoom(now.Add(2 * time.Minute))
	if ended != 1 || q.setbacks[slow].turns != 2 {
		t.Errorf("%d tries ended, of a copy with %+v", ended, q.setbacks[slow])
	}
	delete(q.running, slow)
	slow.State, after.Queued = capture.ExportWaiting, now.Add(3*time.Minute)
	q.queue = append(q.queue, after)
	for _, want := range []*capture.Export{before, slow, after} {
		e, _ := q.next(now.Add(5*time.Minute), nil)
		if e != want {
			t.Errorf("the turn is %s's, and not %s's", e.File, want.File)
		}
		want.State = capture.ExportDone
	}
	q.bounds.BytesPerSecond = 1000
	if got := q.leastOf(slow); got != 500 {
		t.Errorf("of a copy that may have 1000 bytes a second %d must pass", got)
	}
}
