package appliance_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
)

// inNetwork starts an appliance in a network with two quiet interfaces.
func inNetwork(t *testing.T) (*appliance.Appliance, *netnstest.Namespace) {
	t.Helper()
	network := netnstest.New(t)
	network.Veth(t, "eth0", "eth1")
	return appliance.Start(t, appliance.Options{Network: network}), network
}

func statusOf(t *testing.T, a *appliance.Appliance, name string) (s capture.Status) {
	t.Helper()
	a.Ask("", "packetcapture status", `{"name":"`+name+`"}`, &s)
	return s
}

// until asks for a capture's status until it is as wanted.
func until(t *testing.T, a *appliance.Appliance, name, what string, ok func(capture.Status) bool) capture.Status {
	t.Helper()
	var s capture.Status
	if !await.Within(await.Patience, func() bool { s = statusOf(t, a, name); return ok(s) }) {
		t.Fatalf("%s never came: %+v", what, s)
	}
	return s
}

// packetsIn is how many packets two independent readers find in a file, which must be sound for
// both.
func packetsIn(t *testing.T, a *appliance.Appliance, name string) int {
	t.Helper()
	path := filepath.Join(a.Data, "diagnostic", name)
	out, err := exec.Command(netnstest.Tool(t, "capinfos"), "-T", "-M", "-r", "-c", path).CombinedOutput()
	if err != nil {
		t.Fatalf("capinfos %s: %v\n%s", name, err, out)
	}
	var counted int
	words := strings.Fields(string(out))
	if _, err := fmt.Sscan(words[len(words)-1], &counted); err != nil {
		t.Fatalf("capinfos says %q", out)
	}
	cmd := exec.Command(netnstest.Tool(t, "tshark"), "-n", "-r", path, "-T", "fields", "-e", "frame.number")
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	lines, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark %s: %v", name, err)
	}
	if read := strings.Count(string(lines), "\n"); read != counted {
		t.Errorf("%s: capinfos counts %d packets, tshark %d", name, counted, read)
	}
	return counted
}

// SIGTERM ends captures in an orderly way, with every packet in the file, and says so.
func TestStop(t *testing.T) {
	t.Parallel()
	a, network := inNetwork(t)
	if r := a.SSH("op", "packetcapture start stopped interface eth0"); r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	appliance.Send(t, network, "eth1", 1000)
	until(t, a, "stopped", "the last packet", func(s capture.Status) bool { return s.PacketsReceived == 1000 })
	term := a.Terminal("op", 80, 24)
	term.Prompted(top)
	if status := a.Stop(); status != 0 {
		t.Errorf("exit status %d\n%s", status, a.Log())
	}
	if strings.Contains(a.Log(), "level=ERROR") {
		t.Errorf("the end is not clean:\n%s", a.Log())
	}
	select {
	case <-term.Gone():
	case <-time.After(appliance.Patience):
		t.Error("a session goes on behind the appliance's end")
	}
	a.Restart()
	s := statusOf(t, a, "stopped")
	if s.State != capture.Stopped || s.StopReason != capture.Shutdown || s.PacketsWritten != 1000 || len(s.Files) != 1 {
		t.Fatalf("after the restart it is %+v", s)
	}
	if n := packetsIn(t, a, s.Files[0].Name); n != 1000 {
		t.Errorf("the file has %d packets of 1000", n)
	}
	systemEvents(t, a, "The appliance started", "The appliance stopped", "The appliance started")
}

// A capture that kill -9 interrupted is afterwards one like any other: listed with its reason, its
// file counted and sound, its name taken until it is deleted. (What the file holds is the matter of
// package e2e.)
func TestInterruptedCapture(t *testing.T) {
	t.Parallel()
	a, network := inNetwork(t)
	if r := a.SSH("op", "packetcapture start killed interface eth0"); r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	appliance.Send(t, network, "eth1", 500)
	until(t, a, "killed", "the last packet", func(s capture.Status) bool { return s.PacketsReceived == 500 })
	a.Kill()
	a.Restart()
	s := statusOf(t, a, "killed")
	if s.StopReason != capture.Interrupted || s.State != capture.Stopped || len(s.Files) != 1 {
		t.Fatalf("after the restart it is %+v", s)
	}
	if n := packetsIn(t, a, s.Files[0].Name); uint64(n) != s.PacketsWritten {
		t.Errorf("the file has %d packets, the status says %d", n, s.PacketsWritten)
	}
	if r := a.SSH("op", "packetcapture start killed interface eth0"); r.Status != 5 {
		t.Errorf("its name is free while its file is there: %+v", r)
	}
	if r := a.SSH("op", "packetcapture delete killed confirm yes"); r.Status != 0 {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat(filepath.Join(a.Data, "diagnostic", s.Files[0].Name)); err == nil {
		t.Error("its file is still there")
	}
}

// systemEvents wants the audit log to have these acts of the appliance itself.
func systemEvents(t *testing.T, a *appliance.Appliance, want ...string) {
	t.Helper()
	var got []string
	for _, e := range a.Audit() {
		if e.Act == access.ActSystem && strings.HasPrefix(e.Message, "The appliance ") {
			got = append(got, e.Message)
		}
	}
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("the audit log has %q, want %q", got, want)
	}
}

