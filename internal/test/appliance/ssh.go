package appliance

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/test/vt"
)

// Dial opens a TCP connection to the appliance's SSH port.
func (a *Appliance) Dial() (c net.Conn, err error) {
	a.enter(func() { c, err = net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(a.Port)), Patience) })
	return c, err
}

// Login logs a user in by key on a connection of its own.
func (a *Appliance) Login(user string) *ssh.Client {
	a.t.Helper()
	c, err := a.LoginBy(user, ssh.PublicKeys(Key(user)))
	if err != nil {
		a.t.Fatalf("log in as %s: %v", user, err)
	}
	return c
}

// LoginPassword logs a user in by password.
func (a *Appliance) LoginPassword(user, password string) *ssh.Client {
	a.t.Helper()
	c, err := a.LoginBy(user, ssh.Password(password))
	if err != nil {
		a.t.Fatalf("log in as %s: %v", user, err)
	}
	return c
}

// LoginBy logs a user in by some method.
func (a *Appliance) LoginBy(user string, method ssh.AuthMethod) (*ssh.Client, error) {
	a.t.Helper()
	wire, err := a.Dial()
	if err != nil {
		return nil, err
	}
	wire.SetDeadline(time.Now().Add(Patience))
	conn, channels, requests, err := ssh.NewClientConn(wire, "", &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{method}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		wire.Close()
		return nil, err
	}
	wire.SetDeadline(time.Time{})
	c := ssh.NewClient(conn, channels, requests)
	a.t.Cleanup(func() { c.Close() })
	return c, nil
}

// client is a login that one-line commands of a user share.
func (a *Appliance) client(user string) *ssh.Client {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.clients[user]
	if c == nil {
		c = a.Login(user)
		a.clients[user] = c
	}
	return c
}

// SSH is `ssh USER@appliance 'LINE'`.
func (a *Appliance) SSH(user, line string) Result {
	a.t.Helper()
	session, err := a.client(user).NewSession()
	if err != nil {
		a.t.Fatalf("a session of %s: %v", user, err)
	}
	defer session.Close()
	var out, errs bytes.Buffer
	session.Stdout, session.Stderr = &out, &errs
	late := time.AfterFunc(2*Patience, func() { session.Close() })
	defer late.Stop()
	status, err := exitStatus(session.Run(line))
	if err != nil {
		a.t.Fatalf("%s: %q: %v\n%s%s", user, line, err, out.String(), errs.String())
	}
	return Result{out.String(), errs.String(), status}
}

// Stream begins `ssh USER@appliance 'LINE'` on a connection of its own. What it prints is read as
// it comes.
func (a *Appliance) Stream(user, line string) (*ssh.Session, io.Reader) {
	a.t.Helper()
	session, err := a.Login(user).NewSession()
	if err != nil {
		a.t.Fatalf("a session of %s: %v", user, err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		a.t.Fatal(err)
	}
	if err := session.Start(line); err != nil {
		a.t.Fatalf("%s: %q: %v", user, line, err)
	}
	return session, out
}

// exitStatus takes the exit status out of a session's end.
func exitStatus(err error) (int, error) {
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.Signal() == "":
		return exit.ExitStatus(), nil
	}
	return -1, err
}

// KeyFile writes a user's private key for programs that read it from a file.
func (a *Appliance) KeyFile(user string) string {
	a.t.Helper()
	path := filepath.Join(a.dir, user+".key")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	block, err := ssh.MarshalPrivateKey(privateKeyOf(user), user)
	if err != nil {
		a.t.Fatal(err)
	}
	write(a.t, path, pem.EncodeToMemory(block))
	return path
}

// OpenSSH are the arguments by which OpenSSH's ssh reaches the appliance as a user, up to and with
// the destination.
func (a *Appliance) OpenSSH(user string, options ...string) []string {
	a.t.Helper()
	args := []string{"-F", "none", "-i", a.KeyFile(user), "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes",
		"-p", strconv.Itoa(a.Port)}
	return append(append(args, options...), user+"@127.0.0.1")
}

// A Terminal is a person's session on a terminal through SSH.
type Terminal struct {
	*vt.Watcher
	a       *Appliance
	client  *ssh.Client
	session *ssh.Session
	keys    io.Writer

	ended  chan struct{}
	status int
	err    error
	once   sync.Once
}

