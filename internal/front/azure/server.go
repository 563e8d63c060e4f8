// Package azure answers clients of Azure Resource Manager as a virtual machine of Azure would that a
// network watcher captures packets on. It translates: each act is a request to the boundary, of the
// caller who has logged in. So roles, checks and audit stand where they stand for all others.
package azure

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/menu/problem"
)

// Options say how to serve.
type Options struct {
	Settings access.Azure
	// Session returns the boundary as the caller of a request may use it. The Server calls done after
	// the request, if there is no refusal.
	Session func(*http.Request) (b Boundary, done func(), refused *menu.Error)
	// Login gives a pass for what a client shows. An error for the client is a *menu.Error.
	Login Login
	Log   *slog.Logger
}

// A Server answers the requests that Serves names. Its methods may be called from any goroutine.
type Server struct {
	settings access.Azure
	session  func(*http.Request) (Boundary, func(), *menu.Error)
	login    Login
	log      *slog.Logger
	patience time.Duration // the constant; shorter in tests

	turnTime time.Duration // the constant; shorter in tests

	turns sync.Map // of the captures that requests begin or delete: a channel by each name, in lower case

	mu     sync.Mutex
	latest time.Time // that moment returned
}

// New returns a server for an appliance that has a subscription.
func New(o Options) *Server {
	return &Server{settings: o.Settings, session: o.Session, login: o.Login, log: o.Log, patience: patience, turnTime: turnTime}
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	writeHeaders(w, r)
	// A client of HTTP/2 that is refused before its body is read stops in the middle of it, and whoever
	// then waits for the rest waits in vain.
	body, refused := problem.ReadBody(w, r, maxForm, problem.BodyTime)
	open, vars, isOpen := findOpen(r)
	switch {
	case refused != nil && open != nil:
		refuseForm(w, refused)
		return
	case refused != nil:
		refuse(w, r, refused)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if open != nil {
		open.serve(s, w, r, vars)
		return
	}
	to, vars, known := find(r)
	known = known || isOpen
	switch {
	case !known:
		fail(w, http.StatusNotFound, "ResourceNotFound", "There is no resource at this path.")
	case to == nil:
		w.Header().Set("Allow", strings.Join(methodsOf(r), ", "))
		fail(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "The resource does not take the method "+menu.Bounded(r.Method, 20)+".")
	default:
		s.admit(w, r, to, vars)
	}
}

// admit answers a request for a resource that takes its method, if its version and its caller may.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, to *route, vars map[string]string) {
	if !checkVersion(w, r) {
		return
	}
	b, done, refused := s.session(r)
	if refused != nil {
		refuse(w, r, refused)
		return
	}
	defer done()
	if s.checkScope(w, vars) {
		to.serve(s, w, r, naming{b, clientOf(r)}, vars)
	}
}

// versionForm is the form of a version of the API.
var versionForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(\d{4}-\d{2}-\d{2})(-[A-Za-z0-9-]{1,40})?$`) })

// checkVersion answers a request whose version of the API is missing or is none, and returns false then.
// All others get the one newest form of each answer: clients read what they know of it.
func checkVersion(w http.ResponseWriter, r *http.Request) bool {
	version := parameter(r, "api-version")
	if version == "" {
		fail(w, http.StatusBadRequest, "MissingApiVersionParameter",
			"The api-version query parameter (?api-version=) is required for all requests.")
		return false
	}
	date := versionForm().FindStringSubmatch(version)
	if date != nil {
		if _, err := time.Parse(time.DateOnly, date[1]); err == nil && date[1] >= oldestVersion {
			return true
		}
	}
	fail(w, http.StatusBadRequest, "InvalidApiVersionParameter", fmt.Sprintf(
		"The api-version %s is invalid. It is a date from %s on.", menu.Quoted(version), oldestVersion))
	return false
}

// oldestVersion is older than each that a client sends for what is served here.
const oldestVersion = "2014-04-01"

// writeHeaders writes the headers of all answers.
func writeHeaders(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	id := newID()
	h.Set("x-ms-request-id", id)
	h.Set("x-ms-correlation-request-id", id)
	if given := r.Header.Get("x-ms-correlation-request-id"); idForm().MatchString(given) {
		h.Set("x-ms-correlation-request-id", given)
	}
	if given := r.Header.Get("x-ms-client-request-id"); idForm().MatchString(given) {
		h.Set("x-ms-client-request-id", given)
	}
}

// idForm is the form of an identifier of a client that is echoed.
var idForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`) })

// newID returns a random UUID (RFC 9562 section 5.4).
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// writeJSON answers with a document.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // a document holds texts, numbers and what was JSON
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}
