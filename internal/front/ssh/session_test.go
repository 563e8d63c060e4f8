package ssh

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"diagsh/internal/menu"
	"diagsh/internal/spawn"
	"diagsh/internal/test/await"
)

// output runs a command line through a Go client.
func (r *rig) output(c *ssh.Client, line string, prepare func(*ssh.Session)) string {
	r.t.Helper()
	s := r.session(c)
	if prepare != nil {
		prepare(s)
	}
	out, err := s.Output(line)
	if err != nil {
		r.t.Errorf("%s: %v", line, err)
	}
	return string(out)
}

func TestSessionProcessIsConfined(t *testing.T) {
	// As a server inherits it whose parent left something open.
	null, err := os.Open(os.DevNull)
	check(t, err)
	defer null.Close()
	inherited, err := unix.FcntlInt(null.Fd(), unix.F_DUPFD, 100)
	check(t, err)
	defer unix.Close(inherited)
	r := newRig(t, Limits{})
	t.Setenv("DIAGSH_TEST", "a variable of the server")
	c := r.dial()
	environment := r.output(c, "environment", func(s *ssh.Session) {
		for name, want := range map[string]bool{
			"LANG=de_DE.UTF-8": true, "LC_ALL=C": true, "LC_CTYPE=x y": false, "LC_=C": false, "LANG=../../etc": false,
			"PATH=/tmp": false, "LD_PRELOAD=x": false, "GODEBUG=x": false, "LC_TIME=" + strings.Repeat("x", 65): false, "SSH_ORIGINAL_COMMAND=x": false,
		} {
			name, value, _ := strings.Cut(name, "=")
			if err := s.Setenv(name, value); (err == nil) != want {
				t.Errorf("env %s=%s: %v", name, value, err)
			}
		}
	})
	want := "GOMAXPROCS=1\nGOMEMLIMIT=32MiB\nLANG=de_DE.UTF-8\nLC_ALL=C\nSSH_ORIGINAL_COMMAND=environment\n"
	if environment != want {
		t.Errorf("environment:\n%s", environment)
	}
	if got := r.output(c, "arguments", nil); got != `"diagsh\x00session\x00"`+"\n" {
		t.Errorf("arguments: %s", got)
	}
	for line := range strings.Lines(r.output(c, "descriptors", nil)) {
		text, target, _ := strings.Cut(strings.TrimSpace(line), " ")
		number, err := strconv.Atoi(text)
		check(t, err)
		// What the runtime itself opens is none of the server's.
		if number > 3 && !strings.HasPrefix(target, "/sys/fs/cgroup/") && !strings.HasPrefix(target, "anon_inode:") &&
			!strings.HasPrefix(target, "/proc/") && target != "" {
			t.Errorf("descriptor %d was inherited: %s", number, target)
		}
	}
	status := r.output(c, "status", nil)
	contains(t, "status", status, "NoNewPrivs:\t1\n", "CapAmb:\t0000000000000000\n")
	if os.Geteuid() != 0 {
		return
	}
	contains(t, "status", status, "CapEff:\t0000000000000000\n", "CapPrm:\t0000000000000000\n", "Groups:\t \n")

	// Two sessions at a time never have the same user.
	var users [2]string
	var sessions sync.WaitGroup
	for i := range users {
		sessions.Go(func() {
			for line := range strings.Lines(r.output(r.dial(), "status", nil)) {
				if strings.HasPrefix(line, "Uid:") {
					users[i] = line
				}
			}
		})
	}
	sessions.Wait()
	var user int
	if _, err := fmt.Sscanf(users[0], "Uid: %d", &user); err != nil || user < spawn.FirstUser || user > spawn.LastUser {
		t.Errorf("user %d (%v)", user, err)
	}
	if users[0] == users[1] {
		t.Errorf("two sessions are the same user: %s", users[0])
	}
}

