package azure

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/menu/problem"
)

// settings is an appliance as a virtual machine.
var settings = access.Azure{Subscription: "7a1f0e2c-9f4b-4d3e-8a55-0c6f5d1b2e90", ResourceGroup: "lab", WatcherGroup: "NetworkWatcherRG",
	Watcher: "NetworkWatcher_lab", Location: "lab", Machine: "mx1"}

// A boundaryFunc is a boundary that answers by a function.
type boundaryFunc func(*http.Request) (*http.Response, error)

func (f boundaryFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// serverOf returns a server whose callers are logged in if they send any Authorization, and have the
// boundary b.
func serverOf(b Boundary) *Server {
	return New(Options{Settings: settings, Log: slog.New(slog.DiscardHandler),
		Session: func(r *http.Request) (Boundary, func(), *menu.Error) {
			if r.Header.Get("Authorization") == "" {
				return nil, nil, problem.Login.Errorf("You are not logged in")
			}
			return b, func() {}, nil
		}})
}

// ask sends a request of a caller who is logged in.
func ask(s *Server, method, target, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "https://mx1.lab.example:8443"+target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer x")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// codeIn returns the code and the message of the error that an answer is.
func codeIn(t *testing.T, w *httptest.ResponseRecorder) (code, message string) {
	t.Helper()
	var e struct {
		Error struct {
			Code, Message string
			Details       []any
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Error.Details == nil {
		t.Fatalf("%s is no error: %v", w.Body, err)
	}
	return e.Error.Code, e.Error.Message
}

const version = "?api-version=2022-01-01"

func TestPathsAndVersions(t *testing.T) {
	s := serverOf(newFake(t))
	sub := "/subscriptions/" + settings.Subscription
	for _, c := range []struct {
		method, target string
		status         int
		code           string
	}{
		{"GET", sub + "/providers/Microsoft.Network/networkWatchers?api-version=2025-05-01", 200, ""},
		{"GET", "/" + strings.ToUpper(sub) + "//providers/MICROSOFT.network/NETWORKWATCHERS/?API-Version=2099-12-31-preview", 200, ""},
		{"GET", sub + "/resourceGroups/networkwatcherrg/providers/Microsoft.Network/networkWatchers" + version, 200, ""},
		{"GET", sub + "/resourcegroups/NetworkWatcherRG/providers/Microsoft.Network/networkWatchers/networkwatcher_LAB" + version, 200, ""},
		{"GET", sub + "/providers/Microsoft.Network/networkWatchers", 400, "MissingApiVersionParameter"},
		{"GET", sub + "/providers/Microsoft.Network/networkWatchers?api-version=2022-13-01", 400, "InvalidApiVersionParameter"},
		{"GET", sub + "/providers/Microsoft.Network/networkWatchers?api-version=latest", 400, "InvalidApiVersionParameter"},
		{"GET", sub + "/providers/Microsoft.Network/networkWatchers?api-version=2013-01-01", 400, "InvalidApiVersionParameter"},
		{"GET", "/subscriptions/00000000-0000-0000-0000-000000000000/providers/Microsoft.Network/networkWatchers" + version, 404, "SubscriptionNotFound"},
		{"GET", sub + "/resourceGroups/lab/providers/Microsoft.Network/networkWatchers" + version, 404, "ResourceGroupNotFound"},
		{"GET", sub + "/resourceGroups/NetworkWatcherRG/providers/Microsoft.Network/networkWatchers/other" + version, 404, "ResourceNotFound"},
		{"GET", sub + "/resourceGroups/NetworkWatcherRG/providers/Microsoft.Network/networkWatchers/NetworkWatcher_lab/packetCaptures/none" + version, 404, "ResourceNotFound"},
		{"GET", sub + "/providers/Microsoft.Network/locations/lab/operations/none" + version, 404, "ResourceNotFound"},
		{"GET", sub + "/providers/Microsoft.Network/locations/mars/operations/none" + version, 404, "LocationNotFound"},
		{"PATCH", sub + "/providers/Microsoft.Network/networkWatchers" + version, 405, "MethodNotAllowed"},
		{"GET", sub + "/providers/Microsoft.Web/sites" + version, 404, "ResourceNotFound"},
	} {
		w := ask(s, c.method, c.target, "")
		if w.Code != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.target, w.Code, w.Body)
		} else if c.code != "" {
			if code, _ := codeIn(t, w); code != c.code {
				t.Errorf("%s %s: %s; want %s", c.method, c.target, code, c.code)
			}
		}
		if w.Header().Get("Content-Type") != "application/json; charset=utf-8" || w.Header().Get("Cache-Control") != "no-cache" ||
			len(w.Header().Get("x-ms-request-id")) != 36 || w.Header().Get("x-ms-correlation-request-id") == "" {
			t.Errorf("%s %s: headers %v", c.method, c.target, w.Header())
		}
	}
}

func TestWhoIsNotLoggedIn(t *testing.T) {
	r := httptest.NewRequest("GET", "https://mx1.lab.example:8443/subscriptions/"+settings.Subscription+
		"/providers/Microsoft.Network/networkWatchers"+version, nil)
	r.Header.Set("x-ms-client-request-id", "c-1")
	w := httptest.NewRecorder()
	serverOf(nil).ServeHTTP(w, r)
	if code, _ := codeIn(t, w); w.Code != 401 || code != "AuthenticationFailed" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	want := `Bearer authorization_uri="https://mx1.lab.example:8443/adfs/oauth2/authorize", error="invalid_token"`
	if got := w.Header().Get("WWW-Authenticate"); got != want {
		t.Errorf("WWW-Authenticate: %s; want %s", got, want)
	}
	if got := w.Header().Get("x-ms-client-request-id"); got != "c-1" {
		t.Errorf("the client's identifier comes back as %q", got)
	}
}

// What the boundary refuses comes as an error of Azure that names the field.
func TestRefusalsOfTheBoundary(t *testing.T) {
	for _, c := range []struct {
		refusal *menu.Error
		status  int
		code    string
		message string
	}{
		{menu.BadArgument("properties.filters[0].remotePort", "'99999' is no port"), 400, "InvalidRequestFormat", "properties.filters[0].remotePort: '99999' is no port."},
		{menu.Errorf(menu.Denied, "Your role may not"), 403, "AuthorizationFailed", "Your role may not."},
		{menu.Errorf(menu.State, "It runs").WithHint("Stop it"), 409, "Conflict", "It runs. Stop it."},
		{menu.Errorf(menu.Failed, "No"), 400, "OperationFailed", "No."},
		{problem.Fault.Errorf("Broken"), 500, "InternalServerError", "Broken."},
		{problem.TooMany(2*time.Second, "24 commands run"), 429, "TooManyRequests", "24 commands run. Send it again after the time of Retry-After."},
		{menu.Errorf(menu.Failed, "a\x1b[31m"), 400, "OperationFailed", `a\x1b[31m.`},
	} {
		b := boundaryFunc(func(*http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			problem.Write(w, c.refusal, "")
			return w.Result(), nil
		})
		e := call(t.Context(), b, "POST", "/v1/captures", map[string]string{}, nil)
		w := httptest.NewRecorder()
		refuse(w, httptest.NewRequest("GET", "/", nil), e)
		code, message := codeIn(t, w)
		if w.Code != c.status || code != c.code || message != c.message {
			t.Errorf("%v: %d %s %q; want %q", c.refusal, w.Code, code, message, c.message)
		}
		if got := w.Header().Get("Retry-After"); (got == "2") != (w.Code == 429) {
			t.Errorf("%v: it is to be repeated after %q seconds", c.refusal, got)
		}
	}
}

// Who may only read is refused at each path that writes, whatever there is, and learns nothing of it.
func TestWhoMayOnlyRead(t *testing.T) {
	a := newFake(t)
	a.reader = true
	a.captures = append(a.captures, map[string]any{"name": "ended", "state": "Stopped", "stopReason": "TimeExceeded",
		"azure": map[string]any{"sent": json.RawMessage(sources)}})
	s := serverOf(a)
	writes := 0
	for _, to := range routes {
		if to.method == "GET" || strings.HasSuffix(to.path, "/querystatus") {
			continue
		}
		writes++
		for _, name := range []string{"ended", "none", "no name"} {
			path := strings.NewReplacer("{subscription}", settings.Subscription, "{watchergroup}", settings.WatcherGroup, "{machinegroup}", settings.ResourceGroup,
				"{watcher}", settings.Watcher, "{machine}", settings.Machine, "{capture}", strings.ReplaceAll(name, " ", "%20"),
				"{extension}", "x", "{provider}", "Microsoft.Network").Replace(to.path)
			w := ask(s, to.method, path+version, `{"properties":`+sources+`}`)
			if code, _ := codeIn(t, w); w.Code != 403 || code != "AuthorizationFailed" {
				t.Errorf("%s %s: %d %s", to.method, path, w.Code, w.Body)
			}
		}
	}
	if writes < 5 || len(a.asked) > 0 {
		t.Errorf("of %d paths the appliance was asked %v", writes, a.asked)
	}
	if w := ask(s, "POST", capturesPath+"/ended/queryStatus"+version, ""); w.Code != 200 {
		t.Errorf("a reader learns the status by %d %s", w.Code, w.Body)
	}
}
