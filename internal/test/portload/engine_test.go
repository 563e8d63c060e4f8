package portload

import (
	"context"
	"flag"
	"os"
	"sync"
	"testing"
	"time"

	"diagsh/diag/ports"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/portload/truth"
)

var score = flag.Bool("score", false, "the whole workload, with its table (make ports-score)")

// A log is a watcher that keeps what it is told.
type log struct {
	mu      sync.Mutex
	records []ports.Record
}

func (l *log) take(r []ports.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, r...)
}

// watched runs the workload while an engine of the tier watches.
func watched(t *testing.T, tier ports.Tier, load Load) ([]truth.Truth, []ports.Record, ports.Status) {
	t.Helper()
	netnstest.NeedsRoot(t, "network namespaces")
	program, err := Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	engine := ports.New(ports.Options{Tier: tier})
	defer engine.Close()
	var l log
	stop := func() {}
	truths, report, err := load.Run(ctx, program, func() (err error) {
		stop, err = engine.Watch(ctx, ports.Watcher{Records: l.take})
		return err
	})
	status, _ := engine.Status()
	stop()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("tier %s: %d truths, %d records, %d events, %d lost; the workload took %.2f s of the processor", status.Tier, len(truths),
		len(l.records), status.Events, status.Lost, report.CPUSeconds)
	for _, sentence := range status.Blind {
		t.Log(sentence)
	}
	return truths, l.records, status
}

// size is that of a test, or with -score that of the published table.
func size() Load {
	if *score {
		return Load{N: 30, Rate: 2000, Seconds: 2}
	}
	return Load{N: 10, Rate: 2000, Seconds: 0.5}
}

// hold fails the test for a class that is right less often than least says, and for any process
// that is wrong.
func (s *Score) hold(t *testing.T, least func(*Tally) float64) {
	t.Helper()
	bad := false
	for _, y := range s.Tallies {
		bad = bad || y.Wrong > 0 || y.Recall() < least(y) || least(y) > 0 && y.Bytes < y.Counted
	}
	if bad || least(&Tally{}) > 0 && len(s.Surplus) > 0 {
		s.Text(t.Output())
		t.Fail()
	}
}

// TestPolling: without eBPF most is not seen, which the status says, and no process is wrong.
func TestPolling(t *testing.T) {
	truths, records, status := watched(t, ports.Polling, size())
	if status.Tier != ports.Polling || len(status.Blind) == 0 {
		t.Errorf("%+v", status)
	}
	s := Judge(truths, records)
	if *score {
		s.Markdown(os.Stdout)
	}
	s.hold(t, func(y *Tally) float64 { return 0 })
	for _, y := range s.Tallies {
		if y.Class == "older than the log" && y.Event == string(ports.Held) && y.Recall() < 100 {
			t.Errorf("of the sockets that were there %d of %d were found: %q", y.Right, y.Truths, y.Faults)
		}
	}
}