// Two appliances never share data, a socket or a port; the second says which it is, and the first
// goes on.
func TestSecondServe(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	for name, c := range map[string]struct {
		more []string
		says string
	}{
		"data":   {nil, "another appliance is running with the data in "},
		"socket": {[]string{"--data", t.TempDir()}, "another appliance already runs on "},
		"port":   {[]string{"--data", t.TempDir(), "--ssh", fmt.Sprintf("127.0.0.1:%d", a.Port)}, "the SSH address 127.0.0.1:"},
		"page":   {[]string{"--data", t.TempDir(), "--https", strings.TrimPrefix(a.URL(), "https://")}, "the HTTPS address 127.0.0.1:"},
	} {
		r := a.Serve(c.more...)
		if r.Status != 1 || !strings.Contains(r.Err, "diagsh serve: "+c.says) {
			t.Errorf("the same %s: %+v", name, r)
		}
	}
	if r := a.SSH("op", "whoami"); r.Status != 0 {
		t.Errorf("the first does not answer any more: %+v", r)
	}
}

// A configuration that is wrong is refused at the start, with file, line and setting.
func TestConfigurationErrors(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	for _, c := range []struct{ text, says string }{
		{"idleTimeout: soon\n", `line 1: "idleTimeout": it is a duration from 0s to 30d`},
		{"hostname: mx1\n\nlimits:\n  logins: many\n", `line 4: "limits.logins": it is a whole number from 1 to 100000`},
		{"hostname: mx 1\n", `line 1: "hostname": it is a host name`},
		{"hostname: a\nhostname: b\n", `line 2: "hostname": the setting is there twice`},
		{"idletimeout: 5m\n", `line 1: "idletimeout": there is no such setting; did you mean idleTimeout?`},
		{"# nothing\ncolour: red\n", `line 2: "colour": there is no such setting`},
		{"managementPorts: 22\n", `line 1: "managementPorts": it is a list of port numbers`},
		{"localUsers: [a]\n", `line 1: "localUsers": it has lines of the form`},
		{"captures:\n  defaultSize: 10\n", `line 2: "captures.defaultSize": it is a size from 1MB on`},
		{"just words\n", `line 1: settings are lines of the form "name: value"`},
		{"a: 1\nb: [\n", `line `},
		{"a: b: c\n", `line 1: `},
	} {
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := a.Serve("--data", t.TempDir(), "--socket", filepath.Join(t.TempDir(), "s"), "--config", path)
		if r.Status != 1 || !strings.HasPrefix(r.Err, "diagsh serve: "+path) || !strings.Contains(r.Err, c.says) || strings.Count(r.Err, "\n") != 1 {
			t.Errorf("%q is refused with status %d and:\n%swant: %s", c.text, r.Status, r.Err, c.says)
		}
	}
	if r := a.Serve("--config", "/nosuch.yaml", "--data", t.TempDir()); r.Status != 1 || !strings.Contains(r.Err, "/nosuch.yaml") {
		t.Errorf("a configuration that is not there: %+v", r)
	}
}

// The first start makes the user admin, whose password stands in a file until it has opened the
// door, and in nothing that is kept.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{Fresh: true})
	file := filepath.Join(a.Data, "first-password")
	if want := "The first password of admin is in " + file + " until the first login with it"; !strings.Contains(a.Said, want) {
		t.Errorf("the first start says:\n%s", a.Said)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of the first password: %v, %v", info, err)
	}
	password := strings.TrimSpace(string(text))
	if strings.Contains(a.Log()+a.Said, password) {
		t.Error("the first password stands in what the appliance prints")
	}
	term := a.TerminalOn(a.LoginPassword("admin", password), 100, 40)
	term.Reads("NOTE: Your password is the one of the first start. Change it with passwd.")
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("after the first login, the file of the password: %v", err)
	}
	term.Says(top, "passwd", "Old password> ")
	for _, answer := range []struct{ text, next string }{
		{password, "New password> "}, {"a better password", "The same again> "}, {"a better password", top},
	} {
		term.Type(answer.text + "\r")
		term.Prompted(answer.next)
	}
	if status := a.Stop(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	a.Restart()
	if strings.Contains(a.Said, "first password") {
		t.Errorf("the second start says:\n%s", a.Said)
	}
	again := a.TerminalOn(a.LoginPassword("admin", "a better password"), 100, 40)
	again.Prompted(top)
	if text := again.All(); strings.Contains(text, "Your password is") || !strings.Contains(text, "Last login: ") {
		t.Errorf("the second login shows:\n%s", text)
	}
}

func TestUnknownOptions(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"-x"}, "diagsh: Unknown option -x. diagsh --help lists the options.\n"},
		{[]string{"-c"}, "diagsh: -c needs a value. diagsh --help lists the options.\n"},
		{[]string{"serve", "-x"}, "diagsh: Unknown option -x. diagsh serve --help lists the options.\n"},
		{[]string{"serve", "--shell=perhaps"}, "diagsh: The value of an option is not valid. diagsh serve --help lists the options.\n"},
	} {
		if r := a.Exec("", appliance.Binary(t), c.args...); r.Status != 2 || r.Err != c.says || r.Out != "" {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
	if r := a.Exec("", appliance.Binary(t), "serve", "--help"); r.Status != 0 || !strings.Contains(r.Out, "--admin-key FILE") || r.Err != "" {
		t.Errorf("--help: %+v", r)
	}
}
