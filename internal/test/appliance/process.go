package appliance

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// PID is the appliance's process.
func (a *Appliance) PID() int { return a.process.Process.Pid }

// Sessions are the session processes: the appliance's children, whichever of its threads started them (proc(5)).
func (a *Appliance) Sessions() []int {
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
