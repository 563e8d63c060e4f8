package https

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/menu/problem"
)

// cookieName is that of the cookie of a session. A browser takes one of that prefix only from this
// host, by TLS, for all of its paths (RFC 6265bis section 4.1.3.2).
const cookieName = "__Host-diagsh"

// Bounds of a login in bytes.
const (
	maxLogin    = 8 << 10
	maxUserName = 256
	maxPassword = 4096
)

// methods answers, before the login, by what ways one comes in, and whether that is still to be done: a
// page that had to try would have an error in its browser's console.
func (s *Server) methods(w http.ResponseWriter, r *http.Request) {
	banner, err := s.appliance.Banner(r.Context())
	if err != nil {
		s.log.Warn("https: no banner", "error", err)
	}
	others, err := s.appliance.SignInWays(r.Context())
	if err != nil {
		s.log.Warn("https: no other ways to sign in", "error", err)
	}
	one := s.sessionOf(r)
	writeJSON(w, access.Welcome{
		Banner:  menu.CleanLines(banner),
		Session: one != nil && !one.over(),
		Methods: []access.WelcomeMethod{{Kind: "password"}},
		Others:  append([]access.SignInWay{}, others...),
	})
}

// whoAmI answers who is logged in.
func (s *Server) whoAmI(w http.ResponseWriter, r *http.Request) {
	one, done, refused := s.who(r)
	if refused != nil {
		send(w, refused)
		return
	}
	defer done()
	s.tell(w, r, one)
}

// tell answers who a session is, as of now.
func (s *Server) tell(w http.ResponseWriter, r *http.Request, one *session) {
	if !one.take() {
		send(w, errManyRequests)
		return
	}
	defer one.free()
	g, err := one.greeting(r)
	switch {
	case err != nil && one.over():
		s.forget(w)
		send(w, errNotLoggedIn)
		return
	case err != nil:
		send(w, errNoAnswer)
		return
	}
	writeJSON(w, access.WebLogin{User: g.Caller.User, Role: g.Caller.Role, Payload: g.Caller.Payload, Source: g.Caller.Source,
		Session: g.Caller.Session, Method: one.login.Method, Began: one.login.Began, Ends: one.ends.UTC(), Idle: g.Idle,
		Notice: g.Notice})
}

// logIn begins a session by a password. A session that the browser had before ends.
func (s *Server) logIn(w http.ResponseWriter, r *http.Request) {
	if refused := tooOften(r, s.limits.logins, connOf(r).Source); refused != nil {
		send(w, refused)
		return
	}
	body, refused := problem.ReadBody(w, r, maxLogin, problem.BodyTime)
	if refused != nil {
		send(w, refused)
		return
	}
	c, refused := credentialsOf(r, body)
	if refused != nil {
		send(w, refused)
		return
	}
	one, err := s.begin(r.Context(), connOf(r), "web", c)
	if err != nil {
		s.loginFailed(w, r, err)
		return
	}
	s.admit(w, r, one)
	s.tell(w, r, one)
}

// admit gives a browser its new session. One that it had before ends.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, one *session) {
	if former := s.sessionOf(r); former != nil {
		former.end()
	}
	connOf(r).Known()
	http.SetCookie(w, cookie(s.sessions.add(one)))
}

// credentialsOf reads the user name and the password of a request.
func credentialsOf(r *http.Request, body []byte) (access.Credentials, *menu.Error) {
	if refused := problem.CheckJSON(r); refused != nil {
		return access.Credentials{}, refused
	}
	var q access.PasswordLogin
	if json.Unmarshal(body, &q) != nil || q.User == "" || len(q.User) > maxUserName || len(q.Password) > maxPassword {
		return access.Credentials{}, errNotLogin
	}
	return access.Credentials{User: q.User, Source: connOf(r).Address.String(), Password: q.Password}, nil
}

// loginFailed answers to a login that failed with err.
func (s *Server) loginFailed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody waits for the answer
	}
	if _, ok := errors.AsType[*menu.Error](err); !ok {
		s.log.Error("https: login failed for a fault of the appliance", "error", err)
	}
	send(w, notLoggedIn(err))
}

// logOut ends the session of a browser, and has it forget what it keeps of this host.
func (s *Server) logOut(w http.ResponseWriter, r *http.Request) {
	one, done, refused := s.who(r)
	if refused != nil {
		send(w, refused)
		return
	}
	defer done()
	if r.Header.Get("Authorization") != "" {
		send(w, errNoLogin)
		return
	}
	one.end()
	s.forget(w)
	w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
	w.WriteHeader(http.StatusNoContent)
}

// cookie returns the cookie of a session. Other sites' requests do not carry it.
func cookie(value string) *http.Cookie {
	return &http.Cookie{Name: cookieName, Value: value, Path: "/", Secure: true, HttpOnly: true,
		SameSite: http.SameSiteStrictMode}
}

// forget has the browser forget its cookie.
func (s *Server) forget(w http.ResponseWriter) {
	gone := cookie("")
	gone.MaxAge = -1
	http.SetCookie(w, gone)
}

// who returns the session of a request: of its token, or of its cookie. The caller calls done after the
// request.
func (s *Server) who(r *http.Request) (one *session, done func(), refused *menu.Error) {
	if r.Header.Get("Authorization") != "" {
		if one, done, refused = s.byToken(r, "api"); refused != nil {
			return nil, nil, refused
		}
	} else if one, done = s.sessionOf(r), func() {}; one == nil {
		return nil, nil, errNotLoggedIn
	}
	connOf(r).Known()
	return one, done, nil
}

// sessionOf returns the session of a request's cookie, nil if there is none.
func (s *Server) sessionOf(r *http.Request) *session {
	c, err := r.Cookie(cookieName)
	if err != nil || c.Value == "" {
		return nil
	}
	return s.sessions.find(c.Value)
}

// readJSON reads one JSON document, of a bounded size.
func readJSON(r io.Reader, v any) error {
	return json.NewDecoder(io.LimitReader(r, problem.MaxBody)).Decode(v)
}

// writeJSON answers with a document.
func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(v)
}
