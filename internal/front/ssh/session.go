package ssh

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A session is one channel of type "session" (RFC 4254 section 6). Some requests prepare it, one
// starts a program, and others come while that runs.
//
// Replies carry no number, so requests are answered in their order, and none may wait for anything.
// So a program is said to be started before it is. If it cannot be started, the user reads that on
// standard error and gets an exit status.
type session struct {
	client  *client
	channel ssh.Channel
	log     *slog.Logger
	ctx     context.Context // done when the program must end: channel or connection are gone, or the server stops
	cancel  context.CancelFunc

	terminal    *terminal // if the client asked for one
	environment environment
	started     bool          // a channel runs one program (RFC 4254 section 6.5)
	here        bool          // the program is a part of this process: SFTP or SCP
	running     chan struct{} // closed when the program has ended; nil before and after

	mu      sync.Mutex
	process *process
}

func newSession(c *client, channel ssh.Channel) *session {
	s := &session{client: c, channel: channel, log: c.log, environment: environment{}}
	s.ctx, s.cancel = context.WithCancel(c.ctx)
	return s
}

// serve answers requests until the program has ended and the client has closed the channel, or is
// gone.
func (s *session) serve(requests <-chan *ssh.Request) {
	defer s.end(requests)
	for {
		select {
		case r, ok := <-requests:
			if !ok {
				return
			}
			r.Reply(s.handle(r), nil)
		case <-s.running:
			s.channel.Close()
			s.running = nil
		case <-s.ctx.Done():
			return
		}
	}
}

// end ends the program by s.ctx, and waits for it. It still reads requests: if it did not, the
// whole connection would stop, and could not end.
func (s *session) end(requests <-chan *ssh.Request) {
	go ssh.DiscardRequests(requests)
	s.cancel()
	if s.running != nil {
		<-s.running
	}
	s.channel.Close()
}

// handle does what a channel request asks for, and reports whether it did. It refuses unknown
// requests. PuTTY measures the line by requests that no server knows.
func (s *session) handle(r *ssh.Request) bool {
	switch r.Type {
	case "pty-req":
		return s.openTerminal(r.Payload)
	case "window-change":
		var size access.WindowSize
		return s.terminal != nil && ssh.Unmarshal(r.Payload, &size) == nil && s.terminal.resize(size) == nil
	case "env":
		var m struct{ Name, Value string }
		return !s.started && ssh.Unmarshal(r.Payload, &m) == nil && s.environment.set(m.Name, m.Value)
	case "shell":
		return len(r.Payload) == 0 && s.start(func() exit { return s.runProcess("shell", "") })
	case "exec":
		return s.exec(r.Payload)
	case "subsystem":
		var m struct{ Name string }
		return ssh.Unmarshal(r.Payload, &m) == nil && m.Name == "sftp" && s.startHere(s.runSFTP)
	case "signal": // RFC 4254 section 6.9
		var m struct{ Name string }
		return ssh.Unmarshal(r.Payload, &m) == nil && s.signal(m.Name)
	case "eow@openssh.com": // PROTOCOL of OpenSSH, section 2.3
		return s.unread()
	case "break": // RFC 4335: the key that interrupts where there is no Ctrl-C
		return s.signal("INT")
	}
	return false
}

// openTerminal notes the terminal of a request (RFC 4254 section 6.2). The appliance makes it
// together with the program.
func (s *session) openTerminal(payload []byte) bool {
	var m struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}
	if s.terminal != nil || s.started || ssh.Unmarshal(payload, &m) != nil || len(m.Modes) > access.MaxTerminalMode {
		return false
	}
	size := access.WindowSize{Columns: m.Columns, Rows: m.Rows, Width: m.Width, Height: m.Height}
	s.terminal = &terminal{size: size, modes: []byte(m.Modes)}
	s.environment.setTerm(m.Term)
	return true
}

// exec starts the program of a line.
func (s *session) exec(payload []byte) bool {
	var m struct{ Line string }
	if ssh.Unmarshal(payload, &m) != nil {
		return false
	}
	if err := unfit(m.Line); err != nil {
		return s.start(func() exit { return s.fail(err) })
	}
	if request, ok := parseSCP(m.Line); ok {
		return s.startHere(func() exit { return s.runSCP(request) })
	}
	return s.start(func() exit { return s.runProcess("exec", m.Line) })
}

