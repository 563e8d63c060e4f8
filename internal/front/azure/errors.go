package azure

import (
	"net/http"
	"strconv"
	"time"

	"diagsh/internal/menu"
	"diagsh/internal/menu/problem"
)

// A fault is an error as Azure Resource Manager has it.
type fault struct {
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Details []fault `json:"details"`
}

// fail answers with an error. Its message is shown on a terminal as it is.
func fail(w http.ResponseWriter, status int, code, message string) {
	writeJSON(w, status, map[string]fault{"error": {code, menu.CleanLines(message), []fault{}}})
}

// refuse answers with a refusal of the appliance.
func refuse(w http.ResponseWriter, r *http.Request, e *menu.Error) {
	status, code := codeOf(e)
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate",
			`Bearer authorization_uri="`+base(r)+`adfs/oauth2/authorize", error="invalid_token"`)
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
	fail(w, status, code, messageOf(e))
}

// messageOf returns a refusal in words, which begin with the field that is wrong.
func messageOf(e *menu.Error) string {
	if e.Argument != "" {
		return e.Argument + ": " + e.Error()
	}
	return e.Error()
}

// codeOf returns the status and the code of a refusal. Clients repeat what is answered with 408, 429 and
// 500 to 504, so these are for what another time may mend.
func codeOf(e *menu.Error) (status int, code string) {
	switch e.Type {
	case problem.Login:
		return http.StatusUnauthorized, "AuthenticationFailed"
	case problem.Rate:
		return http.StatusTooManyRequests, "TooManyRequests"
	case problem.Method:
		return http.StatusMethodNotAllowed, "MethodNotAllowed"
	case problem.Fault:
		return http.StatusInternalServerError, "InternalServerError"
	}
	switch e.Code {
	case menu.Usage:
		return http.StatusBadRequest, "InvalidRequestFormat"
	case menu.Denied:
		return http.StatusForbidden, "AuthorizationFailed"
	case menu.NotFound:
		return http.StatusNotFound, "ResourceNotFound"
	case menu.State, menu.Interrupted:
		return http.StatusConflict, "Conflict"
	}
	return http.StatusBadRequest, "OperationFailed"
}

// notFound answers that a resource is not there. kind is its type without the provider's name, such as
// networkWatchers/NetworkWatcher_lab/packetCaptures.
func notFound(w http.ResponseWriter, provider, kind, name, group string) {
	fail(w, http.StatusNotFound, "ResourceNotFound", "The Resource '"+provider+"/"+kind+"/"+menu.Bounded(name, 80)+
		"' under resource group '"+group+"' was not found.")
}
