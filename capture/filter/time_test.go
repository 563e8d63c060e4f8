package filter

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/slowness"
)

// What compiling may cost somebody who waits for the answer while typing.
const (
	medianCompileTime   = time.Millisecond
	longListCompileTime = 100 * time.Millisecond
	longListHosts       = 400
)

// How often and how long an expression is compiled to find out the time it takes.
const (
	compileTimeRounds = 20
	compileTimeBudget = 20 * time.Millisecond
	longListBudget    = time.Second
)

// A nameWatch is names that nobody should ask, as they may cost a question to a server.
type nameWatch struct {
	Names
	asked bool
}

func (w *nameWatch) Hosts(context.Context, string) ([]netip.Addr, error) {
	w.asked = true
	return nil, fmt.Errorf("no such host")
}

func (w *nameWatch) Ether(string) ([6]byte, bool) {
	w.asked = true
	return [6]byte{}, false
}

// timedExpressions returns the expressions of the corpus without names of hosts, and on one line.
func timedExpressions(t *testing.T) []string {
	var timed []string
	for _, e := range readCorpusExpressions(t) {
		watch := &nameWatch{Names: SystemNames()}
		_, _ = Compile(e.text, Target{LinkType: EN10MB, Names: watch})
		if !watch.asked && !strings.ContainsAny(e.text, "\n\x00") {
			timed = append(timed, e.text)
		}
	}
	slices.Sort(timed)
	return timed
}

// compileTime returns the fastest of some compilations, as all that makes one slower is not the
// compiler.
func compileTime(expression string, target Target, budget time.Duration) time.Duration {
	fastest, spent := time.Hour, time.Duration(0)
	for i := 0; i < compileTimeRounds && spent < budget; i++ {
		start := time.Now()
		_, _ = Compile(expression, target)
		took := time.Since(start)
		spent += took
		fastest = min(fastest, took)
	}
	return fastest
}

func longHostList() string {
	var hosts []string
	for i := range longListHosts {
		hosts = append(hosts, fmt.Sprintf("host 10.%d.%d.%d", i%7, i%256, (i*37)%251))
	}
	return strings.Join(hosts, " or ")
}

func TestCompileTime(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of cases, or a peer for each")
	}
	limits := slowness.Start(t)
	target := Target{LinkType: EN10MB, Names: SystemNames()}
	expressions := timedExpressions(t)
	if !*printScore {
		// A tenth says enough about the median.
		var some []string
		for i := 0; i < len(expressions); i += 10 {
			some = append(some, expressions[i])
		}
		expressions = some
	}
	times := make([]time.Duration, len(expressions))
	var total time.Duration
	for i, e := range expressions {
		times[i] = compileTime(e, target, compileTimeBudget)
		total += times[i]
	}
	long := compileTime(longHostList(), target, longListBudget)
	if *printScore {
		libpcap := libpcapCompileTimes(t, append(slices.Clone(expressions), longHostList()))
		libpcapLong := libpcap[len(libpcap)-1]
		libpcap = libpcap[:len(libpcap)-1]
		var libpcapTotal time.Duration
		slower := 0
		for i, took := range libpcap {
			libpcapTotal += took
			if times[i] > took {
				slower++
			}
		}
		fmt.Printf(
			"compile time of %d expressions: %v, libpcap %v; %d are slower than with libpcap; %d or'ed hosts: %v, libpcap %v\n",
			len(times), total, libpcapTotal, slower, longListHosts, long, libpcapLong)
		if total > libpcapTotal {
			t.Errorf("compiling takes %v, libpcap %v", total, libpcapTotal)
		}
		slices.Sort(libpcap)
		fmt.Printf("median libpcap %v\n", libpcap[len(libpcap)/2])
	}
	slices.Sort(times)
	median := times[len(times)/2]
	t.Logf("median %v, slowest %v, %d or'ed hosts %v", median, times[len(times)-1], longListHosts, long)
	if median > limits.Limit(medianCompileTime) {
		t.Errorf("the median expression takes %v, want at most %v", median, medianCompileTime)
	}
	if long > limits.Limit(longListCompileTime) {
		t.Errorf("%d or'ed hosts take %v, want at most %v", longListHosts, long, longListCompileTime)
	}
}

// libpcapCompileTimes builds testdata/compile_time.c and runs it on the expressions.
func libpcapCompileTimes(t *testing.T, expressions []string) []time.Duration {
	t.Helper()
	cc := netnstest.Tool(t, "cc")
	binary := filepath.Join(t.TempDir(), "compile_time")
	build := exec.Command(cc, "-O2", "-o", binary, "testdata/compile_time.c", "-lpcap")
	if out, err := build.CombinedOutput(); err != nil {
		netnstest.Missing(t, fmt.Sprintf("the development files of libpcap are not there: %v\n%s", err, out))
	}
	run := exec.Command(binary)
	run.Stdin = strings.NewReader(strings.Join(expressions, "\n") + "\n")
	run.Stderr = os.Stderr
	out, err := run.Output()
	if err != nil {
		t.Fatal(err)
	}
	var times []time.Duration
	for line := range bytes.Lines(out) {
		microseconds, err := strconv.ParseFloat(string(bytes.TrimSpace(line)), 64)
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, time.Duration(microseconds*1000))
	}
	if len(times) != len(expressions) {
		t.Fatalf("libpcap compiled %d of %d expressions", len(times), len(expressions))
	}
	return times
}
