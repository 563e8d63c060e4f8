package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"diagsh/access"
	"diagsh/menu"
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
	var open downloads
	defer func() {
		// The session ended first, as it does when an account expires. What was read is not known, that it could be is.
		for _, d := range open {
			s.appliance.Record(d.event("not known"))
		}
	}()
	for {
		q, err := readFrontLine(c)
		if err != nil {
			return
		}
		if q.Do == "done" {
			if d, ok := open.take(q.Name); ok {
				s.appliance.Record(d.event(fmt.Sprint(q.Bytes)))
			}
			if reply(c, frontReply{}) != nil {
				return
			}
			continue
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
			open = append(open, download{caller, q.Name})
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

// A download is a file that a session has open, and who opened it: the account may be gone when it is closed.
type download struct {
	caller menu.Caller
	name   string
}

func (d download) event(bytes string) access.Event {
	e := fileEvent(d.caller, access.ActDownload, d.name, nil)
	e.Arguments = map[string]string{"bytes": bytes}
	return e
}

type downloads []download

func (d *downloads) take(name string) (download, bool) {
	i := slices.IndexFunc(*d, func(one download) bool { return one.name == name })
	if i < 0 {
		return download{}, false
	}
	taken := (*d)[i]
	*d = slices.Delete(*d, i, i+1)
	return taken, true
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
	case "remove":
		return frontReply{}, nil, s.remove(caller, q.Name)
	}
	return frontReply{}, nil, menu.Errorf(menu.Usage, "The front end asked for something unknown")
}
