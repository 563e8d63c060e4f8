package problem

import (
	"cmp"
	"net/http"
	"time"
)

// A Type names a problem for HTTP: the type of RFC 9457 is /v1/problems/TYPE. Each code has one of its
// own name; others are more exact.
type Type string

// The types that are more exact than their code.
const (
	Fault       Type = "fault"           // Failed by a fault of the appliance
	Method      Type = "method"          // Usage: the resource has no such method
	TooLarge    Type = "tooLarge"        // Usage: the body is too large
	Range       Type = "range"           // Usage: there are no such bytes
	ContentType Type = "contentType"     // Usage: the body is of another type than is accepted
	Encoding    Type = "contentEncoding" // Usage: the body is compressed
	KeyReused   Type = "keyReused"       // Usage: an Idempotency-Key came with another request
	Changed     Type = "changed"         // State: the resource is not what If-Match says
	Rate        Type = "rate"            // State: too many requests; RetryAfter is set
	Login       Type = "login"           // Denied: who calls has not signed in
)

// A Kind is what a Type means.
type Kind struct {
	Type   Type   `json:"name"`
	Code   Code   `json:"-"`
	Status int    `json:"status"`
	Title  string `json:"title"`
}

// StatusInterrupted is the 499 of nginx. Browsers and other clients repeat a request that is answered
// with 408, as RFC 9110 section 15.5.9 allows. So they would run an interrupted command once more.
const StatusInterrupted = 499

// Types are all types.
var Types = byType(
	Kind{"failed", Failed, http.StatusUnprocessableEntity, "It was tried and did not work"},
	Kind{Fault, Failed, http.StatusInternalServerError, "A fault of the appliance"},
	Kind{"usage", Usage, http.StatusBadRequest, "The request is not accepted"},
	Kind{Method, Usage, http.StatusMethodNotAllowed, "The resource has no such method"},
	Kind{TooLarge, Usage, http.StatusRequestEntityTooLarge, "The body is too large"},
	Kind{Range, Usage, http.StatusRequestedRangeNotSatisfiable, "There are no such bytes"},
	Kind{ContentType, Usage, http.StatusUnsupportedMediaType, "The body is of another type than is accepted"},
	Kind{Encoding, Usage, http.StatusUnsupportedMediaType, "The body has an encoding that is not accepted"},
	Kind{KeyReused, Usage, http.StatusUnprocessableEntity, "The idempotency key belongs to another request"},
	Kind{"denied", Denied, http.StatusForbidden, "Not allowed"},
	Kind{Login, Denied, http.StatusUnauthorized, "Not signed in"},
	Kind{"notFound", NotFound, http.StatusNotFound, "There is no such thing"},
	Kind{"state", State, http.StatusConflict, "Not in this state"},
	Kind{Changed, State, http.StatusPreconditionFailed, "It has changed"},
	Kind{Rate, State, http.StatusTooManyRequests, "Too many requests"},
	Kind{"unsupported", Unsupported, http.StatusNotImplemented, "Not on this kernel or machine"},
	Kind{"interrupted", Interrupted, StatusInterrupted, "Interrupted"},
)

func byType(kinds ...Kind) map[Type]Kind {
	types := make(map[Type]Kind, len(kinds))
	for _, k := range kinds {
		types[k.Type] = k
	}
	return types
}

// kind returns what the type of e means: its own, or that of its code.
func (e *Error) kind() Kind {
	if of, known := Types[e.Type]; known && of.Code == e.Code {
		return of
	}
	return Types[Type(e.Code.String())]
}

// Status returns the status of HTTP.
func (e *Error) Status() int { return cmp.Or(e.kind().Status, http.StatusInternalServerError) }

// Errorf returns an Error of a type that is more exact than its code.
func (t Type) Errorf(format string, args ...any) *Error {
	e := Errorf(Types[t].Code, format, args...)
	e.Type = t
	return e
}

// TooMany returns the refusal of a request that may be accepted after that time.
func TooMany(after time.Duration, format string, args ...any) *Error {
	e := Rate.Errorf(format, args...).WithHint("Send it again after the time of Retry-After")
	e.RetryAfter = after
	return e
}
