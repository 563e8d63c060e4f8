package appliance_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/capture"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/vt"
)

// top is the prompt of the top menu.
const top = appliance.Host + "> "

// Thirty lines in one piece, typed by a script or pasted by a terminal that marks a paste: each is
// run, in its order, and none is lost.
func TestPasteOfThirtyLines(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	for name, paste := range map[string]func(string) string{
		"plain":     func(lines string) string { return lines },
		"bracketed": func(lines string) string { return "\x1b[200~" + lines + "\x1b[201~" },
	} {
		t.Run(name, func(t *testing.T) {
			term := a.Terminal("op", 80, 24)
			term.Prompted(top)
			var lines strings.Builder
			for n := 1; n <= 30; n++ {
				fmt.Fprintf(&lines, "nosuch%d\r", n)
			}
			term.Type(paste(lines.String()))
			var want []string
			for n := 1; n <= 30; n++ {
				want = append(want, fmt.Sprintf("%snosuch%d\n\"nosuch%d\" is not known here. Type ? or help to see what is.", top, n, n))
			}
			term.Reads(strings.Join(want, "\n") + "\n" + strings.TrimSpace(top))
		})
	}
}

// A whole dialogue typed ahead reaches the questions that it was meant for.
func TestTypingAhead(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	term := a.Terminal("op", 100, 60)
	term.Type("packetcapture setup\r33\ry\rlo\rCUSTOM\rport 53\r2m\ry\rwhoami\r")
	term.Reads("Filter:      port 53\nInterfaces:  lo\nLimits:      size 33MB, duration 2m\nManagement:  the packets of management sessions are kept\n" +
		top + "whoami\nUser:    op")
}

// OpenSSH's client without a terminal of its own reports a window of 0x0.
func TestScriptOnATerminal(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	r := a.Exec("whoami\nnosuch\nexit\n", netnstest.Tool(t, "ssh"), a.OpenSSH("op", "-tt")...)
	for _, want := range []string{top + "whoami\r\nUser:    op\r\n", "\"nosuch\" is not known here", top + "exit\r\n"} {
		if !strings.Contains(r.Out, want) {
			t.Errorf("%q is missing in:\n%s", want, r.Out)
		}
	}
	if r.Status != 0 {
		t.Errorf("exit status %d: %s", r.Status, r.Err)
	}
}

// Lines from a pipe without a terminal are run one after the other; the status is that of the first
// that failed.
func TestScriptWithoutATerminal(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	r := a.Exec("whoami\npacketcapture stop nosuch\n\nhelp whoami\nexit\nwho\n", netnstest.Tool(t, "ssh"), a.OpenSSH("op", "-T")...)
	if !strings.HasPrefix(r.Out, "User:    op\n") || !strings.Contains(r.Out, "WHOAMI - ") || strings.Contains(r.Out, "REMOTE HOST") {
		t.Errorf("standard output:\n%s", r.Out)
	}
	if r.Err != "diagsh: There is no capture \"nosuch\".\n" || r.Status != 4 {
		t.Errorf("standard error %q, status %d", r.Err, r.Status)
	}
}

