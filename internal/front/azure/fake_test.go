package azure

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/menu/problem"
)

// A fakeAppliance has captures as the API has them.
type fakeAppliance struct {
	t *testing.T

	mu         sync.Mutex
	captures   []map[string]any
	operations map[string]access.Operation
	requests   []map[string]any // for captures
	clients    []string
	refuse     *menu.Error   // of the next act
	hold       chan struct{} // acts wait for it, if it is not nil
	act        access.Operation
	reader     bool     // the caller may only read
	asked      []string // what else than whether the caller may do something
}

func newFake(t *testing.T) *fakeAppliance {
	return &fakeAppliance{t: t, operations: map[string]access.Operation{}}
}

func (a *fakeAppliance) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/targets", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"targets":[{"name":"vault","url":"azblob://acct@acct.blob.example/network-watcher-logs"},{"name":"far","url":"sftp://u@h/f"}]}`))
	})
	mux.HandleFunc("GET /v1/captures", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"captures": a.captures, "nextPageToken": ""})
	})
	mux.HandleFunc("GET /v1/captures/{name}", func(w http.ResponseWriter, r *http.Request) { a.show(w, r.PathValue("name")) })
	mux.HandleFunc("POST /v1/captures", a.start)
	mux.HandleFunc("POST /v1/captures/{name}/stop", a.stop)
	mux.HandleFunc("DELETE /v1/captures/{name}", a.delete)
	mux.HandleFunc("GET /v1/operations/{id}", func(w http.ResponseWriter, r *http.Request) {
		o, known := a.operations[r.PathValue("id")]
		if !known {
			problem.Write(w, menu.Errorf(menu.NotFound, "There is none"), "")
			return
		}
		json.NewEncoder(w).Encode(o)
	})
	mux.HandleFunc("POST /v1/ask/packetcapture/{command}", func(w http.ResponseWriter, r *http.Request) {
		if a.reader {
			problem.Write(w, menu.Errorf(menu.Denied, "The role readonly may not do this"), "")
			return
		}
		problem.Write(w, menu.BadArgument("name", "It is missing"), "") // as of stop and delete
	})
	asks := strings.HasPrefix(r.URL.Path, "/v1/ask/")
	a.mu.Lock()
	if !asks {
		a.asked = append(a.asked, r.Method+" "+r.URL.Path)
	}
	if r.Method != http.MethodGet && !asks && a.hold != nil {
		hold := a.hold
		a.note(r, access.OperationRunning)
		a.mu.Unlock()
		<-hold
		a.mu.Lock()
	}
	defer a.mu.Unlock()
	a.clients = append(a.clients, r.Header.Get(access.ClientHeader))
	mux.ServeHTTP(w, r)
	return w.Result(), nil
}

// note notes an operation that a request with a query names; for others it takes that of the test.
func (a *fakeAppliance) note(r *http.Request, state string) {
	o := a.act
	o.State, o.StartTime = state, time.Now()
	if id := r.URL.Query().Get("operation"); id != "" {
		o.ID = id
	} else if r.Body != nil {
		var body map[string]any
		json.NewDecoder(r.Body).Decode(&body)
		text, _ := json.Marshal(body)
		r.Body = http.NoBody
		if len(text) > 2 {
			r.Body = readCloser{strings.NewReader(string(text))}
		}
		o.ID, _ = body["operation"].(string)
	}
	a.operations[o.ID] = o
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

func (a *fakeAppliance) find(name string) int {
	for i, c := range a.captures {
		if c["name"] == name {
			return i
		}
	}
	return -1
}

func (a *fakeAppliance) show(w http.ResponseWriter, name string) {
	if i := a.find(name); i >= 0 {
		json.NewEncoder(w).Encode(a.captures[i])
		return
	}
	problem.Write(w, menu.Errorf(menu.NotFound, "There is no capture"), "")
}

// refused answers with the refusal of the test, if there is one.
func (a *fakeAppliance) refused(w http.ResponseWriter) bool {
	if a.refuse == nil {
		return false
	}
	problem.Write(w, a.refuse, "")
	return true
}

func (a *fakeAppliance) start(w http.ResponseWriter, r *http.Request) {
	body := map[string]any{}
	json.NewDecoder(r.Body).Decode(&body)
	a.requests = append(a.requests, body)
	if a.refused(w) {
		return
	}
	if name, _ := body["name"].(string); a.find(name) >= 0 {
		problem.Write(w, &menu.Error{Code: menu.State, Argument: "name", Message: "There is a capture " + name + " already"}, "")
		return
	}
	var azure any
	json.Unmarshal([]byte(body["azure"].(string)), &azure)
	a.captures = append(a.captures, map[string]any{"name": body["name"], "state": "Running", "startTime": time.Now(), "azure": azure})
	w.WriteHeader(http.StatusCreated)
	a.show(w, body["name"].(string))
}

func (a *fakeAppliance) stop(w http.ResponseWriter, r *http.Request) {
	if a.refused(w) {
		return
	}
	c := a.captures[a.find(r.PathValue("name"))]
	c["state"], c["stopReason"], c["endTime"] = "Stopped", "StoppedByUser", time.Now()
	a.show(w, r.PathValue("name"))
}

func (a *fakeAppliance) delete(w http.ResponseWriter, r *http.Request) {
	if a.refused(w) {
		return
	}
	if q := r.URL.Query(); q.Get("files") != "keep" || q.Get("stop") != "yes" || q.Get("operation") == "" {
		a.t.Errorf("it deletes by %s", r.URL)
	}
	i := a.find(r.PathValue("name"))
	a.captures = append(a.captures[:i], a.captures[i+1:]...)
	w.WriteHeader(http.StatusNoContent)
}
