// Package slowness lets tests of time hold on a machine that does other things as well. A limit is
// for an idle machine; another one gets as many times more as a known piece of work takes longer on
// it meanwhile.
package slowness

import (
	"crypto/sha256"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	nap   = time.Millisecond      // of a piece of work: for how long it waits,
	size  = 512 << 10             // and of how many bytes it makes a sum
	pause = 20 * time.Millisecond // between two pieces
)

// A Watch does pieces of work, each a short wait and a short computation, and compares the time
// that they take with the time that they need: that of the wait, and what the processor spends on
// the computation.
type Watch struct {
	end  func() // no more of it
	done sync.WaitGroup

	took, needed time.Duration // of all pieces; read when done
}

// Start begins to watch. The watch ends with the test, or with the first limit that it is asked
// for.
func Start(t testing.TB) *Watch {
	end := make(chan struct{})
	w := &Watch{end: sync.OnceFunc(func() { close(end) })}
	w.done.Go(func() { w.work(end) })
	t.Cleanup(w.stop)
	return w
}

// Limit returns what a limit of time of an idle machine is on this one, as it was since Start.
func (w *Watch) Limit(idle time.Duration) time.Duration {
	w.stop()
	return time.Duration(float64(idle) * max(1, float64(w.took)/float64(w.needed)))
}

func (w *Watch) stop() {
	w.end()
	w.done.Wait()
}

func (w *Watch) work(end <-chan struct{}) {
	runtime.LockOSThread() // the processor's time is counted by thread
	defer runtime.UnlockOSThread()
	data := make([]byte, size)
	for {
		began, used := time.Now(), threadTime()
		time.Sleep(nap)
		sha256.Sum256(data)
		w.took += time.Since(began)
		w.needed += nap + threadTime() - used
		select {
		case <-end:
			return
		case <-time.After(pause):
		}
	}
}

// threadTime is what the processor has spent on this thread (CLOCK_THREAD_CPUTIME_ID in
// clock_gettime(2)).
func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err) // every Linux has that clock
	}
	return time.Duration(t.Nano())
}
