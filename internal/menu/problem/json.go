package problem

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"diagsh/internal/menu/clean"
)

// MediaType is the media type of an Error in HTTP (RFC 9457).
const MediaType = "application/problem+json"

// typePath is where the type of a problem is explained.
const typePath = "/v1/problems/"

// A document is an Error in JSON.
type document struct {
	Type     string  `json:"type"`
	Title    string  `json:"title"`
	Status   int     `json:"status"`
	Detail   string  `json:"detail"`
	Instance string  `json:"instance,omitempty"`
	Kind     string  `json:"kind"`
	Exit     int     `json:"exit"`
	Argument string  `json:"argument,omitempty"`
	Hint     string  `json:"hint,omitempty"`
	Errors   []fault `json:"errors,omitempty"`
	More     int     `json:"moreErrors,omitempty"` // faults that Errors has no room for
}

// maxErrors bounds the faults of a document: a body may have more than people would read.
const maxErrors = 50

// Document is the type of an Error in JSON.
var Document = reflect.TypeFor[document]()

// A fault is one of several faults of a request.
type fault struct {
	Argument string `json:"argument"`
	Detail   string `json:"detail"`
	Hint     string `json:"hint,omitempty"`
}

// document returns e for JSON. It escapes control characters of the texts, since a program may show
// them on a terminal.
func (e *Error) document(instance string) document {
	of := e.kind()
	d := document{
		Type: typePath + string(of.Type), Title: of.Title, Status: of.Status, Detail: clean.Lines(e.Message),
		Instance: instance, Kind: e.Code.String(), Exit: int(e.Code), Argument: e.Argument, Hint: clean.Lines(e.Hint),
	}
	if len(e.Others) > 0 {
		all := append([]*Error{e}, e.Others...)
		shown := all[:min(len(all), maxErrors)]
		d.More = len(all) - len(shown)
		for _, one := range shown {
			d.Errors = append(d.Errors, fault{one.Argument, clean.Lines(one.Message), clean.Lines(one.Hint)})
		}
	}
	return d
}

// MarshalJSON implements json.Marshaler.
func (e *Error) MarshalJSON() ([]byte, error) { return json.Marshal(e.document("")) }

// UnmarshalJSON implements json.Unmarshaler. An error of no known code becomes Failed: its number
// must not come out as the exit status of success.
func (e *Error) UnmarshalJSON(text []byte) error {
	var d document
	err := json.Unmarshal(text, &d)
	*e = Error{Code: Code(d.Exit), Argument: d.Argument, Message: d.Detail, Hint: d.Hint}
	if e.Code.String() == Failed.String() {
		e.Code = Failed
	}
	if of, known := Types[Type(strings.TrimPrefix(d.Type, typePath))]; known && of.Code == e.Code && string(of.Type) != e.Code.String() {
		e.Type = of.Type
	}
	if len(d.Errors) > 1 {
		for _, f := range d.Errors[1:] {
			e.Others = append(e.Others, &Error{Code: e.Code, Argument: f.Argument, Message: f.Detail, Hint: f.Hint})
		}
	}
	return err
}

// Write answers a request with e. instance names this occurrence, such as a run; it may be empty.
func Write(w http.ResponseWriter, e *Error, instance string) {
	body, err := json.Marshal(e.document(instance))
	if err != nil {
		panic(err) // a document holds texts and numbers only
	}
	if e.RetryAfter > 0 {
		seconds := (e.RetryAfter + time.Second - 1) / time.Second
		w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	if e.Type == Encoding {
		w.Header().Set("Accept-Encoding", identity)
	}
	w.Header().Set("Content-Type", MediaType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(e.Status())
	w.Write(append(body, '\n'))
}
