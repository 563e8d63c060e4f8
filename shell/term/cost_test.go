package term

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"diagsh/internal/test/vt"
)

// switches counts how often the scene's threads gave up a processor, which is how often they had
// woken up.
func (p *person) switches() int {
	p.t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.cmd.Process.Pid))
	if err != nil || len(tasks) == 0 {
		p.t.Fatalf("no threads of %d: %v", p.cmd.Process.Pid, err)
	}
	sum := 0
	for _, task := range tasks {
		status, err := os.ReadFile(task)
		if err != nil {
			continue // the thread ended
		}
		for _, row := range strings.Split(string(status), "\n") {
			if name, value, _ := strings.Cut(row, ":"); strings.HasSuffix(name, "_ctxt_switches") {
				n, _ := strconv.Atoi(strings.TrimSpace(value))
				sum += n
			}
		}
	}
	return sum
}

// rests waits until the scene is quiet.
func (p *person) rests() {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for last := p.switches(); ; {
		time.Sleep(200 * time.Millisecond)
		now := p.switches()
		if now-last <= 1 {
			return
		}
		if last = now; time.Now().After(deadline) {
			p.t.Fatal("the scene never rests")
		}
	}
}

// TestIdleSessionsRest: a session at the prompt does nothing until a key comes, whether the line is
// empty or begun.
func TestIdleSessionsRest(t *testing.T) {
	for _, keys := range []string{"", "abc", "abc\r", "hold\r", "page 99\r", "secret\r", "\x12"} {
		t.Run(strings.TrimSpace(keys), func(t *testing.T) {
			t.Parallel()
			p := sit(t, "shell", 80, 24)
			p.sees("h> |")
			p.types(keys)
			p.rests()
			before := p.switches()
			time.Sleep(2 * time.Second)
			if n := p.switches() - before; n > 10 {
				t.Errorf("woken up %d times in 2 s", n)
			}
		})
	}
}

// TestALineLeftAloneGoesOn: editing of a line that was left alone continues normally.
func TestALineLeftAloneGoesOn(t *testing.T) {
	t.Parallel()
	p := sit(t, "helpful", 40, 6)
	p.types("ab\x1b[Dc\x1b[A\x1b[B")
	p.sees("h> acb|")
	p.rests()
	p.types("\x1b[Dd")
	p.sees("h> acd|b")
	p.types("\x1b[A\x1b[A")
	p.sees("h> status|")
	p.rests()
	p.types("\x1b[A")
	p.sees("h> ping one|")
	p.types("\r")
	p.endsWith("[ping one]\nh> |")
	p.types("ab")
	p.rests()
	p.types("\x03")
	p.endsWith("h> ab^C\ninterrupted\nh> |")
	p.types("ab")
	p.rests()
	p.types("\x04\x7f\x7f\x04")
	p.leaves()
}

// BenchmarkEcho reports how long a key takes to appear.
func BenchmarkEcho(b *testing.B) {
	p := sit(b, "shell", 80, 24)
	p.sees("h> |")
	var times []time.Duration
	for b.Loop() {
		for i := range 200 {
			want := "h> " + strings.Repeat("x", i%60+1) + "|"
			begin := time.Now()
			p.types("x")
			p.until("an echo", func(v *vt.Screen) bool { return v.Marked() == want })
			times = append(times, time.Since(begin))
			if i%60 == 59 {
				p.types("\x15")
				p.sees("h> |")
			}
		}
		p.types("\x15")
		p.sees("h> |")
	}
	slices.Sort(times)
	ms := func(q float64) float64 { return float64(times[int(float64(len(times)-1)*q)].Microseconds()) / 1000 }
	b.ReportMetric(ms(0.5), "ms-median")
	b.ReportMetric(ms(0.95), "ms-95%")
	b.ReportMetric(ms(1), "ms-worst")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkPaste reports how fast pasted lines are taken and answered.
func BenchmarkPaste(b *testing.B) {
	p := sit(b, "shell", 80, 24)
	p.sees("h> |")
	begin, lines := time.Now(), 0
	for b.Loop() {
		paste, last := pasted(300)
		p.types(paste + fmt.Sprintf("end %d\r", lines))
		p.reads(last)
		p.endsWith(fmt.Sprintf("[end %d]\nh> |", lines))
		lines += 300
	}
	b.ReportMetric(float64(lines)/time.Since(begin).Seconds(), "lines/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkIdle reports what each of some sessions at the prompt holds and does. The child is this
// test binary.
func BenchmarkIdle(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("sessions=%d", n), func(b *testing.B) { benchmarkIdle(b, n) })
	}
}

func benchmarkIdle(b *testing.B, n int) {
	var some []*person
	for range n {
		p := sit(b, "shell", 80, 24)
		p.sees("h> |")
		p.types("abc")
		p.sees("h> abc|")
		some = append(some, p)
	}
	for _, p := range some {
		p.rests()
	}
	total := func(measure func(*person) float64) (sum float64) {
		for _, p := range some {
			sum += measure(p)
		}
		return sum / float64(n)
	}
	woken, used := total(func(p *person) float64 { return float64(p.switches()) }), total(cpu)
	seconds := 0.0
	for b.Loop() {
		time.Sleep(5 * time.Second)
		seconds += 5
	}
	b.ReportMetric((total(func(p *person) float64 { return float64(p.switches()) })-woken)/seconds, "switches/s")
	b.ReportMetric((total(cpu)-used)/seconds*100, "%cpu")
	b.ReportMetric(total(func(p *person) float64 { return rollup(p, "Pss:") }), "kB-pss")
	b.ReportMetric(total(func(p *person) float64 { return rollup(p, "Private_Dirty:") }), "kB-dirty")
	b.ReportMetric(0, "ns/op")
}

// cpu returns the processor time that the scene used, in seconds.
func cpu(p *person) (seconds float64) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	for _, task := range tasks {
		if stat, err := os.ReadFile(task); err == nil {
			ns, _ := strconv.ParseFloat(strings.Fields(string(stat))[0], 64)
			seconds += ns / 1e9
		}
	}
	return seconds
}

func rollup(p *person, field string) float64 {
	smaps, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(smaps), field)
	kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	return kb
}
