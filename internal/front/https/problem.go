package https

import (
	"encoding/json"
	"net/http"
	"strconv"

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

// A refusal is the answer to a request that is not passed on to the appliance.
type refusal struct {
	status int
	kind   string
	err    *menu.Error
	retry  int // after so many seconds another try may be taken; 0 says nothing of it
}

// refuse returns a refusal that says nothing of another try.
func refuse(status int, kind string, err *menu.Error) *refusal { return &refusal{status, kind, err, 0} }

var (
	errNotLoggedIn = refuse(http.StatusUnauthorized, "login",
		menu.Errorf(menu.Denied, "You are not logged in").WithHint("POST user and password to /v1/login"))
	errNoToken = refuse(http.StatusUnauthorized, "login",
		menu.Errorf(menu.Denied, "The header Authorization has no token").
			WithHint("Send Authorization: Bearer and a token that `token new` has made"))
	errCrossOrigin = refuse(http.StatusForbidden, "crossOrigin",
		menu.Errorf(menu.Denied, "A page of another site sent this request").WithHint("Open the appliance's own page"))
	errNoPage = refuse(http.StatusNotFound, "notFound",
		menu.Errorf(menu.NotFound, "There is no such page").WithHint("The page begins at /"))
	errMethod = refuse(http.StatusMethodNotAllowed, "method",
		menu.Errorf(menu.Usage, "This resource does not take this method").
			WithHint("The header Allow names those that it takes"))
	errTooLarge = refuse(http.StatusRequestEntityTooLarge, "tooLarge",
		menu.Errorf(menu.Usage, "The request's body is larger than %s", menu.Size(maxBody)))
	errTooLate = refuse(http.StatusBadRequest, "usage",
		menu.Errorf(menu.Usage, "The request's body did not come within %s", menu.FormatDuration(bodyTime)))
	errBrokenOff = refuse(http.StatusBadRequest, "usage", menu.Errorf(menu.Usage, "The request's body ends too early"))
	errNotJSON   = refuse(http.StatusUnsupportedMediaType, "contentType",
		menu.Errorf(menu.Usage, "The request's body is not declared as JSON").
			WithHint("Send the header Content-Type: application/json"))
	errNotLogin = refuse(http.StatusBadRequest, "usage",
		menu.Errorf(menu.Usage, "The request's body is no login").WithHint(`It is {"user": "...", "password": "..."}`))
	errManyRequests = &refusal{http.StatusTooManyRequests, "rate",
		menu.Errorf(menu.State, "%d requests of this session wait for their answers, which is the most", maxRequests).
			WithHint("Wait for one of them"), 1}
	errManyTokens = &refusal{http.StatusTooManyRequests, "rate",
		menu.Errorf(menu.State, "%d programs use tokens now, which is the most", maxTokens).WithHint("Try again later"), 60}
	errNoAnswer = refuse(http.StatusBadGateway, "failed",
		menu.Errorf(menu.Failed, "The appliance did not answer").WithHint("Try again"))
)

// refusalOf returns what is told of an error of the appliance.
func refusalOf(err error) *refusal {
	e := menu.AsError(err)
	switch e.Code {
	case menu.Denied:
		return refuse(http.StatusUnauthorized, "login", e)
	case menu.State:
		return refuse(http.StatusConflict, e.Code.String(), e)
	case menu.Usage:
		return refuse(http.StatusBadRequest, e.Code.String(), e)
	}
	return refuse(http.StatusInternalServerError, menu.Failed.String(), e)
}

// send answers with the refusal.
func (r *refusal) send(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Content-Type", problemType)
	header.Set("Cache-Control", "no-store")
	if r.status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", `Bearer realm="diagsh"`)
	}
	if r.retry > 0 {
		header.Set("Retry-After", strconv.Itoa(r.retry))
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
