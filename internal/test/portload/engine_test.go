package portload

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"diagsh/diag/ports"
	"diagsh/internal/test/netnstest"
)

// small is the workload of a test. make ports-score has the whole.
var small = Load{N: 10, Rate: 2000, Seconds: 0.5}

// watched runs the workload while an engine of the tier watches.
func watched(t *testing.T, o ports.Options) *Trial {
	t.Helper()
	netnstest.NeedsRoot(t, "network namespaces")
	program, err := Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	trial, err := small.Watch(ctx, program, ports.New(o))
	if err != nil {
		t.Fatal(err)
	}
	s := trial.Status
	t.Logf("tier %s: %d truths, %d records, %d events, %d lost", s.Tier, len(trial.Truths), len(trial.Records), s.Events, s.Lost)
	if s.Tier != o.Tier {
		netnstest.Missing(t, "this kernel does not take the programs of tier "+string(o.Tier))
	}
	return trial
}

// hold fails the test for a class that is right less often than least says, for any process that is
// wrong, and where least is above 0, for bytes that are wrong and for connections without a truth.
func (s *Score) hold(t *testing.T, least func(*Tally) float64) {
	t.Helper()
	bad := least(&Tally{}) > 0 && len(s.Surplus) > 0
	for _, y := range s.Tallies {
		bad = bad || y.Wrong > 0 || y.Recall() < least(y) || least(y) > 0 && y.Bytes < y.Counted
	}
	if bad {
		s.Text(t.Output())
		t.Fail()
	}
}

// TestFull: with all programs each class is right in 99.5 %, of records and of packets, and no
// process is wrong. When all processes are replaced nothing is right.
func TestFull(t *testing.T) {
	t.Parallel()
	trial := watched(t, ports.Options{Tier: ports.Full})
	Judge(trial.Truths, trial.Records).hold(t, func(*Tally) float64 { return 99.5 })
	flows := JudgeFlows(trial.Truths, trial.Flows, Lateness)
	flows.hold(t, func(*Tally) float64 { return 99.5 })
	if sum := flows.Sum(); sum.Truths < len(trial.Truths)/3 {
		t.Errorf("only %d of %d truths are of packets", sum.Truths, len(trial.Truths))
	}
	if sum := trial.Blame().Sum(); sum.Right > 0 || sum.Wrong != sum.Found {
		t.Errorf("with all processes replaced %d are right and %d wrong, of %d", sum.Right, sum.Wrong, sum.Found)
	}
}

// TestWithoutAccept: without the tracepoints of accept(2), who accepted a connection without asking
// for its address is not known when another process uses it first, or nobody does. All else is as
// before.
func TestWithoutAccept(t *testing.T) {
	t.Parallel()
	trial := watched(t, ports.Options{Tier: ports.WithoutAccept})
	unknown := []string{"accept without address, closed at once", "lifetime below 1 ms", "forked child serves",
		"connection passed by its server, accept without address"}
	JudgeFlows(trial.Truths, trial.Flows, Lateness).hold(t, func(*Tally) float64 { return 0 })
	Judge(trial.Truths, trial.Records).hold(t, func(y *Tally) float64 {
		if y.Event == string(ports.Accepted) && slices.Contains(unknown, y.Class) {
			return 0
		}
		return 99.5
	})
}

// TestPolling: without eBPF most is not seen, which the status says, and no process is wrong. The
// sockets that were there when the log began are all found.
func TestPolling(t *testing.T) {
	t.Parallel()
	trial := watched(t, ports.Options{Tier: ports.Polling})
	if len(trial.Status.Blind) == 0 {
		t.Errorf("%+v", trial.Status)
	}
	JudgeFlows(trial.Truths, trial.Flows, Lateness).hold(t, func(*Tally) float64 { return 0 })
	Judge(trial.Truths, trial.Records).hold(t, func(y *Tally) float64 {
		if y.Event == string(ports.Held) {
			return 100
		}
		return 0
	})
}

// TestUncounted: where the kernel does not tell who sends and receives, as before Linux 6.3, sockets of
// UDP that connected are seen at their end alone, and no sums are said. No process is wrong.
func TestUncounted(t *testing.T) {
	t.Parallel()
	trial := watched(t, ports.Options{Tier: ports.Full, Uncounted: true})
	for i := range trial.Truths {
		trial.Truths[i].Sent, trial.Truths[i].Received = nil, nil
	}
	Judge(trial.Truths, trial.Records).hold(t, func(y *Tally) float64 {
		if strings.Contains(y.Class, "UDP") && (y.Event == string(ports.Opened) || y.Event == string(ports.Flowed)) {
			return 0
		}
		return 99.5
	})
	for _, r := range trial.Records {
		if r.BytesSent != nil || r.BytesReceived != nil || r.LastUsedBy != 0 {
			t.Fatalf("sums or a last user are invented: %+v", r)
		}
	}
	JudgeFlows(trial.Truths, trial.Flows, Lateness).hold(t, func(y *Tally) float64 {
		if strings.Contains(y.Class, "UDP") {
			return 50
		}
		return 99.5
	})
}
