package appliance

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// PID is the appliance's process.
func (a *Appliance) PID() int { return a.process.Process.Pid }

// Sessions are the session processes.
func (a *Appliance) Sessions() []int {
	a.t.Helper()
	return slices.DeleteFunc(a.children(), IsFront)
}

// Front is the process that listens on the network, or 0 when there is none.
func (a *Appliance) Front() int {
	a.t.Helper()
	for _, pid := range a.children() {
		if IsFront(pid) {
			return pid
		}
	}
	return 0
}

// IsFront reports whether a process listens on the network. A list of children may miss one while
// threads end (proc(5)), so whether a front is still there is asked of the process itself.
func IsFront(pid int) bool {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.HasPrefix(string(text), "diagsh\x00front\x00")
}

// children are the processes that the appliance has started, whichever of its threads that was
// (proc(5)).
func (a *Appliance) children() []int {
	a.t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", a.PID()))
	if err != nil {
		a.t.Fatal(err)
	}
	var all []int
	for _, list := range lists {
		text, _ := os.ReadFile(list) // a thread may have ended meanwhile
		for _, word := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(word)
			if err != nil {
				a.t.Fatal(err)
			}
			all = append(all, pid)
		}
	}
	return all
}
