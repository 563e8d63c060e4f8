// Package past says since when a socket exists, and which processes had it, as long as sockets are
// watched: by the port log, or by a capture that asks for processes.
package past

import (
	"net/netip"
	"strconv"
	"time"

	"diagsh/diag/ports"
	"diagsh/diag/sockets"
	"diagsh/diag/users"
	"diagsh/internal/menu"
)

// A Service knows sockets while they are watched.
type Service interface {
	SocketOwner(cookie, inode uint64) (ports.Owner, bool)
	EndedOwner(local, remote netip.AddrPort) (ports.Owner, bool)
	PortsStatus() (ports.Status, bool)
}

// A Process is one that had a socket.
type Process struct {
	PID     int    `json:"pid"`
	Process string `json:"process,omitempty"`
	User    string `json:"user,omitempty"`
}

// Text returns a process as PID/NAME, "-" if it is not known.
func (p *Process) Text() string {
	if p == nil {
		return "-"
	}
	return strconv.Itoa(p.PID) + "/" + menu.Clean(p.Process)
}

// A Past is what was seen of a socket. What is not known is left out.
type Past struct {
	Since      *time.Time `json:"sinceTime,omitempty"`
	OpenedBy   *Process   `json:"openedBy,omitempty"`
	AcceptedBy *Process   `json:"acceptedBy,omitempty"`
	LastUsedBy *Process   `json:"lastUsedBy,omitempty"`

	// Older reports that the socket is older than the watch: Since is when that began.
	Older bool `json:"older,omitempty"`
}

// Of returns the past of a socket, nil if it is not known. That of a connection which waits after its
// socket was closed, as in TIME_WAIT, is the socket's.
func Of(s Service, socket *sockets.Socket, names users.Names) *Past {
	o, ok := s.SocketOwner(socket.Cookie, uint64(socket.Inode))
	if !ok && socket.Inode == 0 && socket.Kind == sockets.KindTCP && !socket.Waits() {
		o, ok = s.EndedOwner(unmapped(socket.Local), unmapped(socket.Remote))
	}
	if !ok {
		return nil
	}
	process := func(p ports.Process) *Process {
		if p.PID == 0 {
			return nil
		}
		user := p.User
		if user == "" {
			user = names.Of(p.UID)
		}
		return &Process{p.PID, p.Name, user}
	}
	p := &Past{OpenedBy: process(o.Opened), AcceptedBy: process(o.Accepted), LastUsedBy: process(o.Last), Older: o.Before}
	if !o.Since.IsZero() {
		p.Since = &o.Since
	}
	return p
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// Last returns who had the socket last, nil if that is not known.
func (p *Past) Last() *Process {
	switch {
	case p == nil:
		return nil
	case p.LastUsedBy != nil:
		return p.LastUsedBy
	case p.AcceptedBy != nil:
		return p.AcceptedBy
	}
	return p.OpenedBy
}

// SinceText returns since when the socket exists, in UTC, "-" if that is not known.
func (p *Past) SinceText() string {
	if p == nil || p.Since == nil {
		return "-"
	}
	text := p.Since.UTC().Format("2006-01-02 15:04:05")
	if p.Older {
		return "before " + text
	}
	return text
}

// Opener and Accepter return who opened and who accepted the socket, as Process.Text does.
func (p *Past) Opener() string {
	if p == nil {
		return "-"
	}
	return p.OpenedBy.Text()
}

func (p *Past) Accepter() string {
	if p == nil {
		return "-"
	}
	return p.AcceptedBy.Text()
}

// Unwatched is what a list says instead, if nothing watches sockets.
const Unwatched = "Sockets are not watched at the moment, so their past is not known: portlog start has them watched.\n"
