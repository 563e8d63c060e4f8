package commands_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
)

// A line takes the configuration from standard input, once, whatever follows it in the line.
func TestLoadconfigFromStandardInput(t *testing.T) {
	a := appliance.Start(t, appliance.Options{Network: netnstest.New(t)})
	program, args := netnstest.Tool(t, "ssh"), a.OpenSSH("admin")
	for _, c := range []struct {
		line, input, out, errs string
		status                 int
	}{
		{"loadconfig; showchanges", "# of the lab\nhostname: mx5\n", "hostname: mx5\n", "", 0},
		{"loadconfig; loadconfig; showchanges", "hostname: mx6\n", "hostname: mx5 -> mx6\n",
			"Nothing is given to load", 2},
		{"loadconfig from paste", "hostname: mx7\n", "hostname: mx6 -> mx7\n", "", 0},
		{"loadconfig", "hostname: mx8\nmtu: 5\n", "", "line 2: mtu", 2},
		{"loadconfig", strings.Repeat("#", 128<<10) + "\n", "", "What standard input has is longer than 128 KB", 2},
		{"loadconfig text 'hostname: mx9'", "hostname: mx10\n", "hostname: mx7 -> mx9\n", "", 0},
		{"loadconfig --json", "hostname: mx11\n", `{"setting":"hostname","before":"mx9","after":"mx11"}`, "", 0},
	} {
		r := a.Exec(c.input, program, append(args, c.line)...)
		if r.Status != c.status || !strings.Contains(r.Out, c.out) || !strings.Contains(r.Err, c.errs) ||
			c.errs == "" && r.Err != "" {
			t.Errorf("%s: %+v", c.line, r)
		}
	}
	// Of a script, the lines that follow are commands.
	if r := a.Exec("loadconfig\nwhoami\n", program, a.OpenSSH("admin", "-T")...); r.Status != 2 ||
		!strings.Contains(r.Out, "User:    admin") {
		t.Errorf("in a script: %+v", r)
	}
}

// A user who gives no input is told what the command waits for, and Ctrl-C ends it; a line that
// needs none does not wait.
func TestLoadconfigWaitsForItsInput(t *testing.T) {
	a := appliance.Start(t, appliance.Options{Network: netnstest.New(t)})
	client := a.Login("admin")
	for line, status := range map[string]int{"loadconfig": 130, "loadconfig nothing": 4,
		"loadconfig text 'hostname: mx2'": 0} {
		session, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		if _, err := session.StdinPipe(); err != nil { // it is neither written nor closed
			t.Fatal(err)
		}
		errs, err := session.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		late := time.AfterFunc(appliance.Patience, func() { session.Close() })
		defer late.Stop()
		if err := session.Start(line); err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		if status == 130 {
			hint := make([]byte, 200)
			n, _ := errs.Read(hint)
			said.Write(hint[:n])
			if !strings.Contains(said.String(), "Ctrl-D") {
				t.Errorf("%s waits and says %q", line, said.String())
			}
			if err := session.Signal(ssh.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
		said.ReadFrom(errs)
		got := 0
		if exit, failed := session.Wait().(*ssh.ExitError); failed {
			got = exit.ExitStatus()
		}
		if got != status {
			t.Errorf("%s: exit status %d, want %d: %s", line, got, status, said.String())
		}
	}
}
