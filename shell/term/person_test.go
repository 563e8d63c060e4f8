package term

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"diagsh/internal/test/vt"
)

// childEnv names the scene that this test binary plays on its controlling terminal instead of
// running tests, idleEnv its Options.Idle.
const (
	childEnv = "DIAGSH_TERM_SCENE"
	idleEnv  = "DIAGSH_TERM_IDLE"
)

func TestMain(m *testing.M) {
	name := os.Getenv(childEnv)
	if name == "" {
		os.Exit(m.Run())
	}
	scene, ok := scenes[name]
	if !ok {
		fmt.Fprintln(os.Stderr, "no scene", name)
		os.Exit(2)
	}
	idle, _ := time.ParseDuration(os.Getenv(idleEnv))
	t, err := Open(Options{Idle: idle, Dumb: Dumb(os.Getenv("TERM"))})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	scene(t)
	if err := t.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

// A person uses a terminal on which a scene is played.
type person struct {
	t      testing.TB
	cmd    *exec.Cmd
	master *os.File

	mu      sync.Mutex
	screen  *vt.Screen
	raw     []byte
	changed chan struct{} // closed and replaced when something is shown
	gone    chan struct{} // closed when the terminal ends
}

// patience is only used up by a test that fails.
const patience = 10 * time.Second

// sit starts a scene in a window of the given size. As under a server, the terminal is without echo
// from the start; otherwise what is typed before the child takes over would show twice.
func sit(t testing.TB, scene string, width, height int, env ...string) *person {
	t.Helper()
	return sitBefore(t, scene, width, height, sessionMode, env...)
}

// sitBefore is sit with a terminal that starts in another mode.
func sitBefore(t testing.TB, scene string, width, height int, mode func(unix.Termios) unix.Termios,
	env ...string) *person {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{childEnv + "=" + scene, "TERM=xterm", "GOMAXPROCS=1"}, env...)
	master := start(t, cmd, width, height, mode)
	if width == 0 {
		width, height = 80, 24
	}
	p := &person{
		t: t, cmd: cmd, master: master, screen: vt.New(width, height),
		changed: make(chan struct{}), gone: make(chan struct{}),
	}
	go p.watch()
	t.Cleanup(func() {
		master.Close()
		cmd.Process.Kill()
		cmd.Wait()
		<-p.gone
		if len(p.screen.Strange()) > 0 {
			t.Errorf("sequences that drive a terminal: %s", p.screen.Strange())
		}
	})
	return p
}

// start runs cmd as a login of its own on a new terminal and returns the other end.
func start(t testing.TB, cmd *exec.Cmd, width, height int, mode func(unix.Termios) unix.Termios) *os.File {
	t.Helper()
	blocking, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	defer blocking.Close()
	found, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	set := mode(*found)
	if err := unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, &set); err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(slave, &pty.Winsize{Cols: uint16(width), Rows: uint16(height)}); err != nil {
		t.Fatal(err)
	}
	// Non-blocking, so that Close ends a Read, like a client that goes away.
	master, err := unix.Dup(int(blocking.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	unix.CloseOnExec(master)
	if err := unix.SetNonblock(master, true); err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(master), "pty master")
}

func (p *person) watch() {
	defer close(p.gone)
	buf := make([]byte, 32<<10)
	for {
		n, err := p.master.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.raw = append(p.raw, buf[:n]...)
		p.screen.Write(buf[:n])
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
	}
}

// types sends all keys in one write.
func (p *person) types(keys string) {
	p.t.Helper()
	if _, err := p.master.WriteString(keys); err != nil {
		p.t.Fatalf("type %q: %v", keys, err)
	}
}

// until waits for a state of the screen.
func (p *person) until(what string, ok func(*vt.Screen) bool) {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		p.mu.Lock()
		done, changed := ok(p.screen), p.changed
		p.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-p.gone:
			p.mu.Lock()
			done := ok(p.screen)
			p.mu.Unlock()
			if done {
				return
			}
			p.t.Fatalf("the terminal ended before %s; it shows:\n%s", what, p.frame())
		case <-deadline:
			p.t.Fatalf("never saw %s; the screen shows:\n%s\nraw end: %q", what, p.frame(), p.tail())
		}
	}
}

// sees waits until the window shows exactly this, with the cursor marked by |.
func (p *person) sees(want string) {
	p.t.Helper()
	p.until(fmt.Sprintf("%q", want), func(v *vt.Screen) bool { return v.Marked() == want })
}

// reads waits until the text is somewhere on the screen or has scrolled away.
func (p *person) reads(text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("%q", text), func(v *vt.Screen) bool { return strings.Contains(v.All(), text) })
}

// endsWith waits until the window's text ends with this, with the cursor marked by |.
func (p *person) endsWith(text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("%q at the end", text), func(v *vt.Screen) bool { return strings.HasSuffix(v.Marked(), text) })
}

// signals sends a signal to the scene.
func (p *person) signals(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *person) resize(width, height int) {
	p.t.Helper()
	p.mu.Lock()
	p.screen.Resize(width, height)
	p.mu.Unlock()
	p.control(func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(width), Row: uint16(height)})
	})
}

// mode returns the terminal's current mode.
func (p *person) mode() (mode unix.Termios) {
	p.t.Helper()
	p.control(func(fd int) error {
		m, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			mode = *m
		}
		return err
	})
	return mode
}

// control uses the descriptor of the master; Fd would make it blocking.
func (p *person) control(do func(fd int) error) {
	p.t.Helper()
	conn, err := p.master.SyscallConn()
	if err == nil {
		if e := conn.Control(func(fd uintptr) { err = do(int(fd)) }); e != nil {
			err = e
		}
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// leaves waits for the end of the scene.
func (p *person) leaves() {
	p.t.Helper()
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			p.t.Fatalf("the scene ended with %v; the screen shows:\n%s", err, p.frame())
		}
	case <-time.After(patience):
		p.t.Fatalf("the scene did not end; the screen shows:\n%s", p.frame())
	}
}

func (p *person) frame() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.screen.Marked()
}

func (p *person) tail() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.raw[max(0, len(p.raw)-300):]
}
