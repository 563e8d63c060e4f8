package automation_test

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
)

// What a program reads of a line, of lines on standard input, and of a terminal without abilities.
func TestWhatProgramsRead(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{})

	// A line of nothing but white space of any kind does nothing, alone and among others; exit ends
	// the input however it is written.
	for _, line := range []string{"\u00a0", "\u2028;\u3000", "\v\f", "\u0085"} {
		if r := a.SSH("op", line); r.Status != 0 || r.Out+r.Err != "" {
			t.Errorf("%q: %+v", line, r)
		}
	}
	for _, exit := range []string{"exit", "exit ", "EXIT", "\u00a0Quit\t", "whoami; exit"} {
		session, err := a.Login("op").NewSession()
		if err != nil {
			t.Fatal(err)
		}
		session.Stdin = strings.NewReader("whoami\n\u00a0\n \t\nhostname\n" + exit + "\nversion\n")
		var out, errs bytes.Buffer
		session.Stdout, session.Stderr = &out, &errs
		if err := session.Shell(); err != nil {
			t.Fatal(err)
		}
		if err := session.Wait(); err != nil || !strings.Contains(out.String(), "\nmx1\n") || strings.Contains(out.String(), "Kernel") {
			t.Errorf("%q on standard input: %v\n%s", exit, err, out.String()+errs.String())
		}
	}

	d := dial(t, a, "dumb")
	long := `filter explain "tcp port 25 and host 192.0.2.1 and host 192.0.2.2 and not port 443 and not port 8443 and not port 993"`
	for _, line := range []string{"help", long, "terminal width 511", "netstat interfaces ALL", "netstat traffic every 1 interface lo count 1", "nosuch"} {
		said := d.says(line)
		if !strings.HasPrefix(said, line+"\n") {
			t.Errorf("%s: the echo is %q", line, said[:min(len(said), 200)])
		}
	}
	if raw := strings.ReplaceAll(d.all(), "\r\n", "\n"); strings.ContainsAny(raw, "\x1b\r\b\a") || strings.Contains(raw, "-- more --") {
		t.Errorf("a terminal without abilities got %q", raw)
	}

	// Any other terminal gets a long line's echo as it was typed too, and no stops when told so.
	x := dial(t, a, "xterm")
	x.says("terminal length 0")
	if said := x.says(long); !strings.HasPrefix(said, long+"\n") {
		t.Errorf("the echo of a long line is %q", said[:min(len(said), 200)])
	}
	if said := x.says("help packetcapture start"); strings.Contains(said, "-- more --") {
		t.Errorf("the pager stops though its length is 0:\n%s", said)
	}
}

// A session on a terminal whose bytes are read as they come.
type raw struct {
	t    *testing.T
	keys io.Writer
	mu   sync.Mutex
	read []byte
	seen int
}

func dial(t *testing.T, a *appliance.Appliance, terminal string) *raw {
	t.Helper()
	session, err := a.Login("op").NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	if err := session.RequestPty(terminal, 24, 80, ssh.TerminalModes{}); err != nil {
		t.Fatal(err)
	}
	r := &raw{t: t}
	r.keys, _ = session.StdinPipe()
	session.Stdout = r
	if err := session.Shell(); err != nil {
		t.Fatal(err)
	}
	r.prompt()
	return r
}

func (r *raw) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read = append(r.read, p...)
	return len(p), nil
}

func (r *raw) all() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return string(r.read)
}

// prompt waits for the next top prompt and returns what came before it, with plain line feeds.
func (r *raw) prompt() string {
	r.t.Helper()
	came := ""
	if !await.Within(await.Patience, func() bool {
		came = r.all()[r.seen:]
		return strings.HasSuffix(came, "\nmx1> ")
	}) {
		r.t.Fatalf("no prompt came; what came is %q", came)
	}
	r.seen += len(came)
	return strings.ReplaceAll(came, "\r\n", "\n")
}

// says types a line and returns its echo and the answer.
func (r *raw) says(line string) string {
	r.t.Helper()
	io.WriteString(r.keys, line+"\r")
	return r.prompt()
}
