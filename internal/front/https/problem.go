package https

import (
	"net/http"
	"time"

	"diagsh/internal/menu"
	"diagsh/internal/menu/problem"
)

// Refusals of requests that are not passed on to the appliance.
var (
	errNotLoggedIn = problem.Login.Errorf("You are not logged in").WithHint("POST user and password to /v1/login")
	errNoToken     = problem.Login.Errorf("The header Authorization has no token").
			WithHint("Send Authorization: Bearer and a token that `token new` has made")
	errCrossOrigin = menu.Errorf(menu.Denied, "A page of another site sent this request").
			WithHint("Open the appliance's own page")
	errNoPage = menu.Errorf(menu.NotFound, "There is no such page").WithHint("The page begins at /")
	errMethod = problem.Method.Errorf("This resource does not take this method").
			WithHint("The header Allow names those that it takes")
	errNoLogin = menu.Errorf(menu.State, "You came by a token, which has no login to end").
			WithHint("`token delete` ends the token and its connections")
	errNotLogin = menu.Errorf(menu.Usage, "The request's body is no login").
			WithHint(`It is {"user": "...", "password": "..."}`)
	errManyRequests = problem.TooMany(time.Second, "%d requests of this session wait for their answers, which is the most", maxRequests)
	errManyTokens   = problem.TooMany(time.Minute, "%d programs use tokens now, which is the most", maxTokens)
	errNoAnswer     = problem.Fault.Errorf("The appliance did not answer").WithHint("Try again")
)

// notLoggedIn returns what is told of a login that the appliance refused with err. What is no word for
// users is a fault of the appliance.
func notLoggedIn(err error) *menu.Error {
	e := *menu.AsError(err)
	if e.Code == menu.Denied {
		e.Type = problem.Login
	}
	return &e
}

// send answers with a refusal.
func send(w http.ResponseWriter, e *menu.Error) {
	if e.Type == problem.Login {
		w.Header().Set("WWW-Authenticate", `Bearer realm="diagsh"`)
	}
	problem.Write(w, e, "")
}
