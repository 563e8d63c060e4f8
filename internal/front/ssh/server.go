// Package ssh listens on the network for SSH: terminals, one-line commands, SFTP and SCP.
//
// It decides nothing about people, keeps no files and starts no process. It asks the appliance who
// may come in and what a role may read. The appliance writes the audit log, signs with the host
// keys, and starts the session process of a shell or a command. This package carries the bytes of
// that process. It serves SFTP and SCP from descriptors that the appliance opens.
package ssh

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/front/gate"
)

// Options say how to serve.
type Options struct {
	Listener  net.Listener // or
	Addr      string       // where to listen, such as ":2222"
	Appliance Appliance
	Log       *slog.Logger
	Limits    Limits
}

// Limits bound what strangers and users can hold of the appliance. A zero member means its default.
type Limits struct {
	// Startups is the number of connections before login from which on new ones are refused at
	// random (256).
	Startups int
	// StartupsFull is the number of connections before login at which a new one takes the place of
	// one without keys, or is refused (768).
	StartupsFull int
	// StartupsOfSource is the same for one address (128). It is less than Startups, so that one
	// address alone never causes a refusal of others.
	StartupsOfSource int
	// ChecksOfSource is how many credentials of one address are checked at a time (8).
	ChecksOfSource int
	// StartupsKept is the number of further connections before login, for addresses from which a
	// user has logged in (64).
	StartupsKept int
	// HelloTime is from the connection to the client's KEXINIT, or to exchanged keys if the client
	// waits for the server's KEXINIT (10 s).
	HelloTime time.Duration
	// LoginTime is from the connection to the login (60 s).
	LoginTime time.Duration
	// Channels is the number of open channels of a connection (10).
	Channels int
	// KeepAlive is the time without a word of the client after which it is asked for a sign of
	// life. It is given up after three times as long (30 s).
	KeepAlive time.Duration
	// Grace is the time that the appliance leaves a session process whose client is gone (2 s).
	Grace time.Duration
}

// withDefaults returns l with its defaults.
func (l Limits) withDefaults() Limits {
	set := func(n *int, value int) {
		if *n == 0 {
			*n = value
		}
	}
	setTime := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&l.Startups, 256)
	set(&l.StartupsFull, 768)
	set(&l.StartupsOfSource, 128)
	set(&l.StartupsKept, 64)
	set(&l.ChecksOfSource, 8)
	set(&l.Channels, 10)
	setTime(&l.HelloTime, 10*time.Second)
	setTime(&l.LoginTime, time.Minute)
	setTime(&l.KeepAlive, 30*time.Second)
	setTime(&l.Grace, 2*time.Second)
	return l
}

// startups returns those of connections that have not logged in yet.
func (l Limits) startups() gate.Limits {
	return gate.Limits{Early: l.Startups, Full: l.StartupsFull, OfSource: l.StartupsOfSource, Checks: l.ChecksOfSource,
		Kept: l.StartupsKept}
}

// A Server accepts SSH connections.
type Server struct {
	listener  net.Listener
	hostKeys  hostKeys
	appliance Appliance
	log       *slog.Logger
	limits    Limits
	startups  *gate.Startups
	refusals  gate.RefusalLog

	ctx     context.Context // done when the server stops
	stop    context.CancelFunc
	clients sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{} // nil once the server stops
}

// New asks the appliance for its host keys and begins to listen; Serve answers.
func New(ctx context.Context, o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	keys, err := askHostKeys(ctx, o.Appliance)
	if err != nil {
		return nil, err
	}
	listener := o.Listener
	if listener == nil {
		if listener, err = net.Listen("tcp", o.Addr); err != nil {
			return nil, err
		}
	}
	limits := o.Limits.withDefaults()
	s := &Server{
		listener:  listener,
		hostKeys:  keys,
		appliance: o.Appliance,
		log:       o.Log,
		limits:    limits,
		startups:  gate.NewStartups(limits.startups()),
		refusals:  gate.NewRefusalLog(),
		conns:     map[net.Conn]struct{}{},
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// Addr returns the address where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// HostKeys returns the public halves of the host keys, such as for their fingerprints.
func (s *Server) HostKeys() []ssh.PublicKey { return s.hostKeys }

// Serve answers connections until ctx is done or Shutdown is called; then it returns nil. When ctx
// is done it ends all sessions first, in an orderly way.
func (s *Server) Serve(ctx context.Context) error {
	unhook := context.AfterFunc(ctx, s.close)
	defer unhook()
	s.knowVisitors(ctx)
	err := s.accept()
	if s.ctx.Err() == nil {
		return err
	}
	if ctx.Err() != nil {
		return s.Shutdown(context.WithoutCancel(ctx))
	}
	return nil
}

// knowVisitors tells the limiter which addresses users logged in from before this start.
func (s *Server) knowVisitors(ctx context.Context) {
	sources, err := s.appliance.Visitors(ctx)
	if err != nil {
		s.log.Warn("ssh: the addresses of earlier logins are not known", "error", err)
	}
	for _, source := range slices.Backward(sources) { // the latest comes last
		if a, err := netip.ParseAddr(source); err == nil {
			s.startups.Visited(gate.SourceOf(a))
		}
	}
}

// Shutdown stops listening, hangs up every session and waits until their processes have ended and
// their logins are closed. When ctx is done before that, the connections are cut.
func (s *Server) Shutdown(ctx context.Context) error {
	s.close()
	ended := make(chan struct{})
	go func() {
		s.clients.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		s.cut()
		return ctx.Err()
	}
}

// close stops listening and ends the sessions.
func (s *Server) close() {
	s.stop()
	s.listener.Close()
}

// cut closes all connections.
func (s *Server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		conn.Close()
	}
}

// accept serves every connection in a goroutine of its own, until the listener is closed.
func (s *Server) accept() error {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return err
			}
			// There are no more descriptors, or the connection broke in the queue. That must not
			// end the listener.
			s.log.Warn("ssh: accept failed", "error", err)
			select {
			case <-s.ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		if !s.enter(conn) {
			conn.Close()
			continue
		}
		go func() {
			defer s.leave(conn)
			s.serveConn(conn)
		}()
	}
}

// enter notes an open connection. It reports false if the server stops.
func (s *Server) enter(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.conns[conn] = struct{}{}
	s.clients.Add(1)
	return true
}

// leave closes a connection and forgets it.
func (s *Server) leave(conn net.Conn) {
	conn.Close()
	s.mu.Lock()
	delete(s.conns, conn)
	s.mu.Unlock()
	s.clients.Done()
}
