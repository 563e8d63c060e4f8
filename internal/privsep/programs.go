package privsep

import (
	"errors"
	"net"

	"diagsh/internal/access"
)

// serveProgram runs a program for a login. It hangs the program up when the connection of the front
// ends.
func (m *Monitor) serveProgram(c *net.UnixConn, q request) {
	child, q, err := m.startProgram(c, q)
	if errors.Is(err, errHungUp) {
		m.fault(err)
		return
	}
	if err != nil {
		respond(c, q, m.failed(q.Do, err))
		return
	}
	err = respond(c, q, reply{}, child.Files()...)
	child.CloseFiles()
	if err != nil {
		child.HangUp()
	}
	obeyed := make(chan struct{})
	go func() {
		defer close(obeyed)
		obey(c, child, q.Number)
		child.HangUp()
	}()
	ended, err := child.Wait()
	if err != nil {
		respond(c, q, m.failed(q.Do, err))
	} else {
		respond(c, q, reply{Ended: &ended})
	}
	c.Close()
	<-obeyed
}

// errHungUp means that the front does not wait for a reply.
var errHungUp = errors.New("the front has hung up")

// startProgram attaches the login, reads which program it is and starts it. The program has a
// connection of its own, which carries the identity of the login. The front does not see it.
// startProgram also returns the request to reply to.
func (m *Monitor) startProgram(c *net.UnixConn, q request) (Child, request, error) {
	kind := q.Kind
	if kind != "shell" && kind != "exec" {
		return nil, q, errUnknownRequest
	}
	caller, ended, detach, err := m.attach(q.Login, kind)
	if err != nil {
		return nil, q, err
	}
	ours, theirs, err := pair()
	if err != nil {
		detach()
		return nil, q, err
	}
	defer theirs.Close()
	var child Child
	if q, err = readProgram(c, q); err == nil {
		child, err = m.start(*q.Program, theirs)
	}
	if err != nil {
		ours.Close()
		detach()
		return nil, q, err
	}
	m.boundary.AddSession(ours, caller, ended, detach)
	return child, q, nil
}

// readProgram replies to "spawn", and returns the request that names the program.
func readProgram(c *net.UnixConn, spawn request) (start request, err error) {
	if err := respond(c, spawn, reply{}); err != nil {
		return spawn, err
	}
	start, err = readRequest(c, spawn.Number, maxRequestFrame)
	switch {
	case err != nil:
		return start, errors.Join(errHungUp, err)
	case start.Do != "start" || start.Program == nil || start.Program.Kind != spawn.Kind:
		return start, errUnknownRequest
	}
	return start, nil
}

// start starts a program with its connection.
func (m *Monitor) start(program access.Program, connection *net.UnixConn) (Child, error) {
	file, err := connection.File()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return m.spawner.Start(program, file)
}

// obey does what the front asks for while a program runs. It returns at the end of the connection,
// at "hangUp", and at any fault.
func obey(c *net.UnixConn, child Child, last uint64) {
	for ; ; last++ {
		q, err := readRequest(c, last, maxFirstFrame)
		if err != nil || q.Do != "signal" {
			return
		}
		child.Signal(q.Signal) // fails if it has ended meanwhile
	}
}