func TestTerminal(t *testing.T) {
	r := newRig(t, Limits{})
	c := r.dial()
	modes := ssh.TerminalModes{ssh.VERASE: 8, ssh.ECHO: 0, ssh.ONLCR: 0, ssh.TTY_OP_ISPEED: 38400}
	got := r.output(c, "terminal", func(s *ssh.Session) { check(t, s.RequestPty("xterm", 43, 132, modes)) })
	if want := "132x43 erase=8 echo=false onlcr=false mode=-rw------- owner=true\n"; got != want {
		t.Errorf("terminal:\n got %s\nwant %s", got, want)
	}
	got = r.output(c, "terminal", func(s *ssh.Session) { check(t, s.RequestPty("xterm", 0, 0, nil)) })
	if want := "0x0 erase=127 echo=true onlcr=true mode=-rw------- owner=true\r\n"; got != want {
		t.Errorf("terminal without size:\n got %s\nwant %s", got, want)
	}
	for term, want := range map[string]string{"screen-256color": "screen-256color", "": "dumb", "../x": "dumb", "a\nb": "dumb"} {
		got := r.output(c, "environment", func(s *ssh.Session) { check(t, s.RequestPty(term, 1, 1, nil)) })
		contains(t, "environment", got, "TERM="+want+"\r\n")
	}

	s := r.session(c)
	check(t, s.RequestPty("xterm", 24, 80, ssh.TerminalModes{ssh.ONLCR: 0}))
	out := r.begin(s, "sizes")
	check(t, s.WindowChange(50, 200))
	if line, _ := out.ReadString('\n'); line != "200x50\n" {
		t.Errorf("after the change: %q", line)
	}
}

// begin starts a command that says when it is ready.
func (r *rig) begin(s *ssh.Session, line string) *bufio.Reader {
	r.t.Helper()
	pipe, err := s.StdoutPipe()
	check(r.t, err)
	check(r.t, s.Start(line))
	out := bufio.NewReader(pipe)
	if ready, err := out.ReadString('\n'); strings.TrimSpace(ready) != "ready" {
		r.t.Fatalf("%s: %q, %v", line, ready, err)
	}
	return out
}

func TestSignals(t *testing.T) {
	r := newRig(t, Limits{})
	c := r.dial()
	s := r.session(c)
	out := r.begin(s, "signals")
	if ok, err := s.SendRequest("break", true, ssh.Marshal(struct{ Milliseconds uint32 }{500})); !ok || err != nil {
		t.Errorf("break: %v, %v", ok, err)
	}
	if line, _ := out.ReadString('\n'); line != "interrupt\n" {
		t.Errorf("break: %q", line)
	}
	check(t, s.Signal(ssh.SIGTERM))
	if line, _ := out.ReadString('\n'); line != "terminated\n" {
		t.Errorf("TERM: %q", line)
	}
	check(t, s.Wait())

	s = r.session(c)
	r.begin(s, "wait")
	check(t, s.Signal(ssh.SIGHUP))
	var ended *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &ended) || ended.Signal() != "HUP" {
		t.Errorf("killed by HUP: %v", err)
	}
}

// A client that closes the channel as soon as the output ends knows then how the program ended.
func TestExitStatusComesBeforeTheEndOfTheOutput(t *testing.T) {
	r := newRig(t, Limits{})
	c := r.dial()
	for range 20 {
		channel, requests, err := c.OpenChannel("session", nil)
		check(t, err)
		ok, err := channel.SendRequest("exec", true, ssh.Marshal(struct{ Line string }{"exit 3"}))
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		_, err = io.Copy(io.Discard, channel)
		check(t, err)
		select {
		case r := <-requests: // in the order in which they came
			if r == nil || r.Type != "exit-status" || r.Payload[3] != 3 {
				t.Errorf("%+v", r)
			}
		default:
			t.Error("the output has ended, and nothing was said of the exit status")
		}
		channel.Close()
	}
}

