package appliance_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
)

// ofUnit is what a line of the unit file says.
func ofUnit(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../../assets/diagsh.service")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + name + `=(.*)$`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("the unit has no line %s", name)
	}
	return string(m[1])
}

// confined runs a program with the privileges that the unit leaves it, and more.
func confined(t *testing.T, more string) []string {
	t.Helper()
	capabilities := "-all"
	for _, c := range strings.Fields(ofUnit(t, "CapabilityBoundingSet")) {
		capabilities += ",+" + strings.ToLower(strings.TrimPrefix(c, "CAP_"))
	}
	return []string{netnstest.Tool(t, "setpriv"), "--no-new-privs", "--bounding-set", capabilities + more, "--"}
}

// limited is confined with the limit of nice values that the unit sets. Where this machine lets
// nobody raise that limit (CAP_SYS_RESOURCE), as in some containers, the capability stands for it.
func limited(t *testing.T) []string {
	t.Helper()
	nice, err := strconv.Atoi(ofUnit(t, "LimitNICE"))
	if err != nil || nice != -10 {
		t.Fatalf("the unit's LimitNICE is %d, %v", nice, err)
	}
	raise := []string{netnstest.Tool(t, "prlimit"), fmt.Sprintf("--nice=%d", 20-nice)} // it counts from 20 down
	if exec.Command(raise[0], append(raise[1:], "true")...).Run() != nil {
		return confined(t, ",+sys_nice")
	}
	return append(raise, confined(t, "")...)
}

// urgent is how many threads of a process have a nice value of -10 (proc(5),
// /proc/PID/task/TID/stat, the 19th field).
func urgent(t *testing.T, pid int) (n int) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it ended
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if nice, _ := strconv.Atoi(fields[16]); nice == -10 {
			n++
		}
	}
	return n
}

// With what the unit leaves the appliance the threads that move packets are urgent, and no session
// may be.
func TestUnitLetsCapturesBeUrgent(t *testing.T) {
	t.Parallel()
	network := netnstest.New(t)
	network.Veth(t, "eth0", "eth1")
	a := appliance.Start(t, appliance.Options{Network: network, Under: limited(t)})
	if r := a.Local("packetcapture start name c interface eth0"); r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	await.Until(t, "two urgent threads of the capture", func() bool { return urgent(t, a.PID()) >= 2 })
	if log := a.Log(); strings.Contains(log, "no urgent threads") {
		t.Errorf("the log says otherwise:\n%s", log)
	}
	a.Terminal("op", 80, 24)
	for _, pid := range a.Sessions() {
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
		if m := regexp.MustCompile(`Max nice priority +(\S+) +(\S+)`).FindSubmatch(limits); err != nil || m == nil || string(m[1]) != "0" || string(m[2]) != "0" {
			t.Errorf("a session may be urgent: %s, %v", limits, err)
		}
	}
}

// Without, captures go on, and the appliance's log says once what they lack.
func TestCapturesThatCannotBeUrgent(t *testing.T) {
	t.Parallel()
	network := netnstest.New(t)
	network.Veth(t, "eth0", "eth1")
	a := appliance.Start(t, appliance.Options{Network: network, Under: confined(t, "")})
	for _, name := range []string{"one", "two"} {
		if r := a.Local("packetcapture start name " + name + " interface eth0"); r.Status != 0 {
			t.Fatalf("%+v", r)
		}
		if r := a.Local("packetcapture stop " + name); r.Status != 0 {
			t.Fatalf("%+v", r)
		}
	}
	if log := a.Log(); strings.Count(log, "no urgent threads") != 1 || urgent(t, a.PID()) != 0 {
		t.Errorf("%d threads are urgent; the log says:\n%s", urgent(t, a.PID()), log)
	}
}

// With what the unit leaves the appliance eBPF tells of sockets, and no right is missing.
func TestUnitSeesPorts(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{Network: netnstest.New(t), Under: confined(t, "")})
	if r := a.Local("portlog start"); r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	r := a.Local("portlog status --json")
	if r.Status != 0 || !regexp.MustCompile(`"tier": ?"[AB]"`).MatchString(r.Out) || strings.Contains(r.Out, "lacks CAP_") {
		t.Errorf("%+v", r)
	}
	if r := a.Local("portlog stop"); r.Status != 0 {
		t.Fatalf("%+v", r)
	}
}
