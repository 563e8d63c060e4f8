package reporter

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"diagsh/diag/processes"
)

const (
	// keepBlocks is how old a description of a process may be in a PR-INITIAL: sets that follow each
	// other quickly, as under load, do not read all processes again.
	keepBlocks = time.Minute
	mostBlocks = 4 << 20 // bytes

	// startSlack is more than the ticks in which starts are given.
	startSlack = 20 * time.Millisecond
)

// Blocks are the descriptions of the last PR-INITIAL, and those of the one that is written.
type blocks struct {
	began     time.Time // of the PR-INITIAL that is written
	quickly   bool      // it came so soon after the one before that the next may, too
	last, now map[int]block
	bytes     int
}

// A block describes a process by its number. It is of no other process that began before it was read:
// the number was not free then.
type block struct {
	name, exe, text string
	read            time.Time
}

// next begins a PR-INITIAL.
func (b *blocks) next(now time.Time) *blocks {
	b.quickly = !b.began.IsZero() && now.Sub(b.began) < keepBlocks
	b.began, b.last, b.now, b.bytes = now, b.now, map[int]block{}, 0
	return b
}

// of returns the block of a process with its first line, if one was read lately and still describes it.
func (b *blocks) of(p processes.Process, local func(time.Time) string) string {
	one, ok := b.last[p.PID]
	if !ok || b.began.Sub(one.read) > keepBlocks || one.name != p.Name || !p.Started.Before(one.read.Add(-startSlack)) {
		return ""
	}
	if exe, err := os.Readlink("/proc/" + strconv.Itoa(p.PID) + "/exe"); err != nil && one.exe != "" || exe != one.exe {
		return ""
	}
	b.hold(p.PID, one)
	return fmt.Sprintf("Process %d, as it was at %s\n", p.PID, local(one.read)) + one.text
}

// keep keeps what was read of a process for the next PR-INITIAL, if that may be soon.
func (b *blocks) keep(p processes.Process, exe, text string, read time.Time) {
	if b.quickly {
		b.hold(p.PID, block{p.Name, exe, text, read})
	}
}

func (b *blocks) hold(pid int, one block) {
	if b.bytes += len(one.text); b.bytes <= mostBlocks {
		b.now[pid] = one
	}
}
