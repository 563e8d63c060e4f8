// Package appliance is the test bench for the whole: it starts the real program as an appliance in
// a folder of its own, with an account for every role, and acts on it in the ways that people and
// programs have.
package appliance

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/test/await"
	"diagsh/internal/test/disktest"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/vt"
)

// Patience is how long a bench waits for what should come. It is only ever used up by a test that
// fails.
const Patience = await.Patience

// Host is the appliance's name, in its prompt and in the names of its files.
const Host = "mx1"

// Options are what an appliance is started with.
type Options struct {
	// Config are lines of the configuration file beside those of the bench.
	Config string
	// Network is where the appliance runs; nil is where the test runs.
	Network *netnstest.Namespace
	// Files are what the appliance finds at paths of this machine, such as /etc/resolv.conf,
	// instead of what stands there.
	Files map[string]string
	// Disk mounts a disk over the data folder, which nothing else is on; nil is the disk of the
	// test.
	Disk func(path string) *disktest.Disk
	// Bus is the address of the message bus where systemd answers; without it none does, whatever
	// the machine has: the tests restart nothing of it.
	Bus string
	// Found fills the data folder before the first start, which then makes no accounts; nil is a
	// folder with those of the bench.
	Found func(data string)
	// Fresh starts with nothing: no account but admin, whose password only the first start tells.
	Fresh bool
	// Program is the program to run; without it, the one that these sources make.
	Program string
	// User is the user that runs it, with the capabilities that it cannot do without; 0 is root.
	User int
	// Under is a program, with its arguments, that becomes the appliance, such as setpriv(1).
	Under []string
	// Console starts it on a terminal, with the menus there.
	Console bool
	// SSHOnly starts it without HTTPS, for what shows each port that it listens on.
	SSHOnly bool
}

// An Appliance is a running one.
type Appliance struct {
	t       testing.TB
	options Options
	dir     string

	Data   string         // the folder that it keeps everything in
	Disk   *disktest.Disk // that this is on; nil without Options.Disk
	Socket string         // its own socket
	Port   int            // where SSH listens, on 127.0.0.1
	Said   string         // what it printed when it started

	Console *Console // the terminal that it was started on; nil without Options.Console

	process *exec.Cmd
	ended   chan struct{} // closed when the process is reaped

	mu      sync.Mutex
	clients map[string]*ssh.Client
	outside []net.Conn
}

// Start starts an appliance that ends with the test, and waits until it answers.
func Start(t testing.TB, o Options) *Appliance {
	t.Helper()
	a := prepare(t, o)
	switch {
	case o.Found != nil:
		o.Found(a.Data)
	case !o.Fresh:
		for name, content := range mould(t) {
			write(t, filepath.Join(a.Data, name), content)
		}
	}
	if o.User != 0 {
		a.giveTo(o.User)
	}
	a.start()
	return a
}

// prepare makes the folder of an appliance.
func prepare(t testing.TB, o Options) *Appliance {
	t.Helper()
	netnstest.NeedsRoot(t, "an appliance that captures packets and gives every session a user of its own")
	// Short, because the name of a socket has at most 107 bytes; open, because users of other
	// numbers must reach the socket.
	dir, err := os.MkdirTemp("", "diagsh-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	a := &Appliance{t: t, options: o, dir: dir, Data: filepath.Join(dir, "data"), Socket: filepath.Join(dir, "api.sock"), clients: map[string]*ssh.Client{}}
	// A process is called as the file that was executed, and commands that list processes show
	// that.
	program := o.Program
	if program == "" {
		program = Binary(t)
	}
	if err := os.Symlink(program, a.Program()); err != nil {
		t.Fatal(err)
	}
	if o.Disk != nil {
		if err := os.Mkdir(a.Data, 0o711); err != nil {
			t.Fatal(err)
		}
		a.Disk = o.Disk(a.Data)
	}
	write(t, filepath.Join(dir, "config.yaml"), []byte("hostname: "+Host+"\n"+localUsers()+o.Config))
	write(t, filepath.Join(dir, "admin.pub"), ssh.MarshalAuthorizedKey(Key("admin").PublicKey()))
	t.Cleanup(a.end)
	return a
}

// giveTo makes a user the owner of everything that the appliance has, and of the appliance.
func (a *Appliance) giveTo(user int) {
	a.t.Helper()
	err := filepath.WalkDir(a.dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, user, user)
	})
	if err != nil {
		a.t.Fatal(err)
	}
	id := strconv.Itoa(user)
	a.options.Under = append([]string{netnstest.Tool(a.t, "setpriv"), "--reuid", id, "--regid", id, "--clear-groups",
		"--inh-caps", "+net_raw,+net_admin", "--ambient-caps", "+net_raw,+net_admin", "--"}, a.options.Under...)
}

