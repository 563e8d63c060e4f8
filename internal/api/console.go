package api

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// OwnConnection makes a connection for the shell on the terminal that the appliance was started on.
// The caller has a session process inherit it, and closes it.
func (s *Server) OwnConnection() (*os.File, error) {
	ours, theirs, err := sessionPair()
	if err != nil {
		return nil, err
	}
	caller, ended, detach, err := s.appliance.Console()
	if err != nil {
		return nil, errors.Join(err, ours.Close(), theirs.Close())
	}
	s.AddSession(ours, caller, ended, detach)
	return theirs, nil
}

// sessionPair makes the two ends of a session's connection.
func sessionPair() (ours net.Conn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "connection")
	end := os.NewFile(uintptr(fds[0]), "connection")
	defer end.Close()
	if ours, err = net.FileConn(end); err != nil {
		theirs.Close()
	}
	return ours, theirs, err
}
