package azure

import (
	"net/http/httptest"
	"testing"
	"time"
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
	time.Sleep(3 * again)
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