func TestTinyWindow(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	term := a.Terminal("op", 10, 3)
	// More than three rows stop at the pager, also in a window that shows no more than a piece of
	// its words.
	term.Wait("the prompt", func(s *vt.Screen) bool { return strings.HasSuffix(s.Before(), top) })
	term.Type("whoami\r")
	term.Wait("a stop", func(s *vt.Screen) bool { return strings.HasPrefix(s.Before(), "-- more") })
	term.Type("G")
	term.Wait("the prompt again", func(s *vt.Screen) bool {
		return s.Before() == top && strings.Contains(strings.ReplaceAll(s.All(), "\n", ""), "operator")
	})
	term.Type("packetcapture list\r")
	term.Wait("the answer", func(s *vt.Screen) bool {
		return s.Before() == top && strings.Contains(strings.ReplaceAll(s.All(), "\n", ""), "There is no capture.")
	})
	term.Type("exit\r")
	if status := term.Ended(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

// A window that changes while a line is typed loses nothing of the line, and the next page fits the
// new window.
func TestResize(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	term := a.Terminal("op", 80, 24)
	term.Prompted(top)
	line := "packetcapture start name some-long-name interface lo filter 'port 5"
	term.Type(line)
	term.Wait("the line", func(s *vt.Screen) bool { return s.Before() == top+line })
	term.SetWindow(30, 8)
	term.Type("3'")
	term.Wait("the line's end in the small window", func(s *vt.Screen) bool { return strings.HasSuffix(s.Before(), "3'") })
	term.SetWindow(100, 40)
	term.Type("\r")
	term.Reads("Capture some-long-name started.")
	term.Prompted(top)
	term.SetWindow(80, 6)
	// The size goes another way than what is typed: a command's time is enough for it to arrive.
	if got := term.Says(top, "hostname"); got != appliance.Host {
		t.Errorf("hostname says %q", got)
	}
	term.Type("help\r")
	term.Wait("a stop in the sixth row", func(s *vt.Screen) bool {
		return strings.HasPrefix(s.Before(), "-- more --") && len(strings.Split(s.Text(), "\n")) == 6
	})
	term.Type("q")
	term.Prompted(top)
}

func TestPager(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	term := a.Terminal("op", 80, 10)
	stopped := func(s *vt.Screen) bool { return strings.HasPrefix(s.Before(), "-- more --") }
	term.Prompted(top)
	term.Type("help packetcapture start\r")
	term.Wait("the first stop", stopped)
	term.Type("/management sessions\r")
	term.Reads("... skipping")
	term.Reads("Keep the packets of management sessions too.")
	term.Wait("the stop behind what was sought", stopped)
	term.Type("q")
	term.Prompted(top)
	term.Type("help packetcapture start\r")
	term.Wait("a stop", stopped)
	term.Type("\x03")
	term.Prompted(top)
	if got := term.Says(top, "terminal pager off"); got != "The pager is off." {
		t.Errorf("got %q", got)
	}
	if got := term.Says(top, "help packetcapture start"); !strings.Contains(got, "PACKETCAPTURE > START") || !strings.Contains(got, "Keep the packets of management sessions too.") {
		t.Errorf("without the pager, help shows:\n%s", got)
	}
}

func TestWideCharacters(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	term := a.Terminal("admin", 40, 24)
	got := term.Says(top, "日本語 と e\u0301")
	if want := "\"日本語\" is not known here. Type ? or\nhelp to see what is."; got != want {
		t.Errorf("got %q", got)
	}
	term.Type("userconfig edit op fullname '田中さん'")
	term.Type(strings.Repeat("\x1b[D", 3) + "\x7f") // back over さん and the quote
	term.Type("\r")
	term.Reads("田さん")
}

// What one session starts, another sees and ends.
func TestTwoSessionsOneTable(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	op, admin := a.Terminal("op", 120, 60), a.Terminal("admin", 120, 60)
	op.Says(top, "packetcapture start shared interface lo")
	if got := admin.Says(top, "packetcapture list"); !strings.Contains(got, "shared") || !strings.Contains(got, "running") {
		t.Errorf("another session lists:\n%s", got)
	}
	if got := admin.Says(top, "diagnostic network tcpdump stop"); !strings.Contains(got, "stopped by user") {
		t.Errorf("another session's stop shows:\n%s", got)
	}
	if got := op.Says(top, "packetcapture", "[]> "); !strings.Contains(got, "none running; last: shared, stopped by user") {
		t.Errorf("the first session's menu shows:\n%s", got)
	}
	if got := admin.Says(top, "who"); strings.Count(got, "shell") != 2 {
		t.Errorf("who shows:\n%s", got)
	}
}

func TestIdleSessionLogsOut(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{Config: "idleTimeout: 1s\n"})
	for n, keys := range []string{"", "packetcapture\r", "half a li", "passwd\r"} {
		term := a.Terminal("op", 100, 40)
		term.Reads("NOTE: This session ends after 1 second without a key pressed.")
		term.Type(keys)
		if status := term.Ended(); status != 0 {
			t.Errorf("after %q the session ended with %d", keys, status)
		}
		if got := term.All(); !strings.HasSuffix(got, "No key was pressed for 1 second: logged out.") {
			t.Errorf("after %q the session ended with the words:\n%s", keys, got)
		}
		term.Close()
		a.WaitLogouts("op", n+1)
	}
}

// Whoever changes their password stays, and is told that their other logins end.
func TestPasswordChangeEndsOtherLogins(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	other, term := a.Terminal("op", 100, 40), a.Terminal("op", 100, 40)
	other.Prompted(top)
	term.Says(top, "passwd", "Old password> ")
	for _, answer := range []struct{ text, next string }{
		{"correct horse op", "New password> "}, {"a better password", "The same again> "}, {"a better password", top},
	} {
		term.Type(answer.text + "\r")
		term.Prompted(answer.next)
	}
	term.Reads("The password of op is changed.\n1 other login of op was ended.\n" + strings.TrimSpace(top))
	other.Ended()
	term.Type("whoami\r")
	term.Reads("User:    op\n")
}

// Many sessions wait at their prompts for every one that does something. Some are begun, since they
// share the program's own pages.
func TestIdleSessionsAreSmall(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	const count = 12
	for n := range count {
		a.Terminal([]string{"op", "ro", "admin"}[n%3], 100, 40).Prompted(top)
	}
	sessions := a.Sessions()
	if len(sessions) != count {
		t.Fatalf("the session processes are %v", sessions)
	}
	for _, pid := range sessions {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "\nPss:")
		var kilobytes int
		if _, err := fmt.Sscanf(rest, "%d kB", &kilobytes); err != nil {
			t.Fatalf("%v in:\n%s", err, text)
		}
		if kilobytes >= 5<<10 {
			t.Errorf("an idle session costs %d kB, of which 5120 are the most (proportional set size):\n%s", kilobytes, text)
		}
	}
}

