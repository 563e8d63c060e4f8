package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"diagsh/access"
	"diagsh/menu"
)

// The front end's protocol. What listens on the network opens a connection per act and writes one JSON line, a frontRequest; the
// answer is one line, a frontReply. After "attach" the connection is the session's and speaks HTTP; after "files" it goes on with
// further lines, and descriptors of files come along with the answers (SCM_RIGHTS, unix(7)).
//
// Such connections come from whoever holds the dial function that main made, and from nobody else: the front end is believed when
// it says that a signature was verified.
type frontRequest struct {
	Do          string              `json:"do"` // banner, keyKnown, login, logout, attach, files; then list, stat, open, done, remove
	User        string              `json:"user,omitempty"`
	Source      string              `json:"source,omitempty"`
	Key         []byte              `json:"key,omitempty"`
	Credentials *access.Credentials `json:"credentials,omitempty"`
	Login       string              `json:"login,omitempty"`
	Kind        string              `json:"kind,omitempty"`
	Name        string              `json:"name,omitempty"`
	Bytes       int64               `json:"bytes,omitempty"`
}

type frontReply struct {
	Error *errorBody    `json:"error,omitempty"`
	Text  string        `json:"text,omitempty"`
	Known bool          `json:"known,omitempty"`
	Login *access.Login `json:"login,omitempty"`
	Files []access.File `json:"files,omitempty"`
	File  *access.File  `json:"file,omitempty"`
}

// maxFrontLine bounds a line of the protocol.
const maxFrontLine = 1 << 20

// FrontDialer returns the dial function for NewFrontEnd when server and appliance are one process: each call makes a pair of
// connected sockets and answers on one of them.
func (s *Server) FrontDialer() func(context.Context) (*net.UnixConn, error) {
	return func(context.Context) (*net.UnixConn, error) {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		ours, err := unixConn(fds[0])
		theirs, err2 := unixConn(fds[1])
		if err != nil || err2 != nil {
			return nil, errors.Join(err, err2)
		}
		go s.serveFront(ours)
		return theirs, nil
	}
}

func unixConn(fd int) (*net.UnixConn, error) {
	f := os.NewFile(uintptr(fd), "front end")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return c.(*net.UnixConn), nil
}

// serveFront answers one connection of the front end.
func (s *Server) serveFront(c *net.UnixConn) {
	request, err := readFrontLine(c)
	if err != nil {
		c.Close()
		return
	}
	switch request.Do {
	case "attach":
		caller, ended, detach, err := s.appliance.Attach(request.Login, request.Kind)
		if err != nil {
			refuse(c, s.asError("attach", err))
			return
		}
		id := identify(c, caller, ended, detach)
		if err := reply(c, frontReply{}); err != nil {
			id.Close()
			return
		}
		s.handoff.give(id)
	case "files":
		caller, ended, detach, err := s.appliance.Attach(request.Login, request.Kind)
		if err != nil {
			refuse(c, s.asError("attach", err))
			return
		}
		id := identify(c, caller, ended, detach)
		defer id.Close()
		if err := reply(c, frontReply{}); err != nil {
			return
		}
		s.serveFiles(c, caller.Session)
	default:
		defer c.Close()
		// The front end hangs up when its client does: then a login that waits for its delay is given up.
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			io.Copy(io.Discard, c)
			cancel()
		}()
		answer, err := s.front(ctx, request)
		if err != nil {
			answer = frontReply{Error: bodyOf(s.asError(request.Do, err))}
		}
		reply(c, answer)
	}
}

func (s *Server) front(ctx context.Context, q frontRequest) (frontReply, error) {
	switch q.Do {
	case "banner":
		return frontReply{Text: s.appliance.Banner()}, nil
	case "keyKnown":
		return frontReply{Known: s.appliance.KeyKnown(ctx, q.User, q.Source, q.Key)}, nil
	case "login":
		if q.Credentials == nil {
			break
		}
		return s.login(ctx, *q.Credentials)
	case "logout":
		s.appliance.Logout(q.Login)
		return frontReply{}, nil
	}
	return frontReply{}, menu.Errorf(menu.Usage, "The front end asked for something unknown")
}

// login checks credentials; the appliance audits both outcomes, since it knows why a login failed and the front end must not.
func (s *Server) login(ctx context.Context, c access.Credentials) (frontReply, error) {
	login, err := s.appliance.Login(ctx, c)
	if err != nil {
		return frontReply{}, err
	}
	login.MayFiles = login.Caller.Role.Includes(roleListFiles)
	return frontReply{Login: &login}, nil
}

