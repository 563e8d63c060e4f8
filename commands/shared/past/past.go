// Package past says since when a socket exists, and which processes had it, as long as sockets are
// watched: by the port log, or by a capture that asks for processes.
package past

import (
	"strconv"
	"time"

	"diagsh/diag/ports"
	"diagsh/diag/users"
	"diagsh/internal/menu"
)

// A Service knows sockets while they are watched.
type Service interface {
	SocketOwner(cookie, inode uint64) (ports.Owner, bool)
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

// Of returns the past of a socket by its cookie and its inode, nil if it is not known.
func Of(s Service, cookie uint64, inode uint32, names users.Names) *Past {
	o, ok := s.SocketOwner(cookie, uint64(inode))
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