func TestUnknownRequests(t *testing.T) {
	r := newRig(t, Limits{})
	c := r.dial()
	if ok, _, err := c.SendRequest("tcpip-forward", true, nil); ok || err != nil {
		t.Errorf("tcpip-forward: %v, %v", ok, err)
	}
	for _, channel := range []string{"direct-tcpip", "x11", "auth-agent@openssh.com", "direct-streamlocal@openssh.com"} {
		if _, _, err := c.OpenChannel(channel, nil); err == nil {
			t.Errorf("a channel %s was opened", channel)
		}
	}
	s := r.session(c)
	for _, request := range []string{"winadj@putty.projects.tartarus.org", "x11-req", "auth-agent-req@openssh.com", "simple@putty.projects.tartarus.org", ""} {
		if ok, err := s.SendRequest(request, true, nil); ok || err != nil {
			t.Errorf("%s: %v, %v", request, ok, err)
		}
	}
	for _, request := range []string{"pty-req", "env", "exec", "subsystem", "signal", "window-change"} {
		if ok, err := s.SendRequest(request, true, []byte{0, 0, 0, 9, 'x'}); ok || err != nil {
			t.Errorf("malformed %s: %v, %v", request, ok, err)
		}
	}
	if err := s.RequestSubsystem("netconf"); err == nil {
		t.Error("a subsystem that does not exist was started")
	}
	check(t, s.Start("wait"))
	if err := s.Setenv("LANG", "C"); err == nil {
		t.Error("the environment of a running program was changed")
	}
	if ok, _ := s.SendRequest("exec", true, ssh.Marshal(struct{ Line string }{"echo"})); ok {
		t.Error("a second program was started on a channel")
	}
}

func TestChannelsOfAConnection(t *testing.T) {
	r := newRig(t, Limits{Channels: 3})
	c := r.dial()
	var open []*ssh.Session
	for range 3 {
		s := r.session(c)
		r.begin(s, "wait")
		open = append(open, s)
	}
	if _, err := c.NewSession(); err == nil {
		t.Fatal("a fourth channel was opened")
	}
	check(t, open[0].Signal(ssh.SIGTERM))
	open[0].Wait()
	open[0].Close()
	await.Until(t, "a place for another channel", func() bool {
		s, err := c.NewSession()
		if err == nil {
			s.Close()
		}
		return err == nil
	})
}

// All output reaches a client however slowly it reads, and none of it is kept in memory on the way.
func TestSlowReader(t *testing.T) {
	r := newRig(t, Limits{})
	s := r.session(r.dial())
	out, err := s.StdoutPipe()
	check(t, err)
	const size = 12 << 20 // several times what channel window, pipe and socket hold
	check(t, s.Start(fmt.Sprintf("flood %d", size)))
	process := r.appliance.lastAttachedWhen(t, 1)
	process.peer.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if _, err := process.peer.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
		t.Error("the process has written everything although nobody reads")
	}
	n, err := io.Copy(io.Discard, out)
	if n != size || err != nil {
		t.Errorf("%d of %d bytes arrived: %v", n, size, err)
	}
	check(t, s.Wait())
}

func TestManySessions(t *testing.T) {
	r := newRig(t, Limits{})
	var clients sync.WaitGroup
	for range 110 {
		clients.Go(func() {
			c, err := ssh.Dial("tcp", r.address, r.config())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			s, err := c.NewSession()
			if err != nil {
				t.Error(err)
				return
			}
			var out bytes.Buffer
			s.Stdout = &out
			s.Stdin = strings.NewReader("leave\n")
			err = s.RequestPty("xterm", 24, 80, nil)
			if err == nil {
				err = s.Shell()
			}
			if err == nil {
				err = s.Wait()
			}
			if err != nil || !strings.Contains(out.String(), "fake>") {
				t.Errorf("%v: %q", err, out.String())
			}
		})
	}
	clients.Wait()
}