// Terminal logs a user in and opens a shell in a window of some size. 0x0 is a client without a
// window, whose screen is 80x24.
func (a *Appliance) Terminal(user string, width, height int) *Terminal {
	a.t.Helper()
	return a.TerminalOn(a.Login(user), width, height)
}

// TerminalOn opens a shell on a connection that there is.
func (a *Appliance) TerminalOn(client *ssh.Client, width, height int) *Terminal {
	a.t.Helper()
	session, err := client.NewSession()
	if err != nil {
		a.t.Fatal(err)
	}
	// A client puts its own terminal into raw mode, so that the modes it sends are those of the
	// terminal before.
	if err := session.RequestPty("xterm-256color", height, width, ssh.TerminalModes{ssh.ECHO: 1, ssh.ICRNL: 1, ssh.ONLCR: 1, ssh.OPOST: 1}); err != nil {
		a.t.Fatal(err)
	}
	keys, err := session.StdinPipe()
	if err != nil {
		a.t.Fatal(err)
	}
	screen, err := session.StdoutPipe()
	if err != nil {
		a.t.Fatal(err)
	}
	if err := session.Shell(); err != nil {
		a.t.Fatal(err)
	}
	if width == 0 || height == 0 {
		width, height = 80, 24
	}
	term := &Terminal{Watcher: vt.Watch(screen, width, height), a: a, client: client, session: session, keys: keys, ended: make(chan struct{})}
	go func() {
		<-term.Gone()
		term.status, term.err = exitStatus(session.Wait())
		close(term.ended)
	}()
	a.t.Cleanup(term.Close)
	return term
}

// Type sends keys.
func (p *Terminal) Type(keys string) {
	p.a.t.Helper()
	if _, err := p.keys.Write([]byte(keys)); err != nil {
		p.a.t.Fatalf("type %q: %v; the screen shows:\n%s", keys, err, p.Text())
	}
}

// Wait waits for a state of the screen.
func (p *Terminal) Wait(what string, ok func(*vt.Screen) bool) {
	p.a.t.Helper()
	if err := p.Until(Patience, ok); err != nil {
		p.a.t.Fatalf("waiting for %s: %v", what, err)
	}
}

// Reads waits until the text is on the screen, or was.
func (p *Terminal) Reads(text string) {
	p.a.t.Helper()
	p.Wait(fmt.Sprintf("%q", text), func(s *vt.Screen) bool { return strings.Contains(s.All(), text) })
}

// Prompted waits until the cursor stands behind a prompt in the last row.
func (p *Terminal) Prompted(prompt string) {
	p.a.t.Helper()
	p.Wait("the prompt "+prompt, func(s *vt.Screen) bool { return s.Before() == prompt && s.Row() == len(s.Rows())-1 })
}

// Says types a line at a prompt and returns what is shown before the next prompt, which is the same
// or one that is given.
func (p *Terminal) Says(prompt, line string, next ...string) string {
	p.a.t.Helper()
	p.Prompted(prompt)
	from := 0
	p.Look(func(s *vt.Screen) { from = s.Row() })
	p.Type(line + "\r")
	if len(next) == 0 {
		next = []string{prompt}
	}
	text := ""
	p.Wait("an answer to "+line, func(s *vt.Screen) bool {
		if s.Row() <= from || s.Before() != next[0] {
			return false
		}
		text = strings.Join(s.Rows()[from+1:s.Row()], "\n")
		return true
	})
	return text
}

// SetWindow makes the window larger or smaller.
func (p *Terminal) SetWindow(width, height int) {
	p.a.t.Helper()
	p.Resize(width, height)
	if err := p.session.WindowChange(height, width); err != nil {
		p.a.t.Fatal(err)
	}
}

// Ended waits for the end of the session and returns its exit status.
func (p *Terminal) Ended() int {
	p.a.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(Patience):
		p.a.t.Fatalf("the session did not end; the screen shows:\n%s", p.Text())
	}
	if p.err != nil {
		p.a.t.Fatalf("the session ended without a status: %v", p.err)
	}
	return p.status
}

// Close hangs up.
func (p *Terminal) Close() {
	p.once.Do(func() {
		p.client.Close()
		<-p.Gone()
		p.Look(func(s *vt.Screen) {
			if strange := s.Strange(); len(strange) > 0 {
				p.a.t.Errorf("sequences that a plain terminal may not know: %s", strange)
			}
		})
	})
}
