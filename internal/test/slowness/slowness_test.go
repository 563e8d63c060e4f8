package slowness

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A machine on which every processor has four threads that compute is found slower than it was, and
// never faster than idle.
func TestLimit(t *testing.T) {
	w := Start(t)
	time.Sleep(100 * time.Millisecond)
	before := w.Limit(time.Second)
	if before < time.Second {
		t.Errorf("an idle second is %v", before)
	}

	var end atomic.Bool
	var computed atomic.Int64
	var busy sync.WaitGroup
	for range 4 * runtime.NumCPU() {
		busy.Go(func() {
			runtime.LockOSThread()
			for !end.Load() {
				computed.Add(1)
			}
		})
	}
	w = Start(t)
	time.Sleep(time.Second)
	after := w.Limit(time.Second)
	end.Store(true)
	busy.Wait()
	t.Logf("a second is %v, and %v beside computing threads", before, after)
	if after < 1500*time.Millisecond {
		t.Errorf("beside computing threads a second is %v", after)
	}
}
