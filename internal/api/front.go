package api

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"diagsh/internal/menu"
)

// maxFrontConns bounds the connections that one front has open: one for each client and each session, and what they ask meanwhile.
const maxFrontConns = 4096

// firstQuestionTime is how long a connection of the front may be open before it asks for something.
const firstQuestionTime = 10 * time.Second

var errFrontEnded = errors.New("the front has ended")

// FrontOptions are what a front can have done beside what the appliance does.
type FrontOptions struct {
	Spawner  Spawner
	HostKeys HostKeys
}

// A Front is the appliance's side of a front: what listens on the network, in a process of its own. Whatever that process becomes, it
// acts only for logins that it made, and they end with it.
type Front struct {
	server   *Server
	spawner  Spawner
	hostKeys HostKeys
	places   chan struct{} // holds an element for each connection

	patience time.Duration // firstQuestionTime, but in tests

	mu      sync.Mutex
	ended   bool
	faults  int // connections at fault
	conns   map[net.Conn]struct{}
	logins  map[string]struct{}
	serving sync.WaitGroup
}

// NewFront returns the side of a front that begins. Its owner closes it when the front has ended.
func (s *Server) NewFront(o FrontOptions) *Front {
	return &Front{server: s, spawner: o.Spawner, hostKeys: o.HostKeys, places: make(chan struct{}, maxFrontConns), patience: firstQuestionTime,
		conns: map[net.Conn]struct{}{}, logins: map[string]struct{}{}}
}

// Dial makes a pair of connected sockets, answers on one and returns the other. It waits while the front has too many connections.
func (f *Front) Dial(ctx context.Context) (*net.UnixConn, error) {
	select {
	case f.places <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ours, theirs, err := pair()
	if err == nil && !f.enter(ours) {
		ours.Close()
		theirs.Close()
		err = errFrontEnded
	}
	if err != nil {
		<-f.places
		return nil, err
	}
	go func() {
		defer f.leave(ours)
		f.serve(ours)
	}()
	return theirs, nil
}

func (f *Front) enter(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return false
	}
	f.conns[c] = struct{}{}
	f.serving.Add(1)
	return true
}

func (f *Front) leave(c net.Conn) {
	c.Close()
	f.mu.Lock()
	delete(f.conns, c)
	f.mu.Unlock()
	f.serving.Done()
	<-f.places
}

// Close ends the connections of a front that is gone, hangs up the sessions that it began and ends its logins. It returns when the
// processes of the sessions have ended.
func (f *Front) Close() {
	f.mu.Lock()
	f.ended = true
	for c := range f.conns {
		c.Close()
	}
	logins := f.logins
	f.logins = nil
	f.mu.Unlock()
	for login := range logins {
		f.server.appliance.Logout(login)
	}
	f.serving.Wait()
}

// adopt notes that the front made a login. It reports false when the front has ended.
func (f *Front) adopt(login string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.logins[login] = struct{}{}
	}
	return !f.ended
}

// disown forgets a login, and reports whether the front had made it.
func (f *Front) disown(login string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, own := f.logins[login]
	delete(f.logins, login)
	return own
}

var (
	errForeignLogin    = menu.Errorf(menu.Denied, "There is no such login")
	errUnknownQuestion = menu.Errorf(menu.Usage, "The front asked for something unknown")
)

// attach begins a session of a login that the front made.
func (f *Front) attach(login, kind string) (caller menu.Caller, ended <-chan struct{}, detach func(), err error) {
	f.mu.Lock()
	_, own := f.logins[login]
	f.mu.Unlock()
	if !own {
		return menu.Caller{}, nil, nil, errForeignLogin
	}
	return f.server.appliance.Attach(login, kind)
}

// serve answers one connection of the front.
func (f *Front) serve(c *net.UnixConn) {
	s := f.server
	c.SetReadDeadline(time.Now().Add(f.patience))
	q, err := readQuestion(c, 0, maxFirstFrame)
	if err != nil {
		f.fault(err)
		return
	}
	c.SetReadDeadline(time.Time{})
	switch q.Do {
	case "files":
		caller, ended, detach, err := f.attach(q.Login, "sftp")
		if err != nil {
			reply(c, q, frontReply{Error: s.asError(q.Do, err)})
			return
		}
		id := identify(c, caller, ended, detach)
		defer id.Close()
		if reply(c, q, frontReply{}) == nil {
			f.fault(s.serveFiles(c, caller.Session))
		}
	case "spawn":
		f.serveProgram(c, q)
	case "client":
		f.serveClient(c, q)
	default:
		// The front hangs up when its client does: then what waits for it is given up.
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			io.Copy(io.Discard, c)
			cancel()
		}()
		answer, err := f.answer(ctx, q)
		if err != nil {
			answer = frontReply{Error: s.asError(q.Do, err)}
		}
		reply(c, q, answer)
	}
}

// fault tells the log of a connection at fault, once a front: one that was taken over may have as many as it likes.
func (f *Front) fault(err error) {
	if !errors.Is(err, errOutOfStep) {
		return
	}
	f.mu.Lock()
	f.faults++
	first := f.faults == 1
	f.mu.Unlock()
	if first {
		f.server.log.Error("the front asks in a way that it should not", "error", err)
	}
}

// readQuestion reads the question after the one with the number last, in a frame of at most that many bytes.
func readQuestion(c io.Reader, last uint64, most uint32) (frontRequest, error) {
	var q frontRequest
	err := readFrame(c, most, &q)
	if err == nil && q.Number != last+1 {
		err = outOfStep("question %d after question %d", q.Number, last)
	}
	return q, err
}

// reply answers a question, with open descriptors.
func reply(c *net.UnixConn, q frontRequest, a frontReply, files ...*os.File) error {
	a.Number = q.Number
	return writeFrame(c, a, files...)
}

// answer answers a question that is the only one of its connection.
func (f *Front) answer(ctx context.Context, q frontRequest) (frontReply, error) {
	s := f.server
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
	case "hostKeys":
		return frontReply{Keys: f.hostKeys.Public()}, nil
	}
	return frontReply{}, errUnknownQuestion
}
