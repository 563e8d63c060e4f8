package azure

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"diagsh/internal/menu"
	"diagsh/internal/menu/problem"
)

// Of two requests for one name in different case, at the same time, one begins a capture, and the other
// one is answered with it. The first need not have been answered when it begins.
func TestOneCaptureOfANameInAnyCase(t *testing.T) {
	a := newFake(t)
	a.hold = make(chan struct{})
	s := serverOf(a)
	s.patience = 20 * time.Millisecond
	answers := make(chan *httptest.ResponseRecorder, 3)
	for _, name := range []string{"one", "ONE", "One"} {
		go func() { answers <- put(s, name, sources) }()
	}
	if w := <-answers; w.Code != 201 || w.Header().Get("Azure-AsyncOperation") == "" {
		t.Errorf("the first is %d %s", w.Code, w.Body)
	}
	select {
	case w := <-answers:
		t.Errorf("another is answered before it sees what was begun: %d %s", w.Code, w.Body)
	case <-time.After(3 * again):
	}
	close(a.hold)
	for range 2 {
		if w := <-answers; w.Code != 201 || w.Header().Get("Azure-AsyncOperation") != "" {
			t.Errorf("another is %d %s", w.Code, w.Body)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.captures) != 1 || len(a.requests) != 1 {
		t.Errorf("there are %v, asked for by %v", a.captures, a.requests)
	}
}

// A create that comes while a capture of its name is deleted is answered by what is true when that has
// ended, whether the client asks for the same capture again or for another one.
func TestCreateWhileItIsDeleted(t *testing.T) {
	for _, properties := range []string{sources, strings.Replace(sources, `"20"`, `"21"`, 1)} {
		a := newFake(t)
		s := serverOf(a)
		s.patience = time.Millisecond
		put(s, "one", sources)
		a.mu.Lock()
		a.hold = make(chan struct{})
		a.mu.Unlock()
		if w := ask(s, "DELETE", capturesPath+"/one"+version, ""); w.Code != 202 {
			t.Fatalf("it is deleted with %d %s", w.Code, w.Body)
		}
		answer := make(chan *httptest.ResponseRecorder, 1)
		go func() { answer <- put(s, "ONE", properties) }()
		select {
		case w := <-answer:
			t.Fatalf("before it is deleted, a create is answered %d %s", w.Code, w.Body)
		case <-time.After(again):
		}
		close(a.hold)
		if w := <-answer; w.Code != 201 {
			t.Errorf("the create is %d %s", w.Code, w.Body)
		}
		a.mu.Lock()
		if len(a.captures) != 1 || a.captures[0]["name"] != "ONE" {
			t.Errorf("there are %v", a.captures)
		}
		a.mu.Unlock()
	}
}

// A request does not wait for others of its name without end.
func TestTurnsEnd(t *testing.T) {
	a := newFake(t)
	a.hold = make(chan struct{})
	defer close(a.hold)
	s := serverOf(a)
	s.patience, s.turnTime = time.Millisecond, 10*time.Millisecond
	put(s, "one", sources)
	for _, w := range []*httptest.ResponseRecorder{put(s, "one", sources), ask(s, "DELETE", capturesPath+"/One"+version, "")} {
		if code, _ := codeIn(t, w); w.Code != 409 || code != "AnotherOperationInProgress" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

// A name that was taken elsewhere and is free again is taken.
func TestNamesThatAreFreeAgain(t *testing.T) {
	a := newFake(t)
	tries := 0
	s := serverOf(boundaryFunc(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost && r.URL.Path == "/v1/captures" {
			if tries++; tries == 1 {
				w := httptest.NewRecorder()
				problem.Write(w, &menu.Error{Code: menu.State, Argument: "name", Message: "There is a capture one already"}, "")
				return w.Result(), nil
			}
		}
		return a.RoundTrip(r)
	}))
	if w := put(s, "one", sources); w.Code != 201 || len(a.captures) != 1 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A method that a resource does not take is told with those that it takes, and HEAD is GET without its
// content.
func TestMethods(t *testing.T) {
	s := serverOf(newFake(t))
	for path, want := range map[string]string{
		capturesPath + "/one":                      "DELETE, GET, HEAD, PUT",
		capturesPath + "/one/stop":                 "POST",
		"/subscriptions":                           "GET, HEAD",
		"/metadata/endpoints":                      "GET, HEAD",
		"/adfs/oauth2/token":                       "POST",
		vm + "/extensions/x":                       "GET, HEAD, PUT",
		"/x/v2.0/.well-known/openid-configuration": "GET, HEAD",
	} {
		w := ask(s, "PATCH", path+version, "")
		if got := w.Header().Get("Allow"); w.Code != 405 || got != want {
			t.Errorf("%s takes %q (%d); want %q", path, got, w.Code, want)
		}
	}
	if w := ask(s, "HEAD", "/metadata/endpoints"+version, ""); w.Code != 200 {
		t.Errorf("HEAD of the metadata is %d", w.Code)
	}
}
