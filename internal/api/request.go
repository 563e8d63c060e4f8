package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"unicode/utf8"

	"diagsh/internal/api/rest"
	"diagsh/internal/menu"
	"diagsh/internal/menu/problem"
)

// routed answers for a mux what package http would answer as plain text or as a redirection: paths
// that are no resource, and methods that a resource does not have.
func routed(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, pattern := mux.Handler(r)
		switch {
		case pattern == "":
			var refusal plainRefusal
			handler.ServeHTTP(&refusal, r)
			if allow := refusal.Header().Get("Allow"); allow != "" {
				w.Header().Set("Allow", allow)
				problem.Write(w, problem.Method.Errorf("This resource has no method %s", shown(r.Method)).
					WithHint("It has %s", allow), "")
				return
			}
			problem.Write(w, noResource(), "")
		case reflect.TypeOf(handler) == redirection:
			problem.Write(w, noResource(), "")
		default:
			if err := knownQuery(r, pattern); err != nil {
				problem.Write(w, menu.AsError(err), "")
				return
			}
			mux.ServeHTTP(w, r)
		}
	})
}

// knownQuery compares the query of a request with what the resource at a pattern takes. Those of the
// tree compare theirs with the arguments of a command.
func knownQuery(r *http.Request, pattern string) error {
	if strings.HasPrefix(pattern, "POST /v1/run/") {
		return rest.KnownQuery(r, []string{"columns", "characters", "form", InputQuery}, nil)
	}
	for _, of := range fixed {
		if pattern == of.Method+" "+of.Path {
			return rest.KnownQuery(r, of.Query, of.Lists)
		}
	}
	return nil
}

func noResource() *menu.Error {
	return menu.Errorf(menu.NotFound, "There is no such resource").WithHint("GET /v1/tree lists the commands")
}

// redirection is the type of the handler of a mux for a path that leads elsewhere: with an empty word,
// with "..", or without the slash that a pattern ends in.
var redirection = reflect.TypeOf(http.RedirectHandler("", http.StatusTemporaryRedirect))

// A plainRefusal takes the answer of a mux to a request that it has no handler for.
type plainRefusal struct{ header http.Header }

func (p *plainRefusal) Header() http.Header {
	if p.header == nil {
		p.header = http.Header{}
	}
	return p.header
}
func (p *plainRefusal) Write(text []byte) (int, error) { return len(text), nil }
func (p *plainRefusal) WriteHeader(int)                {}

// instanceOf returns the name of what an answer is about: its run, if there is one.
func instanceOf(w http.ResponseWriter) string {
	if run := w.Header().Get(RunHeader); run != "" {
		return "/v1/runs/" + run
	}
	return ""
}

// acceptable returns the refusal of a body that is not announced as JSON. On the appliance's own
// socket the kernel says who calls, so curl -d will do there.
func acceptable(r *http.Request) error {
	announced := r.Header.Get("Content-Type")
	if !identityOf(r).demanding || announced == "" && r.ContentLength == 0 {
		return nil
	}
	if refused := problem.CheckJSON(r); refused != nil {
		return refused
	}
	return nil
}

// readJSON reads a body, which is one value of JSON. An empty one leaves v unchanged.
func readJSON(r *http.Request, v any) error {
	body, err := io.ReadAll(r.Body)
	if err != nil || len(bytes.TrimSpace(body)) == 0 {
		return err
	}
	if !utf8.Valid(body) {
		return menu.Errorf(menu.Usage, "The request's body is not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	decoder.DisallowUnknownFields()
	err = decoder.Decode(v)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return menu.Errorf(menu.Usage, "The JSON of the request's body ends too early")
	case errors.As(err, &syntax):
		return menu.Errorf(menu.Usage, "The request's body is no JSON from byte %d on", syntax.Offset)
	case errors.As(err, &kind) && kind.Field != "":
		return menu.BadArgument(kind.Field, "%s cannot be a JSON %s", kind.Field, kind.Value)
	case err != nil, bytes.TrimSpace(body)[0] != '{':
		return menu.Errorf(menu.Usage, "The request's body is not the JSON that is expected here").
			WithHint("It is one object, with members that this resource knows")
	}
	if _, err := decoder.Token(); err != io.EOF {
		return menu.Errorf(menu.Usage, "The request's body has more than one value of JSON")
	}
	return unique(body)
}

// unique returns the refusal of a body that names a member of an object twice, in any case: which of
// them counts would be chance (RFC 8259 section 4).
func unique(body []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	var open []map[string]bool // members of the objects that are open; nil for an array
	name := false              // the next token is the name of a member, or the end of its object
	for {
		token, err := decoder.Token()
		if err != nil {
			return nil // the end: it was decoded before
		}
		switch delimiter, isDelimiter := token.(json.Delim); {
		case isDelimiter && (delimiter == '{' || delimiter == '['):
			open = append(open, nil)
			if delimiter == '{' {
				open[len(open)-1] = map[string]bool{}
			}
		case isDelimiter:
			open = open[:len(open)-1]
		case name:
			member := strings.ToLower(token.(string))
			if open[len(open)-1][member] {
				return menu.BadArgument(shown(member), "%s is given twice", menu.Quoted(member))
			}
			open[len(open)-1][member] = true
			name = false
			continue
		}
		name = len(open) > 0 && open[len(open)-1] != nil
	}
}
