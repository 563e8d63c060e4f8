package privsep

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"diagsh/internal/access"
)

// A Front asks the Monitor on behalf of the process that faces the network. Its methods may be
// called from any goroutine. They return a *menu.Error for what the appliance refuses.
type Front struct {
	dial func(context.Context) (*net.UnixConn, error)
}

// NewFront returns a front. dial opens a connection that a Monitor answers, as Control.Dial and
// Monitor.Dial do.
func NewFront(dial func(context.Context) (*net.UnixConn, error)) *Front { return &Front{dial} }

// Banner returns the text before a login.
func (f *Front) Banner(ctx context.Context) (string, error) {
	a, err := f.once(ctx, request{Do: "banner"})
	return a.Text, err
}

// KeyKnown reports whether a public key (SSH wire format) could log the user in.
func (f *Front) KeyKnown(ctx context.Context, user, source string, key []byte) (bool, error) {
	a, err := f.once(ctx, request{Do: "keyKnown", User: user, Source: source, Key: key})
	return a.Known, err
}

// SignInWays returns the ways to sign in beside a password.
func (f *Front) SignInWays(ctx context.Context) ([]access.SignInWay, error) {
	a, err := f.once(ctx, request{Do: "signInWays"})
	return a.Ways, err
}

// BeginSignIn begins a sign-in by the provider of logins, for a browser at source.
func (f *Front) BeginSignIn(ctx context.Context, source string) (access.Redirect, error) {
	a, err := f.once(ctx, request{Do: "beginSignIn", Source: source})
	if err != nil {
		return access.Redirect{}, err
	}
	return *a.Redirect, nil
}

// Azure returns who the appliance is to clients of Azure.
func (f *Front) Azure(ctx context.Context) (access.Azure, error) {
	a, err := f.once(ctx, request{Do: "azure"})
	if err != nil {
		return access.Azure{}, err
	}
	return *a.Azure, nil
}

// Visitors returns the sources of recent logins.
func (f *Front) Visitors(ctx context.Context) ([]string, error) {
	a, err := f.once(ctx, request{Do: "visitors"})
	return a.Sources, err
}

// HostKeys returns the public halves of the appliance's host keys in SSH wire format.
func (f *Front) HostKeys(ctx context.Context) ([][]byte, error) {
	a, err := f.once(ctx, request{Do: "hostKeys"})
	return a.Keys, err
}

// Client begins what the connection of one client needs, until ctx is done. The caller closes it.
func (f *Front) Client(ctx context.Context) (*ClientSession, error) {
	c, a, err := f.open(ctx, request{Do: "client"})
	if err != nil {
		return nil, err
	}
	s := &ClientSession{c: c, cookie: [16]byte(a.Cookie)}
	s.stop = context.AfterFunc(ctx, s.hangUp)
	return s, nil
}

// Knocked reports a connection that ended without a login, for the audit log.
func (f *Front) Knocked(ctx context.Context, k access.Knock) error {
	_, err := f.once(ctx, request{Do: "knocked", Knock: &k})
	return err
}

// Files begins a session of a login on the diagnostic directory. The caller closes it.
func (f *Front) Files(ctx context.Context, login string) (*FileSession, error) {
	c, _, err := f.open(ctx, request{Do: "files", Login: login, Kind: "sftp"})
	if err != nil {
		return nil, err
	}
	return &FileSession{c}, nil
}

// once asks one request and closes the connection.
func (f *Front) once(ctx context.Context, q request) (reply, error) {
	c, a, err := f.open(ctx, q)
	if err == nil {
		c.close()
	}
	return a, err
}

// open opens a connection with its first request, and returns the reply.
func (f *Front) open(ctx context.Context, q request) (*connection, reply, error) {
	c, a, _, err := f.openFiles(ctx, q)
	return c, a, err
}

// openFiles is open for a request whose reply has descriptors, which the caller closes.
func (f *Front) openFiles(ctx context.Context, q request) (*connection, reply, []*os.File, error) {
	conn, err := f.dial(ctx)
	if err != nil {
		return nil, reply{}, nil, err
	}
	c := &connection{conn: conn}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	a, files, err := c.ask(q)
	if err == nil && !stop() {
		closeAll(files)
		err = ctx.Err()
	}
	if err != nil {
		c.close()
	}
	return c, a, files, err
}

// A connection is the asking end of a connection to the monitor. Its methods may be called from any
// goroutine.
type connection struct {
	conn *net.UnixConn

	mu     sync.Mutex
	asked  uint64
	broken error // the fault that ended the connection
}

// ask writes a request and reads the reply, with the descriptors that come with it. What the
// appliance refuses is a *menu.Error. Any other error ends the connection, and each later request
// fails with it.
func (c *connection) ask(q request) (reply, []*os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return reply{}, nil, c.broken
	}
	c.asked++
	q.Number = c.asked
	a, files, err := c.exchange(q)
	if err != nil {
		c.broken = err
		c.conn.Close()
		return reply{}, nil, err
	}
	if a.Error != nil {
		return reply{}, nil, a.Error
	}
	return a, files, nil
}

