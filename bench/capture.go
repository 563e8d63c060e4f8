package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A result is the outcome of one load: packets, and the processor time of the whole process.
type result struct {
	sent, written int64         // packets
	start         time.Duration // processor time until packets are taken
	packets       time.Duration // processor time while they come
	end           time.Duration // processor time from then to the end of the file
	until         time.Duration // wall time from the command until packets are taken; 0 if unknown

	// came is for how long packets came, and resting the processor time of a second before, in which
	// none did. Both are 0 unless the wire rests.
	came, resting time.Duration
}

func (r result) lost() int64        { return r.sent - r.written }
func (r result) cpu() time.Duration { return r.start + r.packets + r.end }

// perPacket returns the processor time for each packet that was written, 0 if none was.
func (r result) perPacket() time.Duration {
	if r.written == 0 {
		return 0
	}
	return r.cpu() / time.Duration(r.written)
}

// A capturer captures a load with one program: as many captures at once as there are filters.
type capturer struct {
	name string
	take func(w *wire, ctx context.Context, l load, filters []string) (result, error)
}

// The cold capture is the first after the appliance's start. A warm one gets the memory of another.
const cold, warm = "diagsh, first", "diagsh"

var capturers = []capturer{{cold, (*wire).withDiagshAnew}, {"tcpdump", (*wire).withTcpdump}, {warm, (*wire).withDiagsh},
	{"dumpcap", (*wire).withDumpcap}}

// settle is how long after the load's end the last packet has arrived.
const settle = 1500 * time.Millisecond

// status is what the bench reads of a capture.
type status struct {
	StartTime      time.Time `json:"startTime"`
	PacketsWritten int64     `json:"packetsWritten"`
	Error          string    `json:"error"`
}

// pid returns the appliance's process: ip and taskset replace themselves by what they start.
func (w *wire) pid() int { return w.server.Process.Pid }

// givenBack is longer than a machine takes to return freed memory to its hypervisor (2 s,
// mm/page_reporting.c of Linux).
const givenBack = 4 * time.Second

// withDiagshAnew restarts the appliance before it captures the load.
func (w *wire) withDiagshAnew(ctx context.Context, l load, filters []string) (result, error) {
	w.stopAppliance()
	if err := w.startAppliance(ctx); err != nil {
		return result{}, err
	}
	pause(ctx, givenBack)
	return w.withDiagsh(ctx, l, filters)
}

func (w *wire) withDiagsh(ctx context.Context, l load, filters []string) (r result, err error) {
	var times [4]time.Duration // of the processor
	look := func(n int) {
		if err == nil {
			times[n], err = processTime(w.pid())
		}
	}
	look(0)
	for i, filter := range filters {
		var s status
		line, asked := fmt.Sprintf("packetcapture start bench%d interface %s size unlimited management yes filter %q%s",
			i, w.on, filter, w.options), time.Now()
		if err := w.line(ctx, line, &s); err != nil {
			return r, err
		}
		r.until = max(r.until, s.StartTime.Sub(asked))
	}
	if w.rests > 0 {
		pause(ctx, settle) // what the start leaves to do is done then
	}
	look(1)
	pause(ctx, w.rests)
	rested := times[1]
	look(1)
	if err != nil {
		return r, err
	}
	began := time.Now()
	if r.sent, err = w.load(ctx, l); err != nil {
		return r, err
	}
	r.sent *= int64(len(filters))
	look(2)
	if w.rests > 0 {
		r.came, r.resting = time.Since(began), (times[1]-rested)*time.Second/w.rests
	}
	for i := range filters {
		var s status
		if err := w.line(ctx, fmt.Sprintf("packetcapture stop bench%d", i), &s); err != nil {
			return r, err
		}
		if s.Error != "" {
			return r, fmt.Errorf("the capture ended: %s", s.Error)
		}
		r.written += s.PacketsWritten
	}
	look(3)
	if err != nil {
		return r, err
	}
	r.start, r.packets, r.end = rested-times[0], times[2]-times[1], times[3]-times[2]
	return r, w.line(ctx, "packetcapture delete ALL confirm yes", nil)
}

// load sends a load, waits until it has arrived, and returns the number of its packets.
func (w *wire) load(ctx context.Context, l load) (int64, error) {
	before, err := w.sent(ctx)
	if err != nil {
		return 0, err
	}
	if err := w.send(ctx, l); err != nil {
		return 0, err
	}
	pause(ctx, settle)
	after, err := w.sent(ctx)
	return after - before, err
}

