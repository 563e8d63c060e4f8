package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	idleSessions = 100
	idleTime     = 20 * time.Second
	idleCPU      = 0.10    // share of a core, sessions and appliance together
	idleMemory   = 7 << 19 // bytes of a session, proportional set size
)

// idle measures what idle sessions cost, and the appliance that holds them.
func idle(ctx context.Context, b *bed) ([]figure, error) {
	connections, err := b.crowd(idleSessions)
	defer func() {
		for _, c := range connections {
			c.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	pause(ctx, 3*time.Second) // the work of logging in must not count
	appliance := b.appliance.cmd.Process.Pid
	sessions, err := children(appliance)
	if err != nil {
		return nil, err
	}
	holders := []int{appliance} // the appliance and its front
	for _, pid := range sessions {
		if isFront(pid) {
			holders = append(holders, pid)
		}
	}
	sessions = slices.DeleteFunc(sessions, isFront)
	if len(sessions) != idleSessions {
		return nil, fmt.Errorf("there are %d session processes instead of %d", len(sessions), idleSessions)
	}
	took, shares, err := busyShares(ctx, idleTime, sessions, holders)
	if err != nil {
		return nil, err
	}
	ofSessions, ofAppliance := shares[0], shares[1]
	var memory []int64
	for _, pid := range sessions {
		bytes, err := proportionalSet(pid)
		if err != nil {
			return nil, err
		}
		memory = append(memory, bytes)
	}
	slices.Sort(memory)
	most := memory[len(memory)-1]
	own := int64(0)
	for _, pid := range holders {
		bytes, err := proportionalSet(pid)
		if err != nil {
			return nil, err
		}
		own += bytes
	}
	return idleFigures(took, ofSessions, ofAppliance, memory[len(memory)/2], most, own), nil
}

// idleFigures returns the figures of idle: shares of a core, and bytes of memory.
func idleFigures(took time.Duration, ofSessions, ofAppliance float64, middle, most, own int64) []figure {
	return []figure{
		{
			what: fmt.Sprintf("CPU of %d idle sessions, the appliance and its front, %.0f s",
				idleSessions, took.Seconds()),
			ours: fmt.Sprintf("%.2f %% of a core (sessions %.2f, appliance %.2f)", 100*(ofSessions+ofAppliance),
				100*ofSessions, 100*ofAppliance),
			peer: "-", goal: "at most 10 %", met: ofSessions+ofAppliance <= idleCPU,
		},
		{
			what: fmt.Sprintf("memory of each of %d idle sessions (PSS)", idleSessions),
			ours: fmt.Sprintf("%.2f MB median, %.2f MB at most", megabytes(middle), megabytes(most)),
			peer: "-", goal: "at most 3.5 MB", met: most <= idleMemory,
		},
		{what: "memory of the appliance and its front then (PSS)",
			ours: fmt.Sprintf("%.1f MB", megabytes(own)), peer: "-"},
	}
}

// busyShares waits for during and returns the share of a processor that each group of processes
// used meanwhile. took is how long it really waited.
func busyShares(
	ctx context.Context, during time.Duration, groups ...[]int,
) (took time.Duration, shares []float64, err error) {
	used := func() ([]time.Duration, error) {
		sums := make([]time.Duration, len(groups))
		for i, group := range groups {
			for _, pid := range group {
				t, err := cpuTime(pid)
				if err != nil {
					return nil, err
				}
				sums[i] += t
			}
		}
		return sums, nil
	}
	before, err := used()
	if err != nil {
		return 0, nil, err
	}
	began := time.Now()
	pause(ctx, during)
	after, err := used()
	if err != nil {
		return 0, nil, err
	}
	took = time.Since(began)
	for i := range groups {
		shares = append(shares, (after[i]-before[i]).Seconds()/took.Seconds())
	}
	return took, shares, nil
}

func megabytes(n int64) float64 { return float64(n) / (1 << 20) }

// crowd logs in n times and waits for each prompt. It returns the connections also with an error.
func (b *bed) crowd(n int) ([]*ssh.Client, error) {
	text, err := os.ReadFile(b.key())
	if err != nil {
		return nil, err
	}
	key, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, err
	}
	config := &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: patience}
	var all []*ssh.Client
	for range n {
		c, err := ssh.Dial("tcp", "127.0.0.1:"+b.appliance.port, config)
		if err != nil {
			return all, err
		}
		all = append(all, c)
		if err := waitAtPrompt(c); err != nil {
			return all, err
		}
	}
	return all, nil
}

func waitAtPrompt(c *ssh.Client) error {
	s, err := c.NewSession()
	if err != nil {
		return err
	}
	output, err := s.StdoutPipe()
	if err != nil {
		return err
	}
	if _, err := s.StdinPipe(); err != nil { // without one the session ends at once
		return err
	}
	if err := s.RequestPty("xterm", 24, 80, ssh.TerminalModes{}); err != nil {
		return err
	}
	if err := s.Shell(); err != nil {
		return err
	}
	var shown strings.Builder
	for buffer := make([]byte, 1024); !strings.Contains(shown.String(), hostname+"> "); {
		n, err := output.Read(buffer)
		shown.Write(buffer[:n])
		if err != nil {
			return fmt.Errorf("no prompt: %w: %q", err, shown.String())
		}
	}
	go io.Copy(io.Discard, output)
	return nil
}

// isFront reports whether a child of the appliance is its front, which listens on the network.
func isFront(pid int) bool {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.HasPrefix(string(text), "diagsh\x00front\x00")
}

// children returns the children of all threads of a process (proc(5)).
func children(pid int) ([]int, error) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	var all []int
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if errors.Is(err, os.ErrNotExist) {
			continue // the thread has ended
		}
		if err != nil {
			return nil, err
		}
		for _, word := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				return nil, err
			}
			all = append(all, child)
		}
	}
	return all, nil
}

// cpuTime returns the processor time of all threads of a process, to the nanosecond (schedstat in
// proc(5)).
func cpuTime(pid int) (time.Duration, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// proportionalSet returns the bytes of a process's memory, with its share of shared pages (PSS,
// proc(5)).
func proportionalSet(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "Pss:"); ok {
			kilobytes, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")),
				10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("process %d has no Pss", pid)
}