// A countingConn counts what arrives.
type countingConn struct {
	net.Conn
	read atomic.Int64
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

func TestIdleConnection(t *testing.T) {
	r := newRig(t, Limits{KeepAlive: 300 * time.Millisecond})
	r.appliance.idle = 1
	idle := r.dial()
	sftp := r.session(idle)
	check(t, sftp.RequestSubsystem("sftp"))
	busy := r.dial()
	r.begin(r.session(busy), "wait")
	if err := idle.Wait(); err == nil {
		t.Error("no reason")
	}
	if _, _, err := busy.SendRequest("still there", true, nil); err != nil {
		t.Errorf("a connection that runs a program was closed: %v", err)
	}
}

// A line that no session process could take is answered with a sentence and an exit status, not
// with a failed request.
func TestUnfitLines(t *testing.T) {
	r := newRig(t, Limits{})
	c := r.dial()
	copyID := "exec sh -c 'cd ; umask 077 ; mkdir -p .ssh && { [ -z \"`tail -1c .ssh/authorized_keys 2>/dev/null`\" ] || echo >> .ssh/authorized_keys || exit 1; } && cat >> .ssh/authorized_keys || exit 1'"
	for line, want := range map[string]string{
		"echo " + strings.Repeat("x", 100<<10): "This line has 102405 bytes; at most 32768 are possible. Send several lines on standard input instead.\n",
		"echo a\x00b":                          "This line contains a zero byte.\n",
		copyID:                                 "Keys are not installed by ssh-copy-id here. An administrator adds them: userconfig key USER new 'ssh-ed25519 ...'.\n",
	} {
		s := r.session(c)
		var said bytes.Buffer
		s.Stderr = &said
		err := s.Run(line)
		var status *ssh.ExitError
		if !errors.As(err, &status) || status.ExitStatus() != int(menu.Usage) || said.String() != want {
			t.Errorf("%.30q: %v, %q", line, err, said.String())
		}
	}
	if out, err := r.session(c).Output("echo .ssh/authorized_keys"); err != nil ||
		string(out) != ".ssh/authorized_keys\n" {
		t.Errorf("%q, %v", out, err)
	}
}

// Signals that end a program end it, also one that is no process.
func TestSignalsThatEnd(t *testing.T) {
	r := newRig(t, Limits{})
	c := r.dial()
	s := r.session(c)
	r.begin(s, "stay")
	check(t, s.Signal(ssh.SIGKILL))
	var status *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &status) || status.Signal() != "KILL" {
		t.Errorf("killed: %v", err)
	}
	s = r.session(c)
	r.begin(s, "wait")
	check(t, s.Signal(ssh.SIGQUIT))
	if err := s.Wait(); !errors.As(err, &status) || status.Signal() != "TERM" {
		t.Errorf("quit: %v", err)
	}
	r.appliance.put("a.pcap", nil)
	s = r.session(c)
	in, err := s.StdinPipe() // open, so that it does not end by itself
	check(t, err)
	defer in.Close()
	check(t, s.Start("scp -f diagnostic/a.pcap"))
	check(t, s.Signal(ssh.SIGKILL))
	ended := make(chan error, 1)
	go func() { ended <- s.Wait() }()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("scp goes on when it is killed")
	}
}

// `ssh HOST COMMAND | head` ends the command when head has what it wants. OpenSSH's client tells
// only servers that it takes for OpenSSH: it is the identification string that this hangs on, so
// whoever changes that string finds this test.
func TestHead(t *testing.T) {
	need(t, "ssh", "openssh-client")
	need(t, "head", "coreutils")
	if !strings.HasPrefix(versionLine, "SSH-2.0-OpenSSH") {
		t.Errorf("%s does not begin as OpenSSH's does", versionLine)
	}
	r := newRig(t, Limits{})
	words := append(append([]string{"ssh"}, r.openSSH()...), "-p", r.port, "-l", testUser, "127.0.0.1", "flood 100000000000")
	got := r.run("", "sh", append([]string{"-c", `"$@" | head -c 10 | wc -c`, "sh"}, words...)...)
	if strings.TrimSpace(got.stdout) != "10" || got.status != 0 {
		t.Errorf("%v", got)
	}
	r.appliance.lastAttached().awaitEnd(t, patience)
}