// Program is the path of the appliance's own diagsh, under its own name.
func (a *Appliance) Program() string { return filepath.Join(a.dir, "diagsh") }

func write(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// arguments of diagsh serve.
func (a *Appliance) arguments() []string {
	https := "127.0.0.1:0"
	if a.options.SSHOnly {
		https = "off"
	}
	return []string{"serve", "--data", a.Data, "--socket", a.Socket, "--ssh", "127.0.0.1:0", "--https", https,
		"--config", filepath.Join(a.dir, "config.yaml"), "--admin-key", filepath.Join(a.dir, "admin.pub")}
}

var portSaid = regexp.MustCompile(`ssh -p (\d+) `)

// start runs diagsh serve and waits until it reports itself ready, as it does to systemd
// (sd_notify(3)).
func (a *Appliance) start() {
	a.t.Helper()
	notify := filepath.Join(a.dir, "notify.sock")
	os.Remove(notify)
	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		a.t.Fatal(err)
	}
	defer ready.Close()
	if err := os.Chmod(notify, 0o777); err != nil { // whoever the appliance runs as
		a.t.Fatal(err)
	}

	cmd := a.command()
	bus := cmp.Or(a.options.Bus, "unix:path="+filepath.Join(a.dir, "no-bus"))
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify, "DBUS_SYSTEM_BUS_ADDRESS="+bus)
	said := a.output("said")
	cmd.Stdout, cmd.Stderr = said, a.output("log")
	if a.options.Console {
		cmd.Args = append(cmd.Args, "--shell")
		cmd.Env = append(cmd.Env, "TERM=xterm")
		a.Console = onConsole(a.t, cmd)
	}
	if err := a.Launch(cmd); err != nil {
		a.t.Fatal(err)
	}
	a.process, a.ended = cmd, make(chan struct{})
	go func(ended chan struct{}) {
		cmd.Wait()
		close(ended)
		ready.SetReadDeadline(time.Unix(1, 0)) // nobody will report any more
	}(a.ended)

	ready.SetReadDeadline(time.Now().Add(Patience))
	var message [256]byte
	n, err := ready.Read(message[:])
	if err != nil || !strings.Contains(string(message[:n]), "READY=1") {
		a.t.Fatalf("the appliance did not become ready (%v, %q)\n%s", err, message[:n], a.Log())
	}
	text, err := os.ReadFile(said.Name())
	if err != nil {
		a.t.Fatal(err)
	}
	if a.Console != nil {
		a.Console.Wait("the first prompt", func(s *vt.Screen) bool { return s.Before() == Host+"> " })
		text = []byte(a.Console.All())
	}
	a.mu.Lock()
	a.Said = string(text)
	a.mu.Unlock()
	m := portSaid.FindStringSubmatch(a.Said)
	if m == nil {
		a.t.Fatalf("the appliance did not say how to log in: %q", a.Said)
	}
	fmt.Sscan(m[1], &a.Port)
}