var (
	tcpdumpCaptured = regexp.MustCompile(`(\d+) packets? captured`)
	dumpcapCaptured = regexp.MustCompile(`Packets captured: (\d+)`)
)

func (w *wire) withTcpdump(ctx context.Context, l load, filters []string) (result, error) {
	return w.withPeer(ctx, l, filters, "listening on", tcpdumpCaptured, func(file, filter string) []string {
		return append([]string{"tcpdump", "-i", w.peerOn(), "-n", "-Z", "root", "-B", "65536", "-w", file},
			strings.Fields(filter)...)
	})
}

func (w *wire) withDumpcap(ctx context.Context, l load, filters []string) (result, error) {
	return w.withPeer(ctx, l, filters, "File:", dumpcapCaptured, func(file, filter string) []string {
		return []string{"dumpcap", "-i", w.peerOn(), "-q", "-P", "-B", "64", "-w", file, "-f", filter}
	})
}

// withPeer runs a program for each filter. The program captures once it has printed ready.
func (w *wire) withPeer(ctx context.Context, l load, filters []string, ready string, captured *regexp.Regexp,
	args func(file, filter string) []string) (result, error) {
	var r result
	var all []peer
	defer func() {
		for _, p := range all {
			p.cmd.Process.Kill()
			p.cmd.Wait()
			os.Remove(p.file)
		}
	}()
	for i, filter := range filters {
		file := filepath.Join(w.dir, fmt.Sprintf("peer%d.pcap", i))
		p := peer{inside(ctx, receiver, receiverCPU, args(file, filter)...), newWords(ready), file}
		if err := p.begin(); err != nil {
			return r, err
		}
		all = append(all, p)
	}
	pause(ctx, 300*time.Millisecond)
	before := make([]time.Duration, len(all)) // the end
	for _, p := range all {
		start, err := processTime(p.cmd.Process.Pid)
		if err != nil {
			return r, err
		}
		r.start += start
	}
	var err error
	if r.sent, err = w.load(ctx, l); err != nil {
		return r, err
	}
	r.sent *= int64(len(filters))
	for i, p := range all {
		if before[i], err = processTime(p.cmd.Process.Pid); err != nil {
			return r, err
		}
		r.packets += before[i]
	}
	r.packets -= r.start
	for i, p := range all {
		p.cmd.Process.Signal(syscall.SIGINT)
		p.cmd.Wait()
		m := captured.FindStringSubmatch(p.said.String())
		if m == nil {
			return r, fmt.Errorf("%s did not say how many packets it captured: %q", p.cmd, p.said)
		}
		n, _ := strconv.ParseInt(m[1], 10, 64)
		r.written += n
		r.end += p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime() - before[i]
	}
	return r, nil
}

// A peer is another program that captures into a file.
type peer struct {
	cmd  *exec.Cmd
	said *words
	file string
}

// begin starts the peer and waits at most patience until it says that it captures.
func (p peer) begin() error {
	p.cmd.Stderr, p.cmd.Stdout = p.said, p.said
	if err := p.cmd.Start(); err != nil {
		return err
	}
	select {
	case <-p.said.ready:
		return nil
	case <-time.After(patience):
		p.cmd.Process.Kill()
		p.cmd.Wait()
		return fmt.Errorf("%s did not begin within %s: %s", p.cmd, patience, p.said)
	}
}

