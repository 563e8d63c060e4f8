package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/api/digests"
	"diagsh/internal/api/idempotency"
	"diagsh/internal/api/runs"
	"diagsh/internal/api/sse"
	"diagsh/internal/menu"
	"diagsh/internal/menu/problem"
)

// Bounds of a session: the commands that run at a time, and all requests at a time on one
// connection of HTTP/2. The menus need two or three, and each run needs room for its interrupt. The
// tabs of a browser share a session, and each of them may follow several things.
const (
	maxRuns     = 24
	maxRequests = 96
)

// background reports whether no act of a user is behind a request.
func background(r *http.Request) bool { return r.Header.Get(access.BackgroundHeader) == "true" }

// A Server is the appliance's side of the boundary.
type Server struct {
	appliance Appliance
	tree      *menu.Menu
	log       *slog.Logger

	http    *http.Server
	handoff *handoff // takes connections that are bound to a session

	document func() ([]byte, error) // of OpenAPI

	mu      sync.Mutex
	runs    map[string]*run // commands that run now, by identifier
	streams sse.Places      // of events, by session

	digests digests.Digests

	background runs.Table // commands that go on without their connections
	keys       idempotency.Memory

	bodyTime, longRun, quietTime time.Duration // the constants; shorter in tests
}

// NewServer returns the boundary around an appliance and its tree of commands.
func NewServer(appliance Appliance, tree *menu.Menu, log *slog.Logger) *Server {
	s := &Server{
		appliance: appliance,
		tree:      tree,
		log:       log,
		handoff:   newHandoff(),
		runs:      map[string]*run{},
		bodyTime:  problem.BodyTime,
		longRun:   longRun,
		quietTime: sse.Quiet,
	}
	s.document = sync.OnceValues(func() ([]byte, error) { return OpenAPI(tree) })
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/session", s.with(s.session))
	mux.HandleFunc("GET /v1/hostname", s.with(s.hostname))
	mux.HandleFunc("GET /v1/leaving", s.with(s.leaving))
	mux.HandleFunc("GET /v1/tree", s.with(s.describe))
	mux.HandleFunc("GET /v1/openapi.json", s.with(s.openAPI))
	mux.HandleFunc("GET /v1/menu/{path...}", s.with(s.menu))
	mux.HandleFunc("GET /v1/help/{path...}", s.with(s.help))
	mux.HandleFunc("POST /v1/parse", s.with(s.parse))
	mux.HandleFunc("POST /v1/complete", s.with(s.complete))
	mux.HandleFunc("POST /v1/ask/{path...}", s.with(s.ask))
	mux.HandleFunc("POST /v1/assist/{path...}", s.with(s.assist))
	mux.HandleFunc("POST /v1/run/{path...}", s.with(s.asynchronous(pathOf, s.run)))
	mux.HandleFunc("GET /v1/runs", s.with(s.listRuns))
	mux.HandleFunc("GET /v1/runs/{run}", s.with(s.showRun))
	mux.HandleFunc("GET /v1/runs/{run}/result", s.with(s.resultOfRun))
	mux.HandleFunc("DELETE /v1/runs/{run}", s.with(s.endRun))
	mux.HandleFunc("POST /v1/interrupt/{run}", s.with(s.interrupt))
	mux.HandleFunc("POST /v1/input/{run}", s.with(s.input))
	mux.HandleFunc("POST /v1/history", s.with(s.history))
	mux.HandleFunc("GET /v1/events", s.withoutAct(s.events))
	mux.HandleFunc("GET /v1/files", s.with(s.listFiles))
	mux.HandleFunc("GET /v1/files/{name}", s.with(s.readFile))
	mux.HandleFunc("DELETE /v1/files/{name}", s.with(s.removeFile))
	mux.HandleFunc("GET /v1/problems/{type}", s.with(s.problem))
	mux.HandleFunc("GET /v1/archive", s.with(s.archive))

	s.mountResources(mux)

	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	// A session has one connection and needs several requests on it at once: a running command and
	// its interrupt.
	protocols.SetUnencryptedHTTP2(true)
	s.http = &http.Server{
		Handler:           refused(routed(mux)),
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxRequests},
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, identityKey{}, c.(*identified))
		},
	}
	return s
}

// Serve answers on the appliance's own socket and on the connections of AddSession. It returns
// after Close.
func (s *Server) Serve(socket *net.UnixListener) error {
	done := make(chan error, 2)
	go func() { done <- s.http.Serve(&localListener{UnixListener: socket, server: s}) }()
	go func() { done <- s.http.Serve(s.handoff) }()
	err := <-done
	s.http.Close()
	<-done
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// AddSession answers requests of a session on a connection from now on. It closes the connection
// when ended is closed, and calls detach after the connection has ended.
func (s *Server) AddSession(c net.Conn, caller menu.Caller, ended <-chan struct{}, detach func()) {
	id := identify(c, caller, ended, detach)
	id.demanding = true
	s.handoff.give(id)
}

// Close ends all connections, and the context of each running command.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	s.background.Close(ctx)
	return s.http.Close()
}

// closeTime is how long the end of the boundary waits for commands in the background to end.
const closeTime = 2 * time.Second

type identityKey struct{}

func identityOf(r *http.Request) *identified { return r.Context().Value(identityKey{}).(*identified) }

