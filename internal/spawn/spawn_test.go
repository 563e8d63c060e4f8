package spawn

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/internal/access"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
)

// The test binary is what it starts: the line of a program, or the behaviour of a front.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "front" {
		os.Exit(fakeFront(os.Args[2]))
	}
	if len(os.Args) == 2 && os.Args[1] == "session" {
		if os.Getenv("SSH_ORIGINAL_COMMAND") == "ignore" {
			signal.Ignore(unix.SIGHUP)
		}
		fmt.Println("here")
		switch os.Getenv("SSH_ORIGINAL_COMMAND") {
		case "wait":
			io.Copy(io.Discard, os.Stdin)
		case "stay", "ignore":
			io.ReadAll(os.NewFile(3, "appliance"))
		}
		os.Exit(7)
	}
	os.Exit(m.Run())
}

func start(t *testing.T, s *Spawner, program access.Program) *Process {
	t.Helper()
	theirs, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	defer theirs.Close()
	p, err := s.Start(program, theirs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.CloseFiles)
	return p
}

func heard(t *testing.T, p *Process) {
	t.Helper()
	out := p.Files()[len(p.Files())/2]
	line := make([]byte, 4)
	if _, err := io.ReadFull(out, line); err != nil || string(line) != "here" {
		t.Fatalf("it says %q, %v", line, err)
	}
}

func TestProgramsEnd(t *testing.T) {
	t.Parallel()
	s, err := New(Options{Grace: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	terminal := &access.Terminal{Size: access.WindowSize{Columns: 80, Rows: 24}}
	for what, c := range map[string]struct {
		line string
		end  func(*Process)
		want access.Ended
	}{
		"by itself":                {"", func(*Process) {}, access.Ended{Status: 7}},
		"by its input":             {"wait", func(p *Process) { p.Files()[0].Close() }, access.Ended{Status: 7}},
		"by a signal":              {"wait", func(p *Process) { p.Signal(access.SignalKill) }, access.Ended{Signal: "KILL"}},
		"hung up":                  {"stay", func(p *Process) { p.HangUp() }, access.Ended{Signal: "HUP"}},
		"hung up, on its terminal": {"stay", func(p *Process) { p.HangUp() }, access.Ended{Signal: "HUP"}},
	} {
		t.Run(what, func(t *testing.T) {
			program := access.Program{Kind: "exec", Line: []byte(c.line)}
			if strings.Contains(what, "terminal") {
				program.Terminal = terminal
			}
			p := start(t, s, program)
			heard(t, p)
			c.end(p)
			if e, err := p.Wait(); err != nil || e != c.want {
				t.Errorf("ended %+v, %v", e, err)
			}
			if err := p.Signal(access.SignalKill); err == nil {
				t.Error("what has ended was sent a signal")
			}
		})
	}
	if s.users != nil && len(s.users.taken) != 0 {
		t.Errorf("users are kept: %v", s.users.taken)
	}
}

// To wait for a process takes no thread. A thread that Go has started stays, so the count after the
// end tells how many there were.
func TestWaitTakesNoThread(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, s, access.Program{Kind: "exec", Line: []byte("wait")})
	heard(t, p)
	if fd, err := unix.PidfdOpen(p.cmd.Process.Pid, 0); err != nil {
		netnstest.Missing(t, "this kernel has no pidfd_open(2): "+err.Error())
	} else {
		unix.Close(fd)
	}
	const waiting = 100
	var all sync.WaitGroup
	begun := make(chan struct{})
	for range waiting {
		all.Go(func() {
			begun <- struct{}{}
			if err := awaitEnd(p.cmd.Process.Pid); err != nil {
				t.Error(err)
			}
		})
	}
	for range waiting {
		<-begun
	}
	p.Files()[0].Close()
	all.Wait()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil || len(threads) >= waiting/2 {
		t.Errorf("%d threads, %v", len(threads), err)
	}
	if e, err := p.Wait(); err != nil || e != (access.Ended{Status: 7}) {
		t.Errorf("ended %+v, %v", e, err)
	}
}

// A program that ignores the hang-up is killed after the grace.
func TestHangUpThatIsIgnored(t *testing.T) {
	t.Parallel()
	s, err := New(Options{Grace: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, s, access.Program{Kind: "exec", Line: []byte("ignore")})
	heard(t, p)
	p.HangUp()
	if e, err := p.Wait(); err != nil || e != (access.Ended{Signal: "KILL"}) {
		t.Errorf("ended %+v, %v", e, err)
	}
}

// Nothing is started that is no program of a login, and nothing is left of the try.
func TestWhatIsNoProgram(t *testing.T) {
	t.Parallel()
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	broken := &Spawner{command: []string{"/proc/self/exe/nothing"}, users: s.users}
	for what, program := range map[string]access.Program{
		"no kind":          {},
		"kind api":         {Kind: "api"},
		"shell and line":   {Kind: "shell", Line: []byte("x")},
		"zero byte":        {Kind: "exec", Line: []byte("a\x00b")},
		"long line":        {Kind: "exec", Line: make([]byte, access.MaxProgramLine+1)},
		"long modes":       {Kind: "shell", Terminal: &access.Terminal{Modes: make([]byte, access.MaxTerminalMode+1)}},
		"GODEBUG":          {Kind: "shell", Environment: map[string]string{"GODEBUG": "x"}},
		"SSH_ORIGINAL":     {Kind: "shell", Environment: map[string]string{"SSH_ORIGINAL_COMMAND": "x"}},
		"assignment":       {Kind: "shell", Environment: map[string]string{"LC_A=B": "x"}},
		"value with a NUL": {Kind: "shell", Environment: map[string]string{"LANG": "a\x00b"}},
	} {
		if p, err := s.Start(program, os.Stdin); err == nil {
			p.HangUp()
			t.Errorf("%s: started", what)
		}
	}
	if _, err := broken.Start(access.Program{Kind: "shell", Terminal: &access.Terminal{}}, os.Stdin); err == nil {
		t.Error("a program that is not there was started")
	}
	if s.users != nil && len(s.users.taken) != 0 {
		t.Errorf("users are kept: %v", s.users.taken)
	}
}

// fakeFront is a front that says what it is called for, and then does that.
func fakeFront(what string) int {
	slog.New(slog.NewJSONHandler(os.Stderr, nil)).Info("front", "user", os.Geteuid(), "does", what)
	control := os.NewFile(3, "control")
	switch what {
	case "dies":
		return 3
	case "closes": // its control connection, and stays
		control.Close()
		time.Sleep(time.Hour)
	}
	io.Copy(io.Discard, control) // until the appliance has gone
	return 0
}

// A fakeMonitor waits for the end of the control connection.
type fakeMonitor struct{ closed chan struct{} }

func (d fakeMonitor) Answer(_ context.Context, control *net.UnixConn) error {
	_, err := io.Copy(io.Discard, control)
	return err
}

func (d fakeMonitor) Close() { d.closed <- struct{}{} }

// lines is a log that tests can look at.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

func controlPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	f := os.NewFile(uintptr(fds[0]), "control")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, nil, err
	}
	return c.(*net.UnixConn), os.NewFile(uintptr(fds[1]), "control"), nil
}