// processTime returns the processor time of a process since its start, ended threads included, as
// ProcessState counts it. The number of the clock is made from the process id by
// MAKE_PROCESS_CPUCLOCK in include/linux/posix-timers.h; 2 is CPUCLOCK_SCHED.
func processTime(pid int) (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &t); err != nil {
		return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// rounds gives the load to every capturer in turn, number times, and returns the results by the
// name of the capturer.
func (w *wire) rounds(ctx context.Context, number int, l load, filters []string) (map[string][]result, error) {
	results := make(map[string][]result)
	for round := range number {
		fmt.Fprintf(os.Stderr, "  round %d: load average %s\n", round+1, loadAverage())
		for _, c := range capturers {
			// The probe runs before each capturer, so that all find the same machine: one that runs
			// just after another has given its memory back would find that memory warm.
			speed, longest, err := w.probe()
			if err != nil {
				return nil, err
			}
			r, err := c.take(w, ctx, l, filters)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			until := ""
			if r.until > 0 { // the peers do not say
				until = " (packets after " + milliseconds(r.until) + ")"
			}
			fmt.Fprintf(os.Stderr, "    %-13s %d of %d lost, %.3f µs a packet: start %.1f ms%s, packets %.1f ms, end "+
				"%.1f ms; disk %.0f MB/s, longest write %s\n", c.name, r.lost(), r.sent, micros(r.perPacket()),
				millis(r.start), until, millis(r.packets), millis(r.end), speed/1e6, milliseconds(longest))
			results[c.name] = append(results[c.name], r)
		}
	}
	return results, nil
}

func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// goals are the limits of a capture's processor time a packet, as a share of tcpdump's: warm with
// the memory of another capture, cold without. start makes the cost of the start a figure of its
// own.
type goals struct {
	warm, cold float64
	start      bool
}

const (
	warmStart = 40 * time.Millisecond // processor time
	warmUntil = 50 * time.Millisecond // wall time from the command until packets are taken
)

// figuresOf returns the figures of one load: packets lost, and processor time as the median of the
// rounds.
func figuresOf(what string, results map[string][]result, g goals) []figure {
	middle := func(name string, of func(result) time.Duration) time.Duration { return middleOf(results[name], of) }
	peer := middle("tcpdump", result.perPacket)
	figures := []figure{{
		what: what + ": lost", ours: losses(results[warm]) + "; first " + losses(results[cold]),
		peer: fmt.Sprintf("tcpdump %s, dumpcap %s", losses(results["tcpdump"]), losses(results["dumpcap"])),
		goal: "none in any round",
		met: !slices.ContainsFunc(slices.Concat(results[warm], results[cold]),
			func(r result) bool { return r.lost() != 0 }),
	}}
	for _, ours := range []struct {
		name  string
		ratio float64
	}{{warm, g.warm}, {cold, g.cold}} {
		each := middle(ours.name, result.perPacket)
		parts := fmt.Sprintf("%.3f µs (start %.0f, packets %.0f, end %.0f ms)", micros(each),
			millis(middle(ours.name, func(r result) time.Duration { return r.start })),
			millis(middle(ours.name, func(r result) time.Duration { return r.packets })),
			millis(middle(ours.name, func(r result) time.Duration { return r.end })))
		figures = append(figures, figure{
			what: what + ": CPU a packet written, " + ours.name, ours: parts,
			peer: fmt.Sprintf("tcpdump %.3f µs (start %.0f ms), dumpcap %.3f µs", micros(peer),
				millis(middle("tcpdump", func(r result) time.Duration { return r.start })),
				micros(middle("dumpcap", result.perPacket))),
			goal: fmt.Sprintf("at most %.2f of tcpdump's: %.2f", ours.ratio, float64(each)/float64(peer)),
			met:  float64(each) <= ours.ratio*float64(peer),
		})
	}
	if !g.start {
		return figures
	}
	start, until := middle(warm, func(r result) time.Duration { return r.start }),
		middle(warm, func(r result) time.Duration { return r.until })
	return append(figures, figure{
		what: what + ": start", ours: fmt.Sprintf("%.1f ms of CPU, packets after %s", millis(start),
			milliseconds(until)), peer: "-",
		goal: "at most 40 ms and 50 ms", met: start <= warmStart && until <= warmUntil,
	})
}

// middleOf returns the median of a figure of the rounds.
func middleOf[R any](rounds []R, of func(R) time.Duration) time.Duration {
	var all []time.Duration
	for _, r := range rounds {
		all = append(all, of(r))
	}
	return median(all)
}

// losses returns the median and the worst share of packets lost, and the number of rounds without a
// loss.
func losses(results []result) string {
	var shares []float64
	none := 0
	for _, r := range results {
		shares = append(shares, 100*float64(r.lost())/float64(max(r.sent, 1)))
		if r.lost() == 0 {
			none++
		}
	}
	slices.Sort(shares)
	return fmt.Sprintf("%.2f %% (worst %.2f), none in %d of %d", shares[len(shares)/2], shares[len(shares)-1],
		none, len(results))
}

// captured gives a load to every capturer, on one interface or all.
func captured(ctx context.Context, b *bed, what, on string, rounds int, l load, filters []string, g goals) ([]figure, error) {
	return onWire(ctx, b, func(w *wire) ([]figure, error) {
		w.on = on
		results, err := w.rounds(ctx, b.often(rounds), l, filters)
		if err != nil {
			return nil, err
		}
		return figuresOf(what, results, g), nil
	})
}

func captureLarge(ctx context.Context, b *bed) ([]figure, error) {
	l := load{length: 1442, number: 1_000_000}
	return captured(ctx, b, l.String(), far, 10, l, []string{"udp"}, goals{0.45, 0.55, true})
}

// captureAll measures the large load on a capture of all interfaces, whose packets wait for those
// of the others, to be in order.
func captureAll(ctx context.Context, b *bed) ([]figure, error) {
	l := load{length: 1442, number: 1_000_000}
	return captured(ctx, b, "all interfaces, "+l.String(), "ALL", 3, l, []string{"udp"}, goals{0.45, 0.55, false})
}

// captureLong measures the large load for 20 seconds.
func captureLong(ctx context.Context, b *bed) ([]figure, error) {
	l := load{length: 1442, number: 13_000_000}
	return captured(ctx, b, l.String()+", about 20 s", far, 1, l, []string{"udp"}, goals{0.45, 0.55, false})
}

func captureSmall(ctx context.Context, b *bed) ([]figure, error) {
	// 10 M packets of this size take ten seconds. Where a hypervisor has to find the memory that a
	// capture takes at its start, that alone costs 0.15 s.
	l := load{length: 64, number: 10_000_000}
	return captured(ctx, b, l.String(), far, 5, l, []string{"udp"}, goals{0.5, 0.55, true})
}

// captureFour measures four captures with different filters on one interface.
func captureFour(ctx context.Context, b *bed) ([]figure, error) {
	l := load{length: 64, number: 2_000_000, rate: 200_000}
	return captured(ctx, b, "four captures of "+l.String(), far, 3, l,
		[]string{"udp", "udp port 5000", "host 192.0.2.1", "not tcp"}, goals{1, 1, false})
}

const (
	idleApplianceMemory = 30_000_000
	captureMemory       = 120_000_000
)

// memory measures the memory of an appliance that has just started, and of one with a capture of
// default settings under load.
func memory(ctx context.Context, b *bed) ([]figure, error) {
	return onWire(ctx, b, func(w *wire) ([]figure, error) {
		pause(ctx, time.Second)
		own, err := proportionalSet(w.pid())
		if err != nil {
			return nil, err
		}
		if err := w.line(ctx, "packetcapture start", nil); err != nil {
			return nil, err
		}
		quiet, err := proportionalSet(w.pid())
		if err != nil {
			return nil, err
		}
		most := quiet
		done := make(chan error, 1)
		go func() { done <- w.send(ctx, load{length: 1442, number: 1_000_000}) }()
		for sending := true; sending; {
			select {
			case err := <-done:
				if err != nil {
					return nil, err
				}
				sending = false
			case <-time.After(50 * time.Millisecond):
			}
			now, err := proportionalSet(w.pid())
			if err != nil {
				return nil, err
			}
			most = max(most, now)
		}
		w.line(ctx, "packetcapture stop", nil) // an error is right if the size limit has ended it
		kept, err := proportionalSet(w.pid())
		if err != nil {
			return nil, err
		}
		return []figure{
			{what: "memory for ten minutes after a capture (PSS)",
				ours: fmt.Sprintf("%.1f MB", float64(kept)/1e6), peer: "-"},
			{what: "memory of the appliance, idle (PSS)", ours: fmt.Sprintf("%.1f MB", float64(own)/1e6), peer: "-",
				goal: "at most 30 MB", met: own <= idleApplianceMemory},
			{what: "memory with one default capture (PSS)",
				ours: fmt.Sprintf("%.1f MB, at most %.1f under load", float64(quiet)/1e6, float64(most)/1e6), peer: "-",
				goal: "at most 120 MB", met: most <= captureMemory},
		}, nil
	})
}

func onWire(ctx context.Context, b *bed, take func(*wire) ([]figure, error)) ([]figure, error) {
	w, err := b.newWire(ctx)
	if err != nil {
		return nil, err
	}
	defer w.close()
	return take(w)
}
