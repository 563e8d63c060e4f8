package api

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/internal/menu"
)

// An identified connection belongs to one session; Close ends the session. If refusal is set, it
// belongs to none, and every request is answered with the refusal.
type identified struct {
	net.Conn
	session   string
	refusal   *menu.Error
	demanding bool // bodies must be announced as JSON
	repeats   repeats
	once      sync.Once
	detach    func()
}

func (c *identified) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.detach)
	return err
}

// identify binds a connection to a session. It closes the connection when ended is closed.
func identify(c net.Conn, caller menu.Caller, ended <-chan struct{}, detach func()) *identified {
	gone := make(chan struct{})
	id := &identified{Conn: c, session: caller.Session}
	id.detach = func() { close(gone); detach() }
	go func() {
		select {
		case <-ended:
			id.Close()
		case <-gone:
		}
	}()
	return id
}

// A localListener accepts connections on the appliance's own socket, and asks the kernel who the
// peer is.
type localListener struct {
	*net.UnixListener
	server  *Server
	refused atomic.Int32 // connections without a session that are open
}

func (l *localListener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, err := peerUID(c)
		if err != nil {
			c.Close()
			continue
		}
		caller, ended, detach, err := l.server.appliance.Local(uid)
		if err != nil {
			if refused, ok := l.refuse(c, l.server.AsError("the socket", err)); ok {
				return refused, nil
			}
			continue
		}
		return identify(c, caller, ended, detach), nil
	}
}

const (
	// maxRefused is how many peers without a session can be told why at a time. Others find a
	// closed connection.
	maxRefused = 64
	// refusalTime is how long such a peer has to send a request and read the reply.
	refusalTime = 5 * time.Second
)

// refuse returns a connection on which every request is answered with the refusal, since a client
// of HTTP understands nothing else. ok is false if too many of them are open.
func (l *localListener) refuse(c net.Conn, why *menu.Error) (refused net.Conn, ok bool) {
	if l.refused.Add(1) > maxRefused {
		l.refused.Add(-1)
		c.Close()
		return nil, false
	}
	r := &identified{Conn: c, refusal: why, detach: func() { l.refused.Add(-1) }}
	time.AfterFunc(refusalTime, func() { r.Close() })
	return r, true
}

// peerUID returns the user who called connect, by SO_PEERCRED (unix(7)).
func peerUID(c *net.UnixConn) (uint32, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var sockErr error
	err = raw.Control(func(fd uintptr) {
		cred, sockErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err != nil {
		return 0, err
	}
	if sockErr != nil {
		return 0, sockErr
	}
	return cred.Uid, nil
}

// A handoff is a listener whose connections are given by give: it passes connections that are bound
// to a session to the HTTP server.
type handoff struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newHandoff() *handoff { return &handoff{conns: make(chan net.Conn), closed: make(chan struct{})} }

// give passes a connection to Accept. It closes the connection if the listener is closed.
func (h *handoff) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.closed:
		c.Close()
	}
}

func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *handoff) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

func (h *handoff) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: "session"} }
