package api

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

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
	f := os.NewFile(uintptr(fd), "connection")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return c.(*net.UnixConn), nil
}
