package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	portsRate    = 2000 // connections a second
	portsSeconds = 10
	portsClass   = "^2,000 connections/s$"

	portsRest      = 0.01 // share of a core
	portsPerRecord = 10 * time.Microsecond
	portsMemory    = 40_000_000
)

// A portsRound is one run of the load.
type portsRound struct {
	load        time.Duration // processor time of the processes that connect and accept, the kernel's included
	appliance   time.Duration
	memory      int64 // the most of the appliance (PSS)
	records     int
	connections int
}

// portsStatus is what the bench needs of `portlog status`.
type portsStatus struct {
	Records     int `json:"records"`
	RecordsLost int `json:"recordsLost"`
	Engine      struct {
		Tier   string `json:"tier"`
		Events int    `json:"events"`
		Lost   int    `json:"lost"`
	} `json:"engine"`
}

// portLog measures what the port log costs: the same load with and without it, in turns.
func portLog(ctx context.Context, b *bed) ([]figure, error) {
	load := b.path("load")
	if err := silent(exec.CommandContext(ctx, "go", "build", "-o", load, "./internal/test/portload/load")); err != nil {
		return nil, err
	}
	var with, without, both []portsRound
	lost, tier := 0, ""
	for range b.often(5) {
		none, err := b.portsRound(ctx, load)
		if err != nil {
			return nil, err
		}
		one, s, err := b.loggedRound(ctx, load, "portlog start")
		if err != nil {
			return nil, err
		}
		two, _, err := b.loggedRound(ctx, load, "portlog start format both")
		if err != nil {
			return nil, err
		}
		without, with, both = append(without, none), append(with, one), append(both, two)
		lost, tier = lost+s.Engine.Lost+s.RecordsLost, s.Engine.Tier
	}
	rest, err := b.portsAtRest(ctx)
	if err != nil {
		return nil, err
	}
	return append(portsFigures(with, without, lost, tier), figure{what: "port log in both formats, the same: CPU a record of the appliance",
		ours: fmt.Sprintf("%.2f µs", micros(perRecord(both, without))), peer: fmt.Sprintf("NDJSON alone: %.2f µs", micros(perRecord(with, without)))},
		rest), nil
}

// loggedRound gives the load once while the log runs that a line starts.
func (b *bed) loggedRound(ctx context.Context, load, start string) (r portsRound, s portsStatus, err error) {
	if err := b.portLine(ctx, start, nil); err != nil {
		return r, s, err
	}
	if r, err = b.portsRound(ctx, load); err != nil {
		return r, s, err
	}
	if err := b.portLine(ctx, "portlog status --json", &s); err != nil {
		return r, s, err
	}
	r.records = s.Records
	return r, s, b.portLine(ctx, "portlog stop", nil)
}

// perRecord returns what the appliance needs more for each record.
func perRecord(with, without []portsRound) time.Duration {
	own := func(r portsRound) time.Duration { return r.appliance }
	return (middleOf(with, own) - middleOf(without, own)) / time.Duration(max(with[len(with)-1].records, 1))
}

// portsAtRest measures what the log takes while the bench gives no load. Other programs may.
func (b *bed) portsAtRest(ctx context.Context) (f figure, err error) {
	pid := []int{b.appliance.cmd.Process.Pid}
	_, without, err := busyShares(ctx, idleTime, pid)
	if err != nil {
		return f, err
	}
	if err := b.portLine(ctx, "portlog start", nil); err != nil {
		return f, err
	}
	pause(ctx, time.Second) // what is open is told first
	var before, after portsStatus
	if err := b.portLine(ctx, "portlog status --json", &before); err != nil {
		return f, err
	}
	took, with, err := busyShares(ctx, idleTime, pid)
	if err != nil {
		return f, err
	}
	if err := b.portLine(ctx, "portlog status --json", &after); err != nil {
		return f, err
	}
	events := float64(after.Engine.Events-before.Engine.Events) / took.Seconds()
	return figure{what: fmt.Sprintf("port log at rest: CPU, %.0f s", idleTime.Seconds()),
		ours: fmt.Sprintf("%.2f %% of a core, with %.0f events/s of other programs", 100*with[0], events),
		peer: fmt.Sprintf("without it: %.2f %%", 100*without[0]), goal: "at most 1 % more",
		met: with[0]-without[0] <= portsRest}, b.portLine(ctx, "portlog stop", nil)
}

