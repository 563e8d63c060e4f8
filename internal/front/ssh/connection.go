package ssh

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/access"
	"diagsh/internal/front/gate"
	"diagsh/internal/menu"
)

// reportTime bounds how long the end of a connection waits until its attempts are recorded.
const reportTime = 5 * time.Second

// serveConn serves a connection from its first byte to its last.
func (s *Server) serveConn(raw net.Conn) {
	address := gate.AddressOf(raw.RemoteAddr())
	log := s.log.With("source", address.String())
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	slot, err := s.startups.Enter(gate.SourceOf(address), func() { raw.Close() })
	if err != nil {
		s.refusals.Tell(log, "ssh: refused before login", "error", err)
		return
	}
	wire := &clientConn{Conn: raw, onLost: cancel}
	auth := &authenticator{ctx: ctx, appliance: s.appliance, source: address.String(), slot: slot, log: log}
	defer auth.leave()
	conn, channels, requests, err := s.handshake(wire, auth)
	if madeRoom := slot.Leave(); err != nil {
		if madeRoom {
			err = gate.ErrMadeRoom
		}
		s.noLogin(auth, err)
		return
	}
	s.startups.Visited(gate.SourceOf(address))
	raw.SetDeadline(time.Time{})

	c := &client{
		server: s,
		conn:   conn,
		wire:   wire,
		login:  loginOf(conn.Permissions),
		ctx:    ctx,
		log:    log.With("user", conn.User()),
	}
	c.worked()
	c.serve(channels, requests)
}

// handshake exchanges keys and logs in. It ends after LoginTime at the latest, and at once when the
// server stops.
func (s *Server) handshake(wire *clientConn, auth *authenticator) (*ssh.ServerConn, <-chan ssh.NewChannel,
	<-chan *ssh.Request, error) {
	unhook := context.AfterFunc(auth.ctx, func() { wire.Close() })
	defer unhook()
	now := time.Now()
	forLogin := now.Add(s.limits.LoginTime)
	forHello := now.Add(min(s.limits.HelloTime, s.limits.LoginTime))
	wire.SetDeadline(forHello)
	hello, err := wire.hello(forHello)
	if err != nil {
		return nil, nil, nil, err
	}
	if hello != nil {
		wire.SetDeadline(forLogin)
	}
	auth.begun = func() {
		wire.SetDeadline(forLogin)
		auth.slot.Known()
	}
	if auth.client, err = s.appliance.Client(auth.ctx); err != nil {
		return nil, nil, nil, err
	}
	config := auth.config()
	cookie := auth.client.Cookie()
	config.FirstKexCookie = &cookie
	offer(config, s.hostKeys, auth.client, hello)
	return ssh.NewServerConn(wire, config)
}

// maxReason bounds in bytes what the log says of a failed handshake, parts of which strangers
// choose.
const maxReason = 400

// noLogin logs a connection that did not log in, and audits its attempts. A connection that said
// nothing made none: many only look whether the port is open.
func (s *Server) noLogin(a *authenticator, err error) {
	if s.ctx.Err() != nil {
		return // the server has ended it
	}
	if errors.Is(err, errSilent) {
		a.log.Debug("ssh: no login", "error", err)
	} else {
		what := []any{"error", reasonOf(err)}
		if a.tries > 0 {
			what = append(what, "refused", a.tries)
		}
		s.refusals.Tell(a.log, "ssh: no login", what...)
	}
	if a.knock == (access.Knock{}) {
		return
	}
	a.knock.User, a.knock.Source = a.user, a.source
	ctx, cancel := context.WithTimeout(s.ctx, reportTime)
	defer cancel()
	if err := s.appliance.Knocked(ctx, a.knock); err != nil && s.ctx.Err() == nil {
		a.log.Warn("ssh: attempts were not recorded", "error", err)
	}
}

// reasonOf returns why a handshake failed. For attempts to log in it has each reason once.
func reasonOf(err error) string {
	reason := err.Error()
	if attempts, ok := errors.AsType[*ssh.ServerAuthError](err); ok {
		reasons := []string{}
		for _, one := range attempts.Errors {
			if text := one.Error(); one != ssh.ErrNoAuth && !slices.Contains(reasons, text) {
				reasons = append(reasons, text)
			}
		}
		reason = cmp.Or(strings.Join(reasons, ", "), "the client left before it tried to log in")
	}
	return menu.Bounded(menu.CleanLines(reason), maxReason)
}

