package api

import (
	"context"
	"net"
	"os"
	"sync"

	"diagsh/access"
	"diagsh/menu"
)

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
