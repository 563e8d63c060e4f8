package appliance_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"diagsh/internal/spawn"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
)

// statusLines are those of a process (proc_pid_status(5)).
func statusLines(t *testing.T, pid int) map[string]string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		lines[name] = strings.Join(strings.Fields(value), " ")
	}
	return lines
}

// What listens on the network has no right, whoever the appliance runs as.
func TestFrontHasNoRights(t *testing.T) {
	t.Parallel()
	const nobodyElse = 60910
	for who, c := range map[string]struct{ user, front, warnings int }{
		"root":         {0, spawn.FrontUser, 0},
		"another user": {nobodyElse, nobodyElse, 1},
	} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			a := appliance.Start(t, appliance.Options{User: c.user})
			if r := a.SSH("op", "whoami"); r.Status != 0 {
				t.Fatalf("%+v", r)
			}
			first := a.Front()
			status := statusLines(t, first)
			for name, want := range map[string]string{
				"CapEff": "0000000000000000", "CapPrm": "0000000000000000", "CapInh": "0000000000000000", "CapAmb": "0000000000000000",
				"NoNewPrivs": "1", "Seccomp": "2", "Groups": "", "Uid": strings.TrimSpace(strings.Repeat(fmt.Sprint(c.front, " "), 4)),
				"Gid": strings.TrimSpace(strings.Repeat(fmt.Sprint(c.front, " "), 4)), "Name": "diagsh-front",
			} {
				if status[name] != want {
					t.Errorf("%s of the front is %q, not %q", name, status[name], want)
				}
			}
			if nice, err := unix.Getpriority(unix.PRIO_PROCESS, first); err != nil || nice != 20-5 { // as the system call has it
				t.Errorf("the front's niceness is %d, %v", 20-nice, err)
			}
			if err := unix.Kill(first, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			await.Until(t, "the next front", func() bool { return a.Front() != first })
			if n := strings.Count(a.Log(), "the appliance is not root"); n != c.warnings {
				t.Errorf("the log says %d times that the appliance is not root:\n%s", n, a.Log())
			}
		})
	}
}