// command is diagsh serve, in a mount namespace of its own if it is to find other files.
func (a *Appliance) command() *exec.Cmd {
	a.t.Helper()
	words := slices.Concat(a.options.Under, []string{a.Program()}, a.arguments())
	if len(a.options.Files) == 0 {
		return exec.Command(words[0], words[1:]...)
	}
	script := ""
	for path, content := range a.options.Files {
		ours := filepath.Join(a.dir, "files", path)
		write(a.t, ours, []byte(content))
		os.Chmod(ours, 0o644)
		script += fmt.Sprintf("mount --bind '%s' '%s' && ", ours, path)
	}
	return exec.Command("unshare", append([]string{"--mount", "sh", "-c", script + `exec "$@"`, "sh"}, words...)...)
}

// output is a fresh file for a stream of the process.
func (a *Appliance) output(name string) *os.File {
	a.t.Helper()
	f, err := os.Create(filepath.Join(a.dir, name))
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { f.Close() })
	return f
}

// Log is the appliance's own log since it was started last.
func (a *Appliance) Log() string {
	text, _ := os.ReadFile(filepath.Join(a.dir, "log"))
	return string(text)
}

// enter does something where the appliance runs.
func (a *Appliance) enter(do func()) {
	a.t.Helper()
	if a.options.Network == nil {
		do()
		return
	}
	a.options.Network.Do(a.t, do)
}

// Alive reports whether the process runs.
func (a *Appliance) Alive() bool {
	select {
	case <-a.ended:
		return false
	default:
		return true
	}
}

// Kill is kill -9, as when the power goes.
func (a *Appliance) Kill() {
	a.t.Helper()
	a.process.Process.Kill()
	a.wait()
}

// Stop is systemctl stop: SIGTERM, and a wait for the end. It returns the exit status.
func (a *Appliance) Stop() int {
	a.t.Helper()
	a.process.Process.Signal(syscall.SIGTERM)
	a.wait()
	return a.process.ProcessState.ExitCode()
}

// Restart starts it again after Kill or Stop, on another port.
func (a *Appliance) Restart() {
	a.t.Helper()
	a.start()
}

// wait waits for the end of the process and drops the connections to it.
func (a *Appliance) wait() {
	a.t.Helper()
	select {
	case <-a.ended:
	case <-time.After(2 * Patience):
		a.process.Process.Kill()
		a.t.Errorf("the appliance did not end\n%s", a.Log())
		<-a.ended
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.clients {
		c.Close()
	}
	clear(a.clients)
}

// end is the end of the test.
func (a *Appliance) end() {
	if a.process == nil {
		return
	}
	if a.Alive() {
		a.Stop()
	}
	if a.t.Failed() {
		a.t.Logf("the appliance's log:\n%s", a.Log())
	}
	for _, word := range []string{"panic", "DATA RACE"} {
		if strings.Contains(a.Log(), word) {
			a.t.Errorf("%s:\n%s", word, a.Log())
		}
	}
}

// A Result is what a program said and how it ended.
type Result struct {
	Out    string
	Err    string
	Status int
}

// Local is `diagsh -c LINE` as the user of this process, who is an administrator.
func (a *Appliance) Local(line string) Result {
	a.t.Helper()
	return a.Exec("", a.Program(), "--socket", a.Socket, "-c", line)
}

// Serve tries to start a second appliance with the same folder, configuration and socket; it is to
// fail.
func (a *Appliance) Serve(more ...string) Result {
	a.t.Helper()
	return a.Exec("", a.Program(), append(a.arguments(), more...)...)
}

// Launch starts a program where the appliance runs.
func (a *Appliance) Launch(cmd *exec.Cmd) (err error) {
	a.t.Helper()
	a.enter(func() { err = cmd.Start() })
	return err
}

// Exec runs a program where the appliance runs.
func (a *Appliance) Exec(stdin, program string, args ...string) Result {
	a.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = a.dir
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := a.Launch(cmd); err != nil {
		a.t.Fatal(err)
	}
	late := time.AfterFunc(2*Patience, func() { cmd.Process.Kill() })
	defer late.Stop()
	cmd.Wait()
	return Result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}
