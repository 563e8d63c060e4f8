package privsep

import (
	"errors"
	"net"
	"os"

	"diagsh/internal/access"
)

// A Spawner starts session processes.
type Spawner interface {
	// Start starts one with the connection as its descriptor 3. The caller closes the connection.
	Start(program access.Program, connection *os.File) (Child, error)
}

// A Child is a session process that runs.
type Child interface {
	// Files returns the other ends of its descriptors: the master of its terminal, or its input, output and errors.
	Files() []*os.File

	// CloseFiles closes them in this process.
	CloseFiles()

	// Signal sends the process a signal by its name without SIG.
	Signal(name string) error

	// HangUp ends the process, by force if need be.
	HangUp()

	// Wait waits for the end. Called once.
	Wait() (access.Ended, error)
}

// serveProgram runs a program for a login on a connection of the front. The end of that connection hangs the program up.
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
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		listen(c, child, q.Number)
		child.HangUp()
	}()
	ended, err := child.Wait()
	if err != nil {
		respond(c, q, m.failed(q.Do, err))
	} else {
		respond(c, q, reply{Ended: &ended})
	}
	c.Close()
	<-heard
}

// errHungUp says that nobody waits for the answer.
var errHungUp = errors.New("the front has hung up")

// startProgram attaches the login, hears which program it is and starts it. The program has a connection of its own, which carries the
// identity of the login, and which the front does not see. The question that it returns is the one to answer.
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
	if q, err = hearProgram(c, q); err == nil {
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

// hearProgram answers the question for a program, and returns the one that says which.
func hearProgram(c *net.UnixConn, spawn request) (start request, err error) {
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

func (m *Monitor) start(program access.Program, connection *net.UnixConn) (Child, error) {
	file, err := connection.File()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return m.spawner.Start(program, file)
}

// listen obeys what the front says about a program that runs, until the connection ends or what it says does not fit.
func listen(c *net.UnixConn, child Child, last uint64) {
	for ; ; last++ {
		q, err := readRequest(c, last, maxFirstFrame)
		if err != nil || q.Do != "signal" {
			return // "hangUp", for one
		}
		child.Signal(q.Signal) // it may have ended meanwhile
	}
}
