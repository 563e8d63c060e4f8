package https

import (
	"errors"
	"net/http"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// signInCookieName is that of the cookie of a browser that is at the provider. It binds what comes back
// to the browser that began, and is gone then.
const signInCookieName = "__Host-diagsh-signin"

// signInTime is how long that cookie is kept in seconds, as long as the appliance waits.
const signInTime = 10 * 60

// maxCallback bounds what a browser brings back, in bytes: as JSON, which may need six for each of
// them, it must fit into a request to the appliance.
const maxCallback = 8 << 10

// signInCookie returns the cookie of a sign-in. It must come along when the provider sends the browser
// back, which is a request from another site: so it is Lax (RFC 6265bis section 5.6.7).
func signInCookie(value string, seconds int) *http.Cookie {
	return &http.Cookie{Name: signInCookieName, Value: value, Path: "/", MaxAge: seconds, Secure: true, HttpOnly: true,
		SameSite: http.SameSiteLaxMode}
}

// beginOIDC sends a browser to the provider of logins.
func (s *Server) beginOIDC(w http.ResponseWriter, r *http.Request) {
	if refused := tooOften(r, s.limits.logins, connOf(r).Source); refused != nil {
		send(w, refused)
		return
	}
	to, err := s.appliance.BeginSignIn(r.Context(), connOf(r).Address.String())
	if err != nil {
		s.sendBack(w, r, err)
		return
	}
	http.SetCookie(w, signInCookie(to.Binding, signInTime))
	http.Redirect(w, r, to.URL, http.StatusSeeOther)
}

// endOIDC takes what a browser brings back from the provider, and begins its session.
func (s *Server) endOIDC(w http.ResponseWriter, r *http.Request) {
	if refused := tooOften(r, s.limits.logins, connOf(r).Source); refused != nil {
		send(w, refused)
		return
	}
	query := r.URL.Query()
	back := access.Callback{State: query.Get("state"), Code: query.Get("code"), Fault: query.Get("error")}
	if c, err := r.Cookie(signInCookieName); err == nil {
		back.Binding = c.Value
	}
	if back.Code == "" && back.Fault == "" {
		back.Fault = "nothing"
	}
	http.SetCookie(w, signInCookie("", -1))
	if len(back.State)+len(back.Code)+len(back.Fault)+len(back.Binding) > maxCallback {
		s.sendBack(w, r, menu.Errorf(menu.Denied, "The provider's answer is too long"))
		return
	}
	one, err := s.begin(r.Context(), connOf(r), "web", access.Credentials{Source: connOf(r).Address.String(), Callback: &back})
	if err != nil {
		s.sendBack(w, r, err)
		return
	}
	s.admit(w, r, one)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// sendBack sends a browser whose sign-in failed back to the page, which says in words what the address
// says: denied, or unavailable.
func (s *Server) sendBack(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody waits for the answer
	}
	why := "unavailable"
	if e, ok := errors.AsType[*menu.Error](err); !ok {
		s.log.Error("https: sign-in failed for a fault of the appliance", "error", err)
	} else if e.Code == menu.Denied {
		why = "denied"
	}
	http.Redirect(w, r, "/?signin="+why, http.StatusSeeOther)
}
