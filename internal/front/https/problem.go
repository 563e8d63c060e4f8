package https

import (
	"encoding/json"
	"net/http"

	"diagsh/internal/menu"
)

// problemType is the type of a body that says what went wrong (RFC 9457).
const problemType = "application/problem+json"

// A problem is such a body. It has the members that those of the boundary have.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Kind   string `json:"kind"`
	Exit   int    `json:"exit"`
	Hint   string `json:"hint,omitempty"`
}

// Refusals of requests that are not passed on to the appliance.
var (
	errNotLoggedIn = refusal{http.StatusUnauthorized, "login",
		menu.Errorf(menu.Denied, "You are not logged in").WithHint("POST user and password to /v1/login")}
	errCrossOrigin = refusal{http.StatusForbidden, "crossOrigin",
		menu.Errorf(menu.Denied, "A page of another site sent this request").WithHint("Open the appliance's own page")}
	errNoPage = refusal{http.StatusNotFound, "notFound",
		menu.Errorf(menu.NotFound, "There is no such page").WithHint("The page begins at /")}
	errMethod = refusal{http.StatusMethodNotAllowed, "method",
		menu.Errorf(menu.Usage, "This resource does not take this method").WithHint("The header Allow names those it takes")}
	errTooLarge = refusal{http.StatusRequestEntityTooLarge, "tooLarge",
		menu.Errorf(menu.Usage, "The request's body is larger than %s", menu.Size(maxBody))}
	errTooLate = refusal{http.StatusBadRequest, "usage",
		menu.Errorf(menu.Usage, "The request's body did not come within %s", menu.FormatDuration(bodyTime))}
	errBrokenOff = refusal{http.StatusBadRequest, "usage", menu.Errorf(menu.Usage, "The request's body ends too early")}
	errNotJSON   = refusal{http.StatusUnsupportedMediaType, "contentType",
		menu.Errorf(menu.Usage, "The request's body is not declared as JSON").
			WithHint("Send the header Content-Type: application/json")}
	errNotLogin = refusal{http.StatusBadRequest, "usage",
		menu.Errorf(menu.Usage, "The request's body is no login").WithHint(`It is {"user": "...", "password": "..."}`)}
	errManyRequests = refusal{http.StatusTooManyRequests, "rate",
		menu.Errorf(menu.State, "%d requests of this session wait for their answers, which is the most", maxRequests).
			WithHint("Wait for one of them")}
	errNoAnswer = refusal{http.StatusBadGateway, "failed",
		menu.Errorf(menu.Failed, "The appliance did not answer").WithHint("Try again")}
)

// A refusal is the answer to a request that is not passed on.
type refusal struct {
	status int
	kind   string
	err    *menu.Error
}

// refusalOf returns what is told of an error of the appliance.
func refusalOf(err error) refusal {
	e := menu.AsError(err)
	switch e.Code {
	case menu.Denied:
		return refusal{http.StatusUnauthorized, "login", e}
	case menu.State:
		return refusal{http.StatusConflict, e.Code.String(), e}
	case menu.Usage:
		return refusal{http.StatusBadRequest, e.Code.String(), e}
	}
	return refusal{http.StatusInternalServerError, menu.Failed.String(), e}
}

// send answers with the refusal.
func (r refusal) send(w http.ResponseWriter) {
	w.Header().Set("Content-Type", problemType)
	w.Header().Set("Cache-Control", "no-store")
	if r.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="diagsh"`)
	}
	w.WriteHeader(r.status)
	json.NewEncoder(w).Encode(problem{
		Type:   "/v1/problems/" + r.kind,
		Title:  http.StatusText(r.status),
		Status: r.status,
		Detail: r.err.Message,
		Kind:   r.kind,
		Exit:   int(r.err.Code),
		Hint:   r.err.Hint,
	})
}