// serveFiles answers what SFTP and SCP ask of the diagnostic directory.
func (s *Server) serveFiles(c *net.UnixConn, session string) {
	for {
		q, err := readFrontLine(c)
		if err != nil {
			return
		}
		caller, err := s.appliance.Current(session)
		var answer frontReply
		var file *os.File
		if err == nil {
			answer, file, err = s.file(caller, q)
		}
		if err != nil {
			answer = frontReply{Error: bodyOf(s.asError(q.Do+" "+q.Name, err))}
		}
		if file != nil {
			err = replyWithFile(c, answer, file)
			file.Close()
		} else {
			err = reply(c, answer)
		}
		if err != nil {
			return
		}
	}
}

func (s *Server) file(caller menu.Caller, q frontRequest) (frontReply, *os.File, error) {
	switch q.Do {
	case "list":
		files, err := s.list(caller)
		return frontReply{Files: files}, nil, err
	case "stat":
		f, err := s.stat(caller, q.Name)
		return frontReply{File: &f}, nil, err
	case "open":
		info, err := s.mayRead(caller, q.Name)
		if err != nil {
			return frontReply{}, nil, err
		}
		f, err := s.appliance.OpenFile(info.Name)
		return frontReply{File: &info}, f, err
	case "done":
		e := fileEvent(caller, access.ActDownload, q.Name, nil)
		e.Arguments = map[string]string{"bytes": fmt.Sprint(q.Bytes)}
		s.appliance.Record(e)
		return frontReply{}, nil, nil
	case "remove":
		return frontReply{}, nil, s.remove(caller, q.Name)
	}
	return frontReply{}, nil, menu.Errorf(menu.Usage, "The front end asked for something unknown")
}

// readFrontLine reads one line and not a byte more: what follows may belong to another protocol.
func readFrontLine(c io.Reader) (frontRequest, error) {
	var q frontRequest
	line, err := readLine(c)
	if err != nil {
		return q, err
	}
	return q, json.Unmarshal(line, &q)
}

// readLine reads byte by byte: lines are short and rare, and reading ahead would swallow the next protocol's bytes.
func readLine(r io.Reader) ([]byte, error) {
	var line []byte
	var one [1]byte
	for len(line) < maxFrontLine {
		if _, err := io.ReadFull(r, one[:]); err != nil {
			return nil, err
		}
		if one[0] == '\n' {
			return line, nil
		}
		line = append(line, one[0])
	}
	return nil, bufio.ErrTooLong
}

func reply(c io.Writer, answer frontReply) error {
	line, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	_, err = c.Write(append(line, '\n'))
	return err
}

// replyWithFile sends an open descriptor along with the line's first byte.
func replyWithFile(c *net.UnixConn, answer frontReply, f *os.File) error {
	line, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	n, _, err := c.WriteMsgUnix(line, unix.UnixRights(int(f.Fd())), nil)
	if err == nil && n < len(line) {
		_, err = c.Write(line[n:])
	}
	return err
}

// refuse tells the peer of a fresh connection why there is none, in the form that it would read: a line for the front end, which a
// client of HTTP takes for a failed connection.
func refuse(c net.Conn, e *menu.Error) {
	reply(c, frontReply{Error: bodyOf(e)})
	c.Close()
}

// A FrontEnd is the boundary as what listens on the network sees it.
type FrontEnd struct {
	dial func(context.Context) (*net.UnixConn, error)
}

// NewFrontEnd makes the front end's side. dial opens a connection that the appliance trusts (Server.FrontDialer).
func NewFrontEnd(dial func(context.Context) (*net.UnixConn, error)) *FrontEnd { return &FrontEnd{dial} }

// Banner is the text before a login.
func (f *FrontEnd) Banner(ctx context.Context) (string, error) {
	a, err := f.once(ctx, frontRequest{Do: "banner"})
	return a.Text, err
}

// KeyKnown asks whether a public key (SSH wire format) may be offered for the user.
func (f *FrontEnd) KeyKnown(ctx context.Context, user, source string, key []byte) (bool, error) {
	a, err := f.once(ctx, frontRequest{Do: "keyKnown", User: user, Source: source, Key: key})
	return a.Known, err
}