// A client is a connection that has logged in.
type client struct {
	server *Server
	conn   ssh.Conn
	wire   *clientConn
	login  access.Login
	ctx    context.Context // done when the client is gone or the server stops
	log    *slog.Logger

	open     atomic.Int32 // channels
	opened   bool         // a session was opened; for the goroutine of serve
	sealed   atomic.Bool  // the client opens no more sessions
	working  atomic.Int32 // programs that run, except SFTP, whose requests count instead
	lastWork atomic.Int64 // of programs and requests, in Unix nanoseconds
}

// serve opens sessions until the connection or the server ends, and then waits for their processes.
func (c *client) serve(channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	ctx, cancel := context.WithCancel(c.ctx)
	c.ctx = ctx
	go c.answer(requests)
	go c.keepAlive()
	var sessions sync.WaitGroup
	for serving := true; serving; {
		select {
		case channel, ok := <-channels:
			if !ok {
				serving = false
			} else if !c.mayOpen(channel) {
				continue
			} else {
				sessions.Go(func() { c.session(channel) })
			}
		case <-ctx.Done():
			serving = false
		}
	}
	cancel()
	// The programs end within the grace. Their last output goes to a client that reads. A client
	// that does not read is cut off.
	cut := time.AfterFunc(2*c.server.limits.Grace, func() { c.wire.Close() })
	sessions.Wait()
	cut.Stop()
	c.conn.Close()
	for channel := range channels {
		channel.Reject(ssh.ConnectionFailed, "the connection is closing")
	}
}

// mayOpen reports whether a channel may be opened, and rejects it if not. There is no forwarding
// (RFC 4254 section 7).
func (c *client) mayOpen(channel ssh.NewChannel) bool {
	// The library delivers requests and channels apart. So the request that seals the connection
	// may overtake the first session.
	if channel.ChannelType() != "session" || c.sealed.Load() && c.opened {
		channel.Reject(ssh.Prohibited, "only sessions can be opened here")
		return false
	}
	if int(c.open.Load()) >= c.server.limits.Channels {
		channel.Reject(ssh.ResourceShortage, "too many sessions on this connection")
		return false
	}
	c.opened = true
	c.open.Add(1)
	return true
}

// session opens a session and serves it.
func (c *client) session(channel ssh.NewChannel) {
	defer c.open.Add(-1)
	ch, requests, err := channel.Accept()
	if err != nil {
		return
	}
	newSession(c, ch).serve(requests)
}

// answer replies to global requests (RFC 4254 section 4). It refuses all of them, which is a sign
// of life for clients that ask for one.
func (c *client) answer(requests <-chan *ssh.Request) {
	for r := range requests {
		if r.Type == "no-more-sessions@openssh.com" { // PROTOCOL of OpenSSH, section 2.2
			c.sealed.Store(true)
		}
		r.Reply(false, nil)
	}
}

// work notes that a program runs, until the caller calls done.
func (c *client) work() (done func()) {
	c.working.Add(1)
	return func() {
		c.worked()
		c.working.Add(-1)
	}
}

// worked notes that the client works now.
func (c *client) worked() { c.lastWork.Store(time.Now().UnixNano()) }

// idle reports whether the connection has been idle for longer than the login allows. The session
// process of a shell looks after its own idle time. This ends SFTP clients, and connections without
// a session.
func (c *client) idle() bool {
	limit := time.Duration(c.login.Idle) * time.Second
	return limit > 0 && c.working.Load() == 0 && time.Since(time.Unix(0, c.lastWork.Load())) > limit
}

// present asks the client whether it is there, and waits for the reply. That the client does not
// know the request is a reply too (RFC 4254 section 4).
func (c *client) present() bool {
	_, _, err := c.conn.SendRequest("keepalive@openssh.com", true, nil)
	return err == nil
}

// keepAlive asks a quiet client for a sign of life. It closes the connection after three intervals
// without any, or when the client is idle. The request may block if the client does not read, so it
// has a goroutine of its own.
func (c *client) keepAlive() {
	interval := c.server.limits.KeepAlive
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var asked atomic.Bool
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		quiet := c.wire.quiet()
		if quiet > 3*interval {
			c.log.Info("ssh: the client gives no sign of life")
			c.wire.Close()
			return
		}
		if c.idle() {
			c.log.Info("ssh: the connection was idle")
			c.conn.Close()
			return
		}
		if quiet >= interval && asked.CompareAndSwap(false, true) {
			go func() {
				c.conn.SendRequest("keepalive@openssh.com", true, nil)
				asked.Store(false)
			}()
		}
	}
}
