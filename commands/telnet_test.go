package commands_test

import (
	"io"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/crypto/ssh"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/slowness"
	"diagsh/internal/test/vt"
)

// talkers starts an appliance and servers: for mail at port 2530, for telnet at 2529, one that
// speaks after a while at 2531, and one that says nothing at 2526.
func talkers(t *testing.T) *appliance.Appliance {
	t.Helper()
	t.Parallel()
	network := netnstest.New(t)
	network.Serve(t, "127.0.0.1:2530", answer)
	network.Serve(t, "127.0.0.1:2529", negotiate)
	network.Serve(t, "127.0.0.1:2531", func(c net.Conn) {
		time.Sleep(1500 * time.Millisecond)
		io.WriteString(c, "220 late\r\n")
		io.Copy(io.Discard, c)
	})
	network.Serve(t, "127.0.0.1:2526", func(c net.Conn) { io.Copy(io.Discard, c) })
	return appliance.Start(t, appliance.Options{Network: network})
}

// At the menus a person talks line by line, sees what is answered above the line that is typed, and
// leaves in four ways. What the other side sends is shown and does nothing to the terminal.
func TestTelnetAtTheMenus(t *testing.T) {
	a := talkers(t)
	term := a.Terminal("op", 100, 50)
	const top = appliance.Host + "> "
	term.Prompted(top)
	term.Type("telnet 127.0.0.1 2530\r")
	term.Reads("Escape character is '^]'.")
	term.Reads("220 ready")
	term.Type("NOOP \u00e9\u001b[A\r") // an arrow key is one, and not sent
	term.Reads("\n250 NOOP \u00e9")
	term.Type("HALF") // a line begun is not sent
	term.Type("\x1d")
	term.Prompted(top)
	term.Wait("the end by the escape key",
		func(s *vt.Screen) bool { return strings.Contains(s.All(), "\nConnection closed.\n") })
	if all := term.Text(); strings.Contains(all, "250 HALF") {
		t.Errorf("half a line was sent:\n%s", all)
	}

	for _, c := range []struct{ name, line, seen, keys, last string }{
		{"Ctrl-C", "telnet 127.0.0.1 2530", "220 ready", "\x03", "Connection closed."},
		{"Ctrl-D", "telnet 127.0.0.1 2530", "220 ready", "\x04",
			"221 you have ended\nConnection closed by foreign host."},
		{"the other side", "telnet 127.0.0.1 2530", "220 ready", "QUIT\r",
			"221 bye\nConnection closed by foreign host."},
		{"a telnet server", "telnet 127.0.0.1 2529", "login:", "anna\r",
			"hello anna\nConnection closed by foreign host."},
		{"nothing yet", "telnet 127.0.0.1 2526 wait 1", "Nothing within 1s; it may still come.", "\x1d",
			"Connection closed."},
	} {
		row := 0
		term.Look(func(s *vt.Screen) { row = s.Row() })
		term.Type(c.line + "\r")
		since := func(s *vt.Screen) string { return strings.Join(s.Rows()[row:], "\n") }
		term.Wait(c.name+": "+c.seen, func(s *vt.Screen) bool { return strings.Contains(since(s), c.seen) })
		term.Type(c.keys)
		term.Wait(c.name+": the prompt", func(s *vt.Screen) bool {
			return s.Row() > row && s.Before() == top &&
				strings.HasSuffix(strings.TrimSpace(since(s)), c.last+"\n"+strings.TrimSpace(top))
		})
	}
	if got := term.Says(top, "hostname"); got != appliance.Host {
		t.Errorf("hostname says %q", got)
	}
}

var spoke = regexp.MustCompile(`It spoke after ([\d.]+) ms:\n`)

// conversation returns what a program that sends these lines sees, without times.
func conversation(text string) string {
	return regexp.MustCompile(`[\d.]+ ms`).ReplaceAllString(strings.ReplaceAll(text, "\r\n", "\n"), "N ms")
}

