package appliance

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"diagsh/internal/test/await"
)

// PID is the appliance's process.
func (a *Appliance) PID() int { return a.process.Process.Pid }

// Sessions are the session processes.
func (a *Appliance) Sessions() []int {
	a.t.Helper()
	return slices.DeleteFunc(a.children(), IsFront)
}

// Front is the process that listens on the network. It waits for one: the place of one that was killed
// is taken a moment later.
func (a *Appliance) Front() int {
	a.t.Helper()
	var fronts []int
	await.Until(a.t, "a process that listens on the network", func() bool {
		fronts = slices.DeleteFunc(a.children(), func(pid int) bool { return !IsFront(pid) })
		return len(fronts) > 0
	})
	return fronts[0]
}

// IsFront reports whether a process listens on the network.
func IsFront(pid int) bool {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.HasPrefix(string(text), "diagsh\x00front\x00")
}

// children are the processes that the appliance has started, whichever of its threads that was. The
// kernel's own lists, /proc/PID/task/TID/children, may miss one while threads end (proc(5)), so each
// process is asked for its parent.
func (a *Appliance) children() []int {
	a.t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		a.t.Fatal(err)
	}
	var all []int
	for _, name := range processes {
		text, _ := os.ReadFile(name) // it may have ended meanwhile
		_, rest, _ := strings.Cut(string(text), ") ")
		var state string
		var parent int
		if fmt.Sscan(rest, &state, &parent); parent != a.PID() {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			a.t.Fatal(err)
		}
		all = append(all, pid)
	}
	return all
}
