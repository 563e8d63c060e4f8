package https

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"diagsh/internal/front/gate"
	"diagsh/internal/menu"
	"diagsh/internal/menu/problem"
)

// connections bound those that clients hold. A browser has one of HTTP/2 or six of HTTP/1.1, and a proxy
// may stand before many browsers.
var connections = gate.Limits{Early: 768, Full: 1024, OfSource: 256, Checks: 8, Kept: 128}

// How often requests may come: so many at once, and then one in each such time. The page asks for some
// forty things when it is opened, and for few each second then.
const (
	sourceBurst, sourceEvery   = 3000, 4 * time.Millisecond
	accountBurst, accountEvery = 2000, 5 * time.Millisecond
	probeBurst, probeEvery     = 30, 200 * time.Millisecond
	loginBurst, loginEvery     = 30, time.Second
)

// maxBodies is how many large bodies of requests are here at a time. Others wait to be read.
const maxBodies = 32

// limits bound what one client takes of the others.
type limits struct {
	sources  *gate.Rates[netip.Prefix] // of all requests
	logins   *gate.Rates[netip.Prefix] // of those that offer credentials
	accounts *gate.Rates[string]       // of requests of a user
	probes   *gate.Rates[string]       // of those that send packets to other hosts
	sends    map[string]bool           // the paths of those
	bodies   chan struct{}             // holds an element for each large body
}

func newLimits(probes []string) *limits {
	l := &limits{
		sources:  gate.NewRates[netip.Prefix](sourceBurst, sourceEvery),
		logins:   gate.NewRates[netip.Prefix](loginBurst, loginEvery),
		accounts: gate.NewRates[string](accountBurst, accountEvery),
		probes:   gate.NewRates[string](probeBurst, probeEvery),
		sends:    map[string]bool{},
		bodies:   make(chan struct{}, maxBodies),
	}
	for _, path := range probes {
		l.sends["/v1/run/"+strings.ReplaceAll(path, " ", "/")] = true
	}
	return l
}

// connKey is the key of a request's connection in its context.
type connKey struct{}

// connOf returns the connection that a request came on.
func connOf(r *http.Request) *gate.Conn { return r.Context().Value(connKey{}).(*gate.Conn) }

// limited refuses requests of sources that send too many, before anything else is done for them.
func (s *Server) limited(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refused := tooOften(r, s.limits.sources, connOf(r).Source); refused != nil {
			send(w, refused)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// ofAccount returns the refusal of a request of a user who sends too many, or nil.
func (l *limits) ofAccount(r *http.Request, user string) *menu.Error {
	refused := tooOften(r, l.accounts, user)
	if refused == nil && l.isProbe(r) {
		refused = tooOften(r, l.probes, user)
	}
	return refused
}

// isProbe reports whether a request has packets sent to other hosts.
func (l *limits) isProbe(r *http.Request) bool {
	// The boundary looks at the words of a path only, however many slashes are between them.
	words := strings.FieldsFunc(strings.ToLower(r.URL.Path), func(c rune) bool { return c == '/' })
	return r.Method == http.MethodPost && l.sends["/"+strings.Join(words, "/")]
}

// tooOften returns the refusal of a request of a name that sends too many, or nil.
func tooOften[Name comparable](r *http.Request, rates *gate.Rates[Name], name Name) *menu.Error {
	wait := rates.Take(name, time.Now())
	if wait == 0 {
		return nil
	}
	connOf(r).Refused()
	return problem.TooMany(wait, "Too many requests came in a short time")
}

// largeBody is the size in bytes from which on a body is large.
const largeBody = 32 << 10

// takeBody reads the body of a request, of which only so many large ones are here at a time. The
// caller calls done when the body is not needed any more.
//
// The body is here before anything is passed on. So a client that is slow to send keeps nothing of
// the appliance busy, and the deadline ends with the body.
func (l *limits) takeBody(w http.ResponseWriter, r *http.Request) (body []byte, done func(), refused *menu.Error) {
	done = func() {}
	if n := r.ContentLength; n > largeBody || n < 0 {
		select {
		case l.bodies <- struct{}{}:
			done = func() { <-l.bodies }
		case <-r.Context().Done():
			return nil, done, problem.BrokenOff()
		}
	}
	body, refused = problem.ReadBody(w, r, problem.MaxBody, problem.BodyTime)
	return body, done, refused
}
