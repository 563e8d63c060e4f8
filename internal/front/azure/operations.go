package azure

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

const (
	// patience is how long a client waits for an act. What takes longer becomes an operation that it asks
	// about.
	patience = time.Second
	// longest bounds an act that nobody waits for any more.
	longest = 5 * time.Minute
	// again is how often it is looked whether an operation is noted, by which a client asks.
	again = 100 * time.Millisecond
)

// clientOf returns which program a request is from: the command of az, and what the client calls itself.
func clientOf(r *http.Request) string {
	words := []string{}
	for _, name := range []string{"CommandName", "User-Agent"} {
		if text := strings.TrimSpace(menu.Clean(r.Header.Get(name))); text != "" {
			words = append(words, menu.Bounded(text, 60))
		}
	}
	return strings.Join(words, ", ")
}

// An acted is what became of an act within the time that a client waits.
type acted struct {
	id      string // of its operation
	done    bool   // it has ended, well unless refused is set
	refused *menu.Error
	over    <-chan struct{} // is closed when it has ended, which may be later
}

// act has the appliance do something with a capture, as an operation. It returns when that has ended, or
// goes on and is noted, so that the client can ask how it ends. It goes on also if the client goes. body
// is nil for a DELETE.
func (s *Server) act(r *http.Request, b Boundary, method, path string, body map[string]any, into any) acted {
	id := newID()
	var content any
	if body != nil {
		body["operation"], content = id, body
	} else {
		path += "?" + url.Values{"files": {"keep"}, "stop": {"yes"}, "operation": {id}}.Encode()
	}
	ended, over := make(chan *menu.Error, 1), make(chan struct{})
	go func() {
		defer close(over)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), longest)
		defer cancel()
		ended <- call(ctx, b, method, path, content, into)
	}()
	timer := time.NewTimer(s.patience)
	defer timer.Stop()
	for {
		select {
		case refused := <-ended:
			return acted{id: id, done: true, refused: refused, over: over}
		case <-r.Context().Done():
			return acted{id: id, over: over} // nobody reads the answer
		case <-timer.C:
			if _, refused := operation(r.Context(), b, id); refused == nil {
				return acted{id: id, over: over}
			}
			timer.Reset(again)
		}
	}
}

// operation returns what the appliance knows of an operation.
func operation(ctx context.Context, b Boundary, id string) (o access.Operation, refused *menu.Error) {
	refused = call(ctx, b, http.MethodGet, "/v1/operations/"+url.PathEscape(id), nil, &o)
	return o, refused
}

// prefersAsync reports whether a client prefers to ask how an act ends (RFC 7240).
func prefersAsync(r *http.Request) bool {
	for _, field := range r.Header.Values("Prefer") {
		for one := range strings.FieldsFuncSeq(field, func(c rune) bool { return c == ',' || c == ';' }) {
			if strings.EqualFold(strings.TrimSpace(one), "respond-async") {
				return true
			}
		}
	}
	return false
}

// writeAsync writes the headers by which a client asks how an operation ends, and with result what it
// comes to. Without Retry-After clients ask every 30 seconds.
func (s *Server) writeAsync(w http.ResponseWriter, r *http.Request, id string, result bool) {
	w.Header().Set("Azure-AsyncOperation", s.operationURL(r, "operations", id))
	if result {
		w.Header().Set("Location", s.operationURL(r, "operationResults", id))
	}
	w.Header().Set("Retry-After", "1")
}

// operationURL returns where a client asks about an operation.
func (s *Server) operationURL(r *http.Request, kind, id string) string {
	return base(r) + "subscriptions/" + s.settings.Subscription + "/providers/Microsoft.Network/locations/" + url.PathEscape(s.settings.Location) +
		"/" + kind + "/" + id + "?" + url.Values{"api-version": {parameter(r, "api-version")}}.Encode()
}

// An operationStatus is how far an operation has come.
type operationStatus struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Status    string `json:"status"`
	StartTime string `json:"startTime"`
	EndTime   string `json:"endTime,omitempty"`
	Error     *fault `json:"error,omitempty"`
}

// operations answers how far a long-running operation has come or, with result, what it came to.
func (s *Server) operations(w http.ResponseWriter, r *http.Request, b Boundary, result bool, id string) {
	o, refused := operation(r.Context(), b, id)
	switch {
	case refused != nil && refused.Code == menu.NotFound:
		notFound(w, "Microsoft.Network", "locations/"+s.settings.Location+"/operations", id, s.settings.WatcherGroup)
	case refused != nil:
		refuse(w, r, refused)
	case result:
		s.operationResult(w, r, b, o)
	default:
		s.operationStatus(w, r, o)
	}
}

func (s *Server) operationStatus(w http.ResponseWriter, r *http.Request, o access.Operation) {
	status := operationStatus{ID: strings.TrimPrefix(r.URL.Path, "//"), Name: o.ID, Status: succeeded, StartTime: o.StartTime.UTC().Format(timeForm)}
	if !o.EndTime.IsZero() {
		status.EndTime = o.EndTime.UTC().Format(timeForm)
	}
	switch o.State {
	case access.OperationRunning:
		status.Status = "InProgress"
		w.Header().Set("Retry-After", "1")
	case access.OperationFailed:
		e := faultOf(o)
		_, code := codeOf(e)
		status.Status, status.Error = failed, &fault{Code: code, Message: messageOf(e), Details: []fault{}}
	}
	writeJSON(w, http.StatusOK, status)
}

func (s *Server) operationResult(w http.ResponseWriter, r *http.Request, b Boundary, o access.Operation) {
	switch {
	case o.State == access.OperationRunning:
		w.Header().Set("Location", s.operationURL(r, "operationResults", o.ID))
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusAccepted)
	case o.State == access.OperationFailed:
		refuse(w, r, faultOf(o))
	case o.Act == access.OperationStart:
		s.showCapture(w, r, b, o.Capture)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// faultOf returns why an operation failed, with the fields of a capture in the place of arguments.
func faultOf(o access.Operation) *menu.Error {
	e := menu.Errorf(menu.Failed, "The operation failed")
	if f := o.Fault; f != nil {
		e = &menu.Error{Code: codeNamed(f.Kind), Argument: f.Argument, Message: f.Message, Hint: f.Hint}
	}
	if o.Act == access.OperationStart {
		e = inFields(e, properties{})
	}
	return e
}

// codeNamed returns the code of a failure by its name.
func codeNamed(name string) menu.Code {
	for _, code := range []menu.Code{menu.Usage, menu.Denied, menu.NotFound, menu.State, menu.Unsupported, menu.Interrupted} {
		if code.String() == name {
			return code
		}
	}
	return menu.Failed
}
