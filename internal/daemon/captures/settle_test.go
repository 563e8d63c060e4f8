package captures

import (
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/daemon/captures/beside"
	"diagsh/internal/menu"
	"diagsh/internal/test/roomtest"
)

// A user who is told that a capture has stopped finds it so after the death of the appliance, too: the
// answer waits for the disk.
func TestStoppedCapturesAreOnTheDisk(t *testing.T) {
	dir := t.TempDir()
	b := newBed(t, roomOptions{Dir: dir, Hostname: "mx1"})
	b.mustStart(ask("one", capture.Options{Persistent: true}))
	b.d.Table.storing.Lock()
	stopped := make(chan error, 1)
	go func() {
		_, err := b.d.StopCapture(roomtest.Admin, "one")
		stopped <- err
	}()
	select {
	case err := <-stopped:
		t.Errorf("the stop was told before the table was written: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	b.d.Table.storing.Unlock()
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	left := dead(t, dir)
	var after *rooms
	b.ns.Do(t, func() { after = start(t, roomOptions{Dir: left, Hostname: "mx1"}) })
	if s, err := after.Capture("one"); err != nil || s.State != capture.Stopped || s.StopReason != capture.StoppedByUser {
		t.Errorf("after the death of the appliance it is %+v, %v", s, err)
	}
}

// A killer is a Recorder that keeps what a death would leave at the moment when captures begin.
type killer struct {
	t    *testing.T
	dir  string
	left string
}

func (*killer) Kind() beside.Kind           { return beside.Flows }
func (*killer) Wanted(capture.Options) bool { return true }

func (k *killer) Begin(beside.Capture, *beside.File) (func(), error) {
	k.left = dead(k.t, k.dir)
	return func() {}, nil
}

// A capture whose appliance died before it began says so, and not that it was interrupted; its name can be
// had again. One that persists begins.
func TestCapturesThatNeverBegan(t *testing.T) {
	for _, persistent := range []bool{false, true} {
		dir := t.TempDir()
		b := newBed(t, roomOptions{Dir: dir, Hostname: "mx1"})
		k := &killer{t: t, dir: dir}
		b.d.recorders = []beside.Recorder{k}
		b.mustStart(ask("one", capture.Options{Interfaces: []string{"lo"}, Persistent: persistent}))
		began := dead(t, dir)
		for what, left := range map[string]string{"never": k.left, "began": began} {
			var after *rooms
			b.ns.Do(t, func() { after = start(t, roomOptions{Dir: left, Hostname: "mx1"}) })
			after.settle("one")
			s, err := after.Capture("one")
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case persistent && s.State == capture.Running:
			case what == "never" && !persistent && s.State == capture.Error && s.StopReason == capture.StartFailed && s.Error != "":
			case what == "began" && !persistent && s.State == capture.Stopped && s.StopReason == capture.Interrupted:
			default:
				t.Errorf("persistent %v, %s: after the death of the appliance it is %+v", persistent, what, s)
			}
			if s.State != capture.Running {
				if err := after.DeleteCapture(roomtest.Admin, "one"); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// Who stops or deletes a capture that is just beginning waits for it, and is not sent away.
func TestCapturesThatBeginAreWaitedFor(t *testing.T) {
	b := newBed(t, roomOptions{Dir: t.TempDir(), Hostname: "mx1"})
	for what, act := range map[string]func() error{
		"stop":   func() error { _, err := b.d.StopCapture(roomtest.Admin, "one"); return err },
		"delete": func() error { return b.d.DeleteCapture(roomtest.Admin, "one") },
		"forget": func() error { return b.d.ForgetCapture(roomtest.Admin, "one") },
	} {
		beginning, err := b.d.Table.reserve(capture.Spec{Name: "one"}, roomtest.Admin, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- act() }()
		select {
		case err := <-done:
			t.Errorf("%s did not wait: %v", what, err)
		case <-time.After(100 * time.Millisecond):
		}
		b.d.Table.drop(beginning) // It could not begin.
		b.d.Table.tasks.Done()
		if err := <-done; menu.AsError(err).Code != menu.NotFound {
			t.Errorf("%s of a capture that did not begin is %v", what, err)
		}
	}
}
