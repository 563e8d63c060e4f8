package api

import (
	"context"
	"errors"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// FrontDialer returns the dial function for NewFrontEnd when server and appliance are one process: each call makes a pair of
// connected sockets and answers on one of them.
func (s *Server) FrontDialer() func(context.Context) (*net.UnixConn, error) {
	return func(context.Context) (*net.UnixConn, error) {
		ours, theirs, err := pair()
		if err != nil {
			return nil, err
		}
		go s.serveFront(ours)
		return theirs, nil
	}
}

// OwnConnection makes a connection for the shell that the appliance opens on its own terminal. A session process inherits it.
func (s *Server) OwnConnection() (*os.File, error) {
	ours, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	caller, ended, detach, err := s.appliance.Console()
	if err != nil {
		ours.Close()
		return nil, err
	}
	s.handoff.give(identify(ours, caller, ended, detach))
	return theirs.File()
}

// pair makes two connected sockets.
func pair() (ours, theirs *net.UnixConn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ours, err = unixConn(fds[0])
	theirs, err2 := unixConn(fds[1])
	return ours, theirs, errors.Join(err, err2)
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
	q, err := readQuestion(c, 0)
	if err != nil {
		c.Close()
		return
	}
	switch q.Do {
	case "attach", "files":
		caller, ended, detach, err := s.appliance.Attach(q.Login, q.Kind)
		if err != nil {
			reply(c, q, frontReply{Error: bodyOf(s.asError("attach", err))}, nil)
			c.Close()
			return
		}
		id := identify(c, caller, ended, detach)
		if err := reply(c, q, frontReply{}, nil); err != nil {
			id.Close()
			return
		}
		if q.Do == "attach" {
			s.handoff.give(id)
			return
		}
		defer id.Close()
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
		answer, err := s.front(ctx, q)
		if err != nil {
			answer = frontReply{Error: bodyOf(s.asError(q.Do, err))}
		}
		reply(c, q, answer, nil)
	}
}

// readQuestion reads the question behind the one with the number last.
func readQuestion(c io.Reader, last uint64) (frontRequest, error) {
	var q frontRequest
	err := readFrame(c, &q)
	if err == nil && q.Number != last+1 {
		err = outOfStep("question %d behind question %d", q.Number, last)
	}
	return q, err
}

// reply answers a question, with an open descriptor unless f is nil.
func reply(c *net.UnixConn, q frontRequest, a frontReply, f *os.File) error {
	a.Number = q.Number
	return writeFrame(c, a, f)
}

func (s *Server) front(ctx context.Context, q frontRequest) (frontReply, error) {
	switch q.Do {
	case "banner":
		return frontReply{Text: s.appliance.Banner()}, nil
	case "visitors":
		return frontReply{Sources: s.appliance.Visitors()}, nil
	case "knocked":
		if q.Knock == nil {
			break
		}
		s.appliance.Knocked(*q.Knock)
		return frontReply{}, nil
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