// refused answers for h on a connection that has no session.
func refused(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if why := identityOf(r).refusal; why != nil {
			w.Header().Set("Connection", "close")
			problem.Write(w, why, "")
			return
		}
		h.ServeHTTP(w, r)
	})
}

// with reads the whole request, then looks up the caller, and answers with the error of a handler.
// This is the order because the sender decides when the body comes: a request that was begun before
// rights were taken away must not have them.
func (s *Server) with(h handler) http.HandlerFunc { return s.answer(h, true) }

// withoutAct is with for what no user does: the session is as idle as before.
func (s *Server) withoutAct(h handler) http.HandlerFunc { return s.answer(h, false) }

// A handler answers a request of a caller, or returns the error that is to be answered.
type handler func(http.ResponseWriter, *http.Request, menu.Caller) error

func (s *Server) answer(h handler, act bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer s.logPanic(r.URL.Path)
		session := identityOf(r).session
		err := s.takeBody(w, r)
		if err == nil {
			err = acceptable(r)
		}
		var caller menu.Caller
		if err == nil {
			caller, err = s.appliance.Current(session)
		}
		if err == nil {
			if act && !background(r) {
				s.appliance.Alive(session)
			}
			err = h(w, r, caller)
		}
		if err != nil {
			problem.Write(w, s.AsError(r.URL.Path, err), instanceOf(w))
		}
	}
}

// takeBody reads the body of a request into memory.
func (s *Server) takeBody(w http.ResponseWriter, r *http.Request) error {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	body, refused := problem.ReadBody(w, r, problem.MaxBody, s.bodyTime)
	if refused != nil {
		return refused
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// uses notes that the caller's session runs the command at path, until done is called, and looks up
// the caller once more. When rights are taken away, sessions that run something end
// (Sessions.Running). So no change is missed.
func (s *Server) uses(r *http.Request, caller menu.Caller, path string) (now menu.Caller, done func(), err error) {
	done = s.appliance.Running(caller.Session, path, background(r))
	now, err = s.appliance.Current(caller.Session)
	return now, done, err
}

// logPanic logs a panic of a handler with its place, and panics again, which breaks this one
// connection. The log of the HTTP server is full of what peers did.
func (s *Server) logPanic(what string) {
	p := recover()
	if p == nil {
		return
	}
	if p != http.ErrAbortHandler { // which is deliberate: output.finish
		s.log.Error("a request panicked", "what", what, "panic", p, "stack", string(debug.Stack()))
	}
	panic(http.ErrAbortHandler)
}

// AsError returns err as a user is told it. It logs, once, the cause that a user is not told; what
// says what failed.
func (s *Server) AsError(what string, err error) *menu.Error {
	known, ok := errors.AsType[*menu.Error](err)
	if !ok {
		if !errors.Is(err, context.Canceled) {
			s.log.Error("a request failed", "what", what, "error", err)
		}
		return menu.AsError(err)
	}
	if cause := known.Unwrap(); cause != nil {
		s.log.Error("a request failed", "what", what, "message", known.Message, "error", cause)
		return known.WithoutCause()
	}
	return known
}

// writeJSON answers with a document. It ignores errors of the peer, who cannot be told.
func writeJSON(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(body, '\n'))
	return nil
}

// pathOf returns the path of a command in a URL.
func pathOf(r *http.Request) []string {
	return strings.FieldsFunc(r.PathValue("path"), func(c rune) bool { return c == '/' })
}

// find returns the item at a path if the caller may use it. Roles, and the paths of a token, are
// compared here and in permitFile, and nowhere else.
func (s *Server) find(caller menu.Caller, path []string) (menu.Item, error) {
	item := s.tree.Find(path)
	if item == nil {
		return nil, menu.Errorf(menu.NotFound, "There is no command %q", shown(strings.Join(path, " "))).
			WithHint("Type help to see all")
	}
	if !caller.Role.Includes(item.Required()) {
		return nil, denied(caller, item.Required())
	}
	if !s.mayUse(caller, path) {
		return nil, outside(caller)
	}
	return item, nil
}

// mayUse reports whether the paths of the caller's token, if there are any, allow an item of the
// tree: it is one of them, or below one.
func (s *Server) mayUse(caller menu.Caller, path []string) bool {
	for _, text := range caller.Paths {
		allowed := s.tree.Find(strings.Fields(text))
		for n := range path {
			if allowed != nil && s.tree.Find(path[:n+1]) == allowed {
				return true
			}
		}
	}
	return len(caller.Paths) == 0
}

// outside returns the refusal of what is not below the paths of the caller's token.
func outside(caller menu.Caller) *menu.Error {
	return menu.Errorf(menu.Denied, "The token %s may not use this", caller.Token).
		WithHint("Its paths are %s", strings.Join(caller.Paths, ", "))
}

// forPerson returns an error for a caller who came by a token.
func forPerson(caller menu.Caller) error {
	if caller.Token != "" {
		return menu.Errorf(menu.Denied, "This is for people, and not for a token")
	}
	return nil
}

// denied returns the refusal of an act that requires a role.
func denied(caller menu.Caller, required menu.Role) *menu.Error {
	if !required.Valid() {
		required = menu.Administrator
	}
	return menu.Errorf(menu.Denied, "The role %s may not do this", caller.Role).
		WithHint("It needs the role %s", required)
}

// maxShown bounds in bytes what a message or an audit event repeats of a request.
const maxShown = 80

func shown(text string) string { return menu.Bounded(text, maxShown) }
