package exports

import (
	"os"
	"slices"
	"sync"
	"testing"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// The copies of a file that is deleted end at once, also those to a target that rests or is paused, and
// after a restart too. That of another file waits on.
func TestCopiesOfAFileThatIsDeletedEnd(t *testing.T) {
	r := newRig(t)
	away, to := newGate(t)
	r.target("away", to, false)
	r.target("paused", to, false)
	r.file("a.pcap", "b.pcap")
	if _, err := r.q.PauseCopies(menu.Caller{}, capture.Copies{Target: "paused"}); err != nil {
		t.Fatal(err)
	}
	r.o.Tell = func(...string) { r.news <- struct{}{} }
	r.q.o.Tell = r.o.Tell
	r.add(access.System, "away", "a.pcap", "b.pcap")
	r.add(access.System, "paused", "a.pcap")
	r.q.Start()
	r.await("a try", func() bool { e := r.state("a.pcap", "away"); return e.Tries == 1 && e.State == capture.ExportWaiting })
	if err := r.files.Remove("a.pcap"); err != nil {
		t.Fatal(err)
	}
	r.q.FilesGone("a.pcap", "nosuch.pcap")
	check := func(when string) {
		t.Helper()
		for _, e := range r.q.Exports() {
			over := e.State == capture.ExportFailed && !e.Held && e.Error == "There is no file a.pcap any more" && !e.Finished.IsZero()
			if over != (e.File == "a.pcap") {
				t.Errorf("%s it is %+v", when, e)
			}
		}
	}
	check("then")
	if len(r.done) != 2 || len(r.events) != 2 || r.q.Waiting("a.pcap") || !r.q.Waiting("b.pcap") {
		t.Errorf("done are %q, the audit log has %q", r.done, r.events)
	}
	away.mu.Lock()
	if away.tries != 1 {
		t.Errorf("the target was tried %d times", away.tries)
	}
	away.mu.Unlock()
	r.q.Close(t.Context())
	r.open()
	check("after a restart")
}

// A copy whose file is deleted while it is under way ends when the try does.
func TestAFileThatIsDeletedUnderACopy(t *testing.T) {
	r := newRig(t)
	slow, to := newSlowHost(t, r)
	r.target("slow", to, false)
	r.file("a.pcap")
	r.add(access.System, "slow", "a.pcap")
	r.q.Start()
	r.await("the copy is under way", func() bool { now, _ := slow.count(); return now == 1 })
	if err := r.files.Remove("a.pcap"); err != nil {
		t.Fatal(err)
	}
	r.q.FilesGone("a.pcap")
	if e := r.state("a.pcap", "slow"); e.State != capture.ExportSending {
		t.Errorf("under way it is %+v", e)
	}
	slow.webHost.mu.Lock()
	slow.webHost.files = nil // what is put there breaks the connection
	slow.webHost.mu.Unlock()
	close(slow.release)
	r.await("its end", func() bool { return len(r.done) == 1 })
	if e := r.state("a.pcap", "slow"); e.State != capture.ExportFailed || e.Held || !slices.Equal(r.done, []string{"a.pcap"}) {
		t.Errorf("it is %+v; done are %q", e, r.done)
	}
	if _, err := r.files.Stat("a.pcap"); !os.IsNotExist(err) {
		t.Error(err)
	}
}

// A target that is deleted while it is paused is not there; whoever comes next is answered.
func TestPauseOfATargetThatIsBeingDeleted(t *testing.T) {
	r := newRig(t)
	_, to := newGate(t)
	for range 20 {
		r.target("away", to, false)
		var both sync.WaitGroup
		both.Go(func() { r.q.DeleteTarget(menu.Caller{}, "away") })
		for range 4 {
			both.Go(func() {
				if _, err := r.q.PauseCopies(menu.Caller{}, capture.Copies{Target: "away"}); err != nil && menu.AsError(err).Code != menu.NotFound {
					t.Error(err)
				}
			})
		}
		both.Wait()
	}
}

// Copies to a target that was deleted are not begun anew, only to fail again.
func TestAgainWithoutTheTarget(t *testing.T) {
	r := newRig(t)
	_, to := newGate(t)
	r.target("away", to, false)
	r.file("a.pcap")
	r.add(access.System, "away", "a.pcap")
	if _, err := r.q.CancelCopies(menu.Caller{}, capture.Copies{Target: "away", File: "a.pcap"}); err != nil {
		t.Fatal(err)
	}
	if err := r.q.DeleteTarget(menu.Caller{}, "away"); err != nil {
		t.Fatal(err)
	}
	list, err := r.q.RetryCopies(menu.Caller{}, capture.Copies{Target: "away", File: "a.pcap"})
	if e := menu.AsError(err); e == nil || e.Code != menu.NotFound || e.Argument != "target" {
		t.Errorf("%+v, %v", list, err)
	}
}