// Without a terminal the lines of standard input are sent: the first when the peer has spoken, each
// other when the one before is answered. So it is through SSH, and on the appliance itself.
func TestTelnetThroughAPipe(t *testing.T) {
	a := talkers(t)
	const lines = "EHLO me\nDATA\none\n\n.\nQUIT\n"
	const want = "Trying 127.0.0.1...\nConnected to 127.0.0.1 (N ms).\nIt spoke after N ms:\n220-mx\n220 ready\n-> " +
		"EHLO me\n250 EHLO me\n-> DATA\n354 go on\n-> one\n-> \n-> .\n250 2 lines\n-> QUIT\n221 bye\nConnection " +
		"closed by foreign host.\n"
	ours := a.Program()
	for name, r := range map[string]appliance.Result{
		"locally": a.Exec(lines, ours, "--socket", a.Socket, "-c", "telnet 127.0.0.1 2530"),
		"by SSH": a.Exec(lines, netnstest.Tool(t, "ssh"),
			append(a.OpenSSH("op", "-T"), "telnet 127.0.0.1 2530")...),
		"with CR LF": a.Exec(strings.ReplaceAll(lines, "\n", "\r\n"), ours, "--socket", a.Socket, "-c",
			"telnet 127.0.0.1 2530"),
		"the last open": a.Exec(strings.TrimSuffix(lines, "\n"), ours, "--socket", a.Socket, "-c",
			"telnet 127.0.0.1 2530"),
	} {
		if got := conversation(r.Out); r.Status != 0 || r.Err != "" || got != want {
			t.Errorf("%s: %d, %q, %s", name, r.Status, r.Err, got)
		}
	}
	// Who begins it and has nothing to say is told so, and need not close standard input.
	session, err := a.Login("op").NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if _, err := session.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	watch, began := slowness.Start(t), time.Now()
	out, err := session.Output("telnet 127.0.0.1 2530")
	if took := time.Since(began); err != nil || took > watch.Limit(15*time.Second) ||
		!strings.Contains(string(out), "220 ready\nNo line to send came within 3s") {
		t.Errorf("%v after %v: %s", err, took, out)
	}
}

// The banner is timed and waited for.
func TestTelnetTimesTheBanner(t *testing.T) {
	a := talkers(t)
	r := a.Local("telnet 127.0.0.1 2531")
	m := spoke.FindStringSubmatch(r.Out)
	if r.Status != 0 || m == nil || len(m[1]) < len("1500.000") || !strings.Contains(r.Out, "220 late\n") {
		t.Errorf("%+v", r)
	}
	if r := a.Local("telnet 127.0.0.1 2531 wait 1 --json"); r.Status != 0 ||
		!strings.Contains(r.Out, `"banner":"","closed":false`) {
		t.Errorf("a shorter wait: %+v", r)
	}
}

// `ssh -t HOST 'telnet …'` is a terminal too, without menus, and so is the appliance's own.
func TestTelnetOnATerminalWithoutMenus(t *testing.T) {
	a := talkers(t)
	client := a.Login("op")
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := session.RequestPty("xterm-256color", 24, 80, ssh.TerminalModes{ssh.ECHO: 1}); err != nil {
		t.Fatal(err)
	}
	keys, _ := session.StdinPipe()
	screen, _ := session.StdoutPipe()
	if err := session.Start("telnet 127.0.0.1 2530"); err != nil {
		t.Fatal(err)
	}
	talkAt(t, keys, screen)
	if err := session.Wait(); err != nil {
		t.Errorf("by SSH: %v", err)
	}

	cmd := exec.Command(a.Program(), "--socket", a.Socket, "-c", "telnet 127.0.0.1 2530")
	cmd.Env = append(cmd.Environ(), "TERM=xterm-256color")
	terminal, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	talkAt(t, terminal, terminal)
	if err := cmd.Wait(); err != nil {
		t.Errorf("locally: %v", err)
	}
}

// talkAt sends a line to the mail server on a terminal and leaves by the escape key.
func talkAt(t *testing.T, keys io.Writer, screen io.Reader) {
	t.Helper()
	watched := vt.Watch(screen, 80, 24)
	reads := func(text string) {
		t.Helper()
		shows := func(s *vt.Screen) bool { return strings.Contains(s.All(), text) }
		if err := watched.Until(appliance.Patience, shows); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	}
	reads("220 ready")
	io.WriteString(keys, "NOOP me\r")
	reads("250 NOOP me")
	io.WriteString(keys, "\x1d")
	reads("Connection closed.")
}