func startFake(t *testing.T, does string) (*Front, *lines, fakeMonitor) {
	t.Helper()
	log, monitor := &lines{}, fakeMonitor{make(chan struct{}, 1000)}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	f := StartFront(FrontOptions{
		Listeners: []Listener{{does, null}}, Control: controlPair, Monitor: func() Monitor { return monitor }, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	return f, log, monitor
}

// A front runs until the appliance stops, and its monitor is closed.
func TestFrontEndsWithTheAppliance(t *testing.T) {
	t.Parallel()
	f, log, monitor := startFake(t, "serves")
	await.Until(t, "the front", func() bool { return log.count("does=serves") == 1 })
	if os.Geteuid() == 0 && log.count(fmt.Sprintf("user=%d ", FrontUser)) != 1 || os.Geteuid() != 0 && log.count("the appliance is not root") != 1 {
		t.Errorf("the log: %s", log.text.String())
	}
	f.Close()
	<-monitor.closed
	if log.count("ended") != 0 || log.count("does=serves") != 1 {
		t.Errorf("the log: %s", log.text.String())
	}
}

// One that dies at its start is started again after pauses that grow, and its desks are closed.
func TestFrontThatDies(t *testing.T) {
	t.Parallel()
	f, log, monitor := startFake(t, "dies")
	began := time.Now()
	await.Until(t, "the fifth front", func() bool { return log.count("does=dies") == 5 })
	if took := time.Since(began); took < 7*firstPause { // 0, 1, 2 and 4 of them
		t.Errorf("five fronts in %v", took)
	}
	f.Close()
	for range 5 {
		<-monitor.closed
	}
	for _, pause := range []string{"pause=0s", "pause=100ms", "pause=200ms", "pause=400ms"} {
		if log.count(pause+"\n") != 1 {
			t.Errorf("no %s in the log: %s", pause, log.text.String())
		}
	}
}

// One that closes its control connection is ended.
func TestFrontThatHangsUp(t *testing.T) {
	t.Parallel()
	f, log, monitor := startFake(t, "closes")
	defer f.Close()
	<-monitor.closed
	await.Until(t, "its end", func() bool { return log.count("signal: killed") > 0 })
}