// unfit returns why a line cannot be run in a session process, or nil.
func unfit(line string) error {
	switch {
	case len(line) > access.MaxProgramLine:
		return menu.Errorf(menu.Usage, "This line has %d bytes; at most %d are possible",
			len(line), access.MaxProgramLine).
			WithHint("Send several lines on standard input instead")
	case strings.ContainsRune(line, 0):
		return menu.Errorf(menu.Usage, "This line contains a zero byte")
	case copiesKeys(line):
		return menu.Errorf(menu.Usage, "Keys are not installed by ssh-copy-id here").
			WithHint("An administrator adds them: userconfig key USER new 'ssh-ed25519 ...'")
	}
	return nil
}

// copiesKeys reports whether a line is one for a shell by which ssh-copy-id(1) installs keys.
func copiesKeys(line string) bool {
	program := strings.HasPrefix(line, "exec sh -c ") || strings.HasPrefix(line, "umask ") ||
		strings.HasPrefix(line, "mkdir ") || strings.HasPrefix(line, "cat ")
	return program && strings.Contains(line, ".ssh/authorized_keys")
}

// startHere starts a program that is a part of this process.
func (s *session) startHere(run func() exit) bool {
	s.here = !s.started
	return s.start(run)
}

// start starts the program of the channel, and tells the client how it ended.
func (s *session) start(run func() exit) bool {
	if s.started {
		return false
	}
	s.started = true
	running := make(chan struct{})
	s.running = running
	go func() {
		defer close(running)
		e := run()
		// In this order: clients such as dbclient and plink close the channel when the output ends,
		// and take a missing status for success.
		e.report(s.channel)
		s.channel.CloseWrite()
	}()
	return true
}

// signal passes a signal to the program. QUIT ends it like TERM does, since an image of the program
// is not for users. A program within this process is ended by any signal.
func (s *session) signal(name string) bool {
	sig, ok := map[string]string{
		"INT":  access.SignalInterrupt,
		"TERM": access.SignalTerminate,
		"HUP":  access.SignalHangUp,
		"QUIT": access.SignalTerminate,
		"KILL": access.SignalKill,
	}[name]
	if ok && s.here {
		s.cancel()
		return true
	}
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	return ok && p != nil && p.Signal(sig) == nil
}

// unread ends the output of a program whose output the client reads no more, as with `ssh HOST ping
// ... | head` after the end of head. The program notices like with any pipe without a reader. It
// may still write to standard error, and ends in its own way. A terminal is read as long as it is
// there.
func (s *session) unread() bool {
	if s.terminal != nil || !s.started {
		return false
	}
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	if p == nil {
		s.cancel() // SFTP or SCP, whose client reads no more
		return true
	}
	p.output.Close()
	return true
}

// input returns the input of the client until the program must end. A read from the channel itself
// would last as long as the connection.
func (s *session) input() io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, s.channel)
		w.CloseWithError(err) // nil is the end of the input
	}()
	context.AfterFunc(s.ctx, func() { w.CloseWithError(s.ctx.Err()) })
	return r
}

// fail tells the user why a program could not run.
func (s *session) fail(err error) exit {
	var e *menu.Error
	if !errors.As(err, &e) {
		s.log.Error("ssh: a session failed", "error", err)
		e = menu.AsError(err)
	}
	s.complain(e.Error())
	return exit{status: uint32(e.Code)}
}

// complain writes a line on standard error, with the line end that the client's terminal needs.
func (s *session) complain(text string) {
	end := "\n"
	if s.terminal != nil {
		end = "\r\n"
	}
	io.WriteString(s.channel.Stderr(), menu.CleanLines(text)+end)
}

// An exit is how a program ended: by a status, or by the signal that killed it.
type exit struct {
	status uint32
	signal string
}

// report tells the client (RFC 4254 section 6.10).
func (e exit) report(channel ssh.Channel) {
	if e.signal != "" {
		channel.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Name       string
			CoreDumped bool
			Message    string
			Language   string
		}{Name: e.signal}))
		return
	}
	channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{e.status}))
}