// portLine runs a line at the appliance's own socket. It decodes the answer into a value, if one is
// given.
func (b *bed) portLine(ctx context.Context, line string, answer any) error {
	out, err := exec.CommandContext(ctx, b.binary, "--socket", filepath.Join(b.data, "api.sock"), "-c", line).Output()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", line, err, out)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(out, answer)
}

// portsRound gives the load once.
func (b *bed) portsRound(ctx context.Context, load string) (r portsRound, err error) {
	pid := b.appliance.cmd.Process.Pid
	truth := b.path("truth.ndjson")
	defer os.Remove(truth)
	c := exec.CommandContext(ctx, load, "run", "-truth", truth, "-n", "1", "-rate", strconv.Itoa(portsRate), "-seconds",
		strconv.Itoa(portsSeconds), "-classes", portsClass)
	c.Stdin, c.Stderr = strings.NewReader("\n"), os.Stderr // the line that it waits for
	before, err := processTime(pid)
	if err != nil {
		return r, err
	}
	var text []byte
	done := make(chan error, 1)
	go func() {
		var err error
		text, err = c.Output()
		done <- err
	}()
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				return r, fmt.Errorf("the load: %w", err)
			}
			running = false
		case <-time.After(100 * time.Millisecond):
		}
		now, err := proportionalSet(pid)
		if err != nil {
			return r, err
		}
		r.memory = max(r.memory, now)
	}
	pause(ctx, time.Second) // what is still to be written belongs to it
	after, err := processTime(pid)
	if err != nil {
		return r, err
	}
	r.appliance = after - before
	return r, r.take(text)
}

// take reads the report of the load, which comes after its first line.
func (r *portsRound) take(text []byte) error {
	var report struct {
		Connections int     `json:"connections"`
		CPUSeconds  float64 `json:"cpuSeconds"`
	}
	if len(text) < len("ready\n") {
		return fmt.Errorf("the load said %q", text)
	}
	if err := json.Unmarshal(text[len("ready\n"):], &report); err != nil {
		return fmt.Errorf("the load said %q: %w", text, err)
	}
	r.load = time.Duration(report.CPUSeconds * float64(time.Second))
	r.connections = report.Connections
	return nil
}

func portsFigures(with, without []portsRound, lost int, tier string) []figure {
	load := func(r portsRound) time.Duration { return r.load }
	last := with[len(with)-1]
	records := max(last.records, 1)
	kernel := middleOf(with, load) - middleOf(without, load)
	ours := perRecord(with, without)
	kernel /= time.Duration(records)
	var most int64
	for _, r := range with {
		most = max(most, r.memory)
	}
	before := without[0].memory // no log ran yet, whose memory the appliance would keep for a while
	what := fmt.Sprintf("port log, %d connections/s for %d s (tier %s)", portsRate, portsSeconds, tier)
	a := time.Duration(max(last.connections, 1))
	return []figure{
		{what: what + ": CPU a record, the kernel's share included",
			ours: fmt.Sprintf("%.2f µs (appliance %.2f, kernel %.2f; %d records)", micros(kernel+ours), micros(ours), micros(kernel), records),
			peer: "-", goal: "at most 10 µs", met: kernel+ours <= portsPerRecord},
		{what: what + ": CPU a connection of the processes at both ends",
			ours: fmt.Sprintf("%.1f µs", micros(middleOf(with, load)/a)),
			peer: fmt.Sprintf("without it: %.1f µs", micros(middleOf(without, load)/a))},
		{what: what + ": records lost", ours: strconv.Itoa(lost), peer: "-", goal: "none", met: lost == 0},
		{what: what + ": memory of the whole appliance, at most (PSS)", ours: fmt.Sprintf("%.1f MB", float64(most)/1e6),
			peer: fmt.Sprintf("without it: %.1f MB", float64(before)/1e6), goal: "at most 40 MB more", met: most-before <= portsMemory},
	}
}