// Login checks credentials; it takes as long as the delay for earlier failures demands. A refusal is a *menu.Error of kind Denied.
func (f *FrontEnd) Login(ctx context.Context, c access.Credentials) (access.Login, error) {
	a, err := f.once(ctx, frontRequest{Do: "login", Credentials: &c})
	if err != nil {
		return access.Login{}, err
	}
	return *a.Login, nil
}

// Logout ends a login and its sessions.
func (f *FrontEnd) Logout(ctx context.Context, login string) error {
	_, err := f.once(ctx, frontRequest{Do: "logout", Login: login})
	return err
}

// Attach begins a session (kind shell or exec) and returns its connection, for the session process to inherit.
func (f *FrontEnd) Attach(ctx context.Context, login, kind string) (*os.File, error) {
	c, _, err := f.open(ctx, frontRequest{Do: "attach", Login: login, Kind: kind})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.File()
}

// Files begins a session of kind sftp on the diagnostic directory.
func (f *FrontEnd) Files(ctx context.Context, login string) (*FileSession, error) {
	c, _, err := f.open(ctx, frontRequest{Do: "files", Login: login, Kind: "sftp"})
	if err != nil {
		return nil, err
	}
	return &FileSession{c: c}, nil
}

// once asks and hangs up.
func (f *FrontEnd) once(ctx context.Context, q frontRequest) (frontReply, error) {
	c, a, err := f.open(ctx, q)
	if err == nil {
		c.Close()
	}
	return a, err
}

func (f *FrontEnd) open(ctx context.Context, q frontRequest) (*net.UnixConn, frontReply, error) {
	c, err := f.dial(ctx)
	if err != nil {
		return nil, frontReply{}, err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	a, _, err := askFront(c, q)
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		c.Close()
	}
	return c, a, err
}

// askFront writes a request and reads the answer, with the descriptor that came along, if any.
func askFront(c *net.UnixConn, q frontRequest) (frontReply, *os.File, error) {
	var a frontReply
	line, err := json.Marshal(q)
	if err != nil {
		return a, nil, err
	}
	if _, err := c.Write(append(line, '\n')); err != nil {
		return a, nil, err
	}
	// The descriptor comes with the first byte.
	var one [1]byte
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := c.ReadMsgUnix(one[:], oob)
	if err == nil && n == 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return a, nil, err
	}
	file, err := receivedFile(oob[:oobn])
	if err != nil {
		return a, nil, err
	}
	rest, err := readLine(c)
	if err == nil {
		err = json.Unmarshal(append(one[:], rest...), &a)
	}
	if err == nil && a.Error != nil {
		err = a.Error.err()
	}
	if err != nil && file != nil {
		file.Close()
		file = nil
	}
	return a, file, err
}

func receivedFile(oob []byte) (*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return nil, err
		}
		if len(fds) == 1 {
			unix.CloseOnExec(fds[0])
			return os.NewFile(uintptr(fds[0]), "diagnostic file"), nil
		}
	}
	return nil, nil
}

// A FileSession is the diagnostic directory as one login may use it. Its methods may be called from any goroutine.
type FileSession struct {
	mu sync.Mutex
	c  *net.UnixConn
}

func (s *FileSession) ask(q frontRequest) (frontReply, *os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return askFront(s.c, q)
}

// List returns the finished files.
func (s *FileSession) List() ([]access.File, error) {
	a, _, err := s.ask(frontRequest{Do: "list"})
	return a.Files, err
}

// Stat returns one finished file.
func (s *FileSession) Stat(name string) (access.File, error) {
	a, _, err := s.ask(frontRequest{Do: "stat", Name: name})
	if err != nil {
		return access.File{}, err
	}
	return *a.File, nil
}

// Open opens a file for reading. The descriptor is the kernel's own: reading it costs no way through the boundary.
func (s *FileSession) Open(name string) (*os.File, error) {
	_, f, err := s.ask(frontRequest{Do: "open", Name: name})
	if err == nil && f == nil {
		err = menu.Errorf(menu.Failed, "The file could not be opened")
	}
	return f, err
}

// Done closes a file and reports how many of its bytes were read, for the audit log.
func (s *FileSession) Done(name string, f *os.File, bytes int64) error {
	f.Close()
	_, _, err := s.ask(frontRequest{Do: "done", Name: name, Bytes: bytes})
	return err
}

// Remove deletes a file.
func (s *FileSession) Remove(name string) error {
	_, _, err := s.ask(frontRequest{Do: "remove", Name: name})
	return err
}

// Close ends the session.
func (s *FileSession) Close() error { return s.c.Close() }