// Captures belong to the appliance: neither the end of a session's process nor a hang-up touches
// them.
func TestCapturesOutliveSessions(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	running := func() {
		t.Helper()
		if r := a.Local("packetcapture status outlives --json"); !strings.Contains(r.Out, `"state":"Running"`) {
			t.Errorf("the capture does not run any more: %+v", r)
		}
	}
	term := a.Terminal("op", 100, 40)
	term.Says(top, "packetcapture start outlives interface lo", top)
	for _, pid := range a.Sessions() {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	select {
	case <-term.Gone():
	case <-time.After(appliance.Patience):
		t.Fatal("the terminal lives on without its process")
	}
	running()

	term = a.Terminal("op", 100, 40)
	term.Prompted(top) // an appliance whose session process was killed has others
	gone := a.Logouts("op")
	term.Type("packetcapture\r")
	term.Close()
	a.WaitLogouts("op", gone+1)
	running()
	await.Until(t, "the end of the session processes", func() bool { return len(a.Sessions()) == 0 })
}

// Arrow-up brings back what was typed in earlier logins, and nowhere is anything that was secret.
func TestHistoryOverLogins(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	const secret = "unspoken staple"
	term := a.Terminal("admin", 100, 40)
	term.Says(top, "whoami")
	term.Says(top, "userconfig password op password '"+secret+"'")
	// A line that is not understood holds its secret all the same.
	term.Says(top, "userconfig password op pasword '"+secret+"'")
	term.Says(top, "passwd", "Old password> ")
	term.Type(secret + "\r")
	term.Wait("the next question", func(s *vt.Screen) bool { return s.Before() == "New password> " })
	term.Type("\x03")
	term.Says(top, "version")
	term.Type("exit\r")
	term.Ended()

	term = a.Terminal("admin", 100, 40)
	term.Prompted(top)
	for _, line := range []string{"version", "passwd", "whoami"} {
		term.Type("\x1b[A")
		term.Wait("the line "+line, func(s *vt.Screen) bool { return s.Before() == top+line })
	}
	if other := a.Terminal("op", 100, 40); true {
		other.Prompted(top)
		other.Type("\x1b[A")
		if got := other.Says(top, "whoami"); !strings.Contains(got, "operator") {
			t.Errorf("somebody else's history is offered:\n%s", other.All())
		}
	}
	a.Stop()
	err := filepath.WalkDir(a.Data, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), secret) {
			t.Errorf("%s holds a password", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(a.Log(), secret) {
		t.Error("the appliance's log holds a password")
	}
}

// Exit statuses that need more than one line to be reached.
func TestStatusOfSeveral(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	for line, want := range map[string]int{
		"whoami":                              0,
		"whoami; packetcapture stop":          5,
		"packetcapture stop nosuch; passwd":   4,
		"packetcapture stop; whoami":          5,
		"userconfig list; whoami":             3,
		"whoami; 'open":                       2,
		"packetcapture start x interface lo0": 2,
	} {
		if r := a.SSH("op", line); r.Status != want {
			t.Errorf("%q ends with %s, want %d: %+v", line, strconv.Itoa(r.Status), want, r)
		}
	}
}

// Ctrl-C ends what runs and leaves the session at the top; for a line, the signal does the same,
// with exit status 130.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	term := a.Terminal("op", 120, 40)
	term.Prompted(top)
	term.Type("netstat traffic every 1\r")
	term.Reads("(Total)")
	term.Type("\x03")
	term.Prompted(top)
	if got := term.Says(top, "whoami"); !strings.Contains(got, "operator") {
		t.Errorf("after Ctrl-C, whoami shows:\n%s", got)
	}

	session, out := a.Stream("op", "netstat traffic every 1")
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := session.Signal(ssh.SIGINT); err != nil {
		t.Fatal(err)
	}
	var exit *ssh.ExitError
	if err := session.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 130 {
		t.Errorf("an interrupted line ends with %v", err)
	}
}

// A capture that goes while it is chosen is refused. The one that is left is not taken for it.
func TestChoiceThatGoesMeanwhile(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	mustRun(t, a, "packetcapture start chosen interfaces lo; packetcapture start other interfaces lo")
	term := a.Terminal("op", 100, 24)
	term.Type("packetcapture stop\r")
	term.Prompted("[]> ")
	mustRun(t, a, "packetcapture stop chosen; packetcapture delete chosen confirm yes")
	term.Type("chosen\r")
	term.Reads("chosen\nThere is no capture \"chosen\".\n" + strings.TrimSpace(top))
	if s := statusOf(t, a, "other"); s.State != capture.Running {
		t.Errorf("the other capture is %s", s.State)
	}
}