// exchange writes a request and reads its own reply.
func (c *connection) exchange(q request) (reply, []*os.File, error) {
	if err := writeFrame(c.conn, q); err != nil {
		return reply{}, nil, err
	}
	a, files, err := readReply(c.conn)
	if err != nil {
		return a, nil, err
	}
	refused := a.Error != nil && len(files) == 0
	if a.Number != q.Number || !refused && (a.Error != nil || !a.fits(q, files)) {
		closeAll(files)
		return a, nil, outOfStep("reply %d does not fit request %d (%s %s)", a.Number, q.Number, q.Do, q.Name)
	}
	return a, files, nil
}

func (c *connection) close() error { return c.conn.Close() }

// A ClientSession is what the connection of one client needs of the appliance. Its methods may be
// called from any goroutine.
type ClientSession struct {
	c      *connection
	cookie [16]byte
	stop   func() bool
}

// Cookie returns the cookie that the first SSH_MSG_KEXINIT must have.
func (s *ClientSession) Cookie() [16]byte { return s.cookie }

// endTime is how long the appliance may take to end the login of a client.
const endTime = 5 * time.Second

// Sign has the appliance sign the hash of a key exchange, with the host key that is in the
// exchange. hash names the function: SHA-256, SHA-384 or SHA-512. exchange is the text that is
// hashed. Sign returns the signature in SSH wire format.
func (s *ClientSession) Sign(algorithm, hash string, exchange []byte) ([]byte, error) {
	a, _, err := s.c.ask(request{Do: "sign", Algorithm: algorithm, Hash: hash, Exchange: exchange})
	return a.Signature, err
}

// Login checks credentials. It takes as long as the delay for earlier failures demands. A refusal
// is a *menu.Error: of code Denied for wrong credentials, else of another code. The login ends with
// the session.
func (s *ClientSession) Login(c access.Credentials) (access.Login, error) {
	a, _, err := s.c.ask(request{Do: "login", Credentials: &c})
	if err != nil {
		return access.Login{}, err
	}
	return *a.Login, nil
}

// Grant returns a pass for the owner of the login, for a client of that name.
func (s *ClientSession) Grant(client string) (access.Pass, error) {
	a, _, err := s.c.ask(request{Do: "grant", Name: client})
	if err != nil {
		return access.Pass{}, err
	}
	return *a.Pass, nil
}

// hangUp tells the appliance that no more requests come. The appliance gives up what it does, and
// ends the login.
func (s *ClientSession) hangUp() {
	s.c.conn.CloseWrite()
	s.c.conn.SetReadDeadline(time.Now().Add(endTime))
}

// Close ends the session and waits until the appliance has ended the login.
func (s *ClientSession) Close() error {
	if s.stop() {
		s.hangUp()
	}
	s.c.mu.Lock() // no other goroutine reads a reply
	defer s.c.mu.Unlock()
	defer s.c.conn.Close()
	if s.c.broken != nil {
		return nil
	}
	s.c.broken = net.ErrClosed
	if _, err := io.Copy(io.Discard, s.c.conn); errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

// A FileSession is the diagnostic directory as one login may use it. Its methods may be called from
// any goroutine.
type FileSession struct{ c *connection }

// List begins to list the finished files.
func (s *FileSession) List() (*Listing, error) {
	a, _, err := s.c.ask(request{Do: "list"})
	if err != nil {
		return nil, err
	}
	return &Listing{c: s.c, files: a.Files, number: a.Listing}, nil
}

// A Listing goes through the finished files, a page at a time, so that its memory does not grow
// with their number. It is for one goroutine.
type Listing struct {
	c      *connection
	files  []access.File // received, and not returned yet
	number uint64        // for the next request; 0: there are no more files
}

// Next returns the next files, or io.EOF after the last ones.
func (l *Listing) Next() ([]access.File, error) {
	for len(l.files) == 0 {
		if l.number == 0 {
			return nil, io.EOF
		}
		a, _, err := l.c.ask(request{Do: "list", Listing: l.number})
		if err != nil {
			return nil, err
		}
		l.files, l.number = a.Files, a.Listing
	}
	files := l.files
	l.files = nil
	return files, nil
}

// Close ends the listing, at its end or before.
func (l *Listing) Close() error {
	if l.number == 0 {
		return nil
	}
	_, _, err := l.c.ask(request{Do: "unlist", Listing: l.number})
	l.files, l.number = nil, 0
	return err
}

// Stat returns one finished file.
func (s *FileSession) Stat(name string) (access.File, error) {
	a, _, err := s.c.ask(request{Do: "stat", Name: name})
	if err != nil {
		return access.File{}, err
	}
	return *a.File, nil
}

// Open opens a file for reading. The descriptor is the kernel's own, so reads do not pass through
// the appliance. The caller calls Done in the end.
func (s *FileSession) Open(name string) (*os.File, error) {
	_, files, err := s.c.ask(request{Do: "open", Name: name})
	if err != nil {
		return nil, err
	}
	return files[0], nil
}

// Done closes a file, and reports how many of its bytes were read for the audit log.
func (s *FileSession) Done(name string, f *os.File, bytes int64) error {
	f.Close()
	_, _, err := s.c.ask(request{Do: "done", Name: name, Bytes: bytes})
	return err
}

// Remove deletes a file.
func (s *FileSession) Remove(name string) error {
	_, _, err := s.c.ask(request{Do: "remove", Name: name})
	return err
}

// Close ends the session.
func (s *FileSession) Close() error { return s.c.close() }
