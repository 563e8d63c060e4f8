package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"diagsh/internal/api/runs"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
)

// post sends a request with a body and header fields.
func post(t *testing.T, path, resource, body string, fields ...string) (*http.Response, string) {
	t.Helper()
	return exchange(t, path, "POST", resource, body, fields...)
}

// later begins a command in the background, and returns the path of the run below /v1/.
func later(t *testing.T, path, command, arguments string) string {
	t.Helper()
	r, body := post(t, path, "run/"+command, arguments, "Prefer", "respond-async")
	location, ok := strings.CutPrefix(r.Header.Get("Location"), "/v1/")
	if r.StatusCode != http.StatusAccepted || !ok || r.Header.Get("Preference-Applied") != "respond-async" {
		t.Fatalf("%s in the background: %s %v %s", command, r.Status, r.Header, body)
	}
	return location
}

func state(t *testing.T, path, run string) (s runs.State) {
	t.Helper()
	if status, body := curl(t, path, "GET", run, ""); status != 200 || json.Unmarshal([]byte(body), &s) != nil {
		t.Fatalf("%s: %d %s", run, status, body)
	}
	return s
}

func TestACommandGoesOnInTheBackground(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	_, path := serve(t, d)
	run := later(t, path, "stream", `{"count": 3}`) // its connection is closed by now
	<-d.began
	if s := state(t, path, run); s.State != runs.Running || s.Command != "stream" || s.User != "admin" {
		t.Errorf("it is %+v", s)
	}
	if status, body := curl(t, path, "GET", run+"/result", ""); status != 409 || !strings.Contains(body, "still runs") {
		t.Errorf("the result before its end: %d %s", status, body)
	}
	d.as("op")
	if status, body := curl(t, path, "GET", run, ""); status != 404 {
		t.Errorf("a run of another account: %d %s", status, body)
	}
	if status, _ := curl(t, path, "DELETE", run, ""); status != 404 {
		t.Error("another account ends it")
	}
	d.as("admin")
	if status, _ := curl(t, path, "DELETE", run, ""); status != 204 {
		t.Errorf("it is not ended: %d", status)
	}
	await.Until(t, "the end of the run", func() bool { return state(t, path, run).State == runs.Interrupted })
	if e := d.last(); e.Path != "stream" || e.Result != "interrupted" {
		t.Errorf("it is audited as %+v", e)
	}
	if status, _ := curl(t, path, "DELETE", run, ""); status != 204 {
		t.Error("it is not forgotten")
	}
	if status, _ := curl(t, path, "GET", run, ""); status != 404 {
		t.Error("it is there still")
	}
}

func TestTheResultIsWhatTheForegroundAnswers(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	_, path := serve(t, d)
	for _, command := range []string{"table", "fault"} {
		direct, want := post(t, path, "run/"+command, "{}")
		r, body := post(t, path, "run/"+command, "{}", "Prefer", "respond-async; wait=20")
		if r.StatusCode != direct.StatusCode || r.Header.Get("Content-Type") != direct.Header.Get("Content-Type") || r.Header.Get("Preference-Applied") != "" {
			t.Errorf("%s within its wait: %s %v", command, r.Status, r.Header)
		}
		if command == "table" && body != want {
			t.Errorf("%s within its wait: %s", command, body)
		}
	}
	run := later(t, path, "table", `{"count": 3}`)
	await.Until(t, "the end of the run", func() bool { return state(t, path, run).State == runs.Done })
	_, want := curl(t, path, "POST", "run/table", `{"count": 3}`)
	if status, body := curl(t, path, "GET", run+"/result", ""); status != 200 || body != want {
		t.Errorf("the result is %d %s", status, body)
	}
	_, list := curl(t, path, "GET", "runs", "")
	if !strings.Contains(list, `"run":"`+strings.TrimPrefix(run, "runs/")+`"`) || !strings.Contains(list, `"nextPageToken":""`) {
		t.Errorf("the list is %s", list)
	}
	// What comes to a part and breaks is no result.
	r, body := post(t, path, "run/half", "{}", "Prefer", "respond-async")
	if r.StatusCode != 409 || !strings.Contains(body, "in the middle") {
		t.Errorf("a part of a result: %s %s", r.Status, body)
	}
}

func TestWhatIsRefusedIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	_, path := serve(t, d)
	for command, want := range map[string]int{"table": 400, "nothing": 404} {
		if r, body := post(t, path, "run/"+command, `{"count": "x"}`, "Prefer", "respond-async"); r.StatusCode != want {
			t.Errorf("%s: %s %s", command, r.Status, body)
		}
	}
	d.as("ro")
	if r, _ := post(t, path, "run/reload", "{}", "Prefer", "respond-async"); r.StatusCode != 403 {
		t.Errorf("a role that may not: %s", r.Status)
	}
}

// A role that has been lost since keeps the result back.
func TestTheResultNeedsTheRoleStill(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	_, path := serve(t, d)
	run := later(t, path, "reload", "{}")
	await.Until(t, "the end of the run", func() bool { return state(t, path, run).State == runs.Done })
	d.mu.Lock()
	d.roles["admin"] = menu.ReadOnly
	d.mu.Unlock()
	if status, body := curl(t, path, "GET", run+"/result", ""); status != 403 {
		t.Errorf("the result without the role: %d %s", status, body)
	}
}

func TestRunsAreBounded(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	_, path := serve(t, d)
	for range runs.MaxRunning {
		later(t, path, "silent", "{}")
		<-d.began
	}
	if r, body := post(t, path, "run/silent", "{}", "Prefer", "respond-async"); r.StatusCode != 409 || !strings.Contains(body, "the most") {
		t.Errorf("one more: %s %s", r.Status, body)
	}
	d.as("op")
	later(t, path, "silent", "{}")
	for range runs.MaxKept + 3 {
		d.as("op")
		run := later(t, path, "table", "{}")
		await.Until(t, "the end of the run", func() bool { return state(t, path, run).State == runs.Done })
	}
	_, list := curl(t, path, "GET", "runs", "")
	if n := strings.Count(list, `"run":`); n != runs.MaxKept {
		t.Errorf("%d runs are kept", n)
	}
	if !strings.Contains(list, runs.Running) {
		t.Error("one that runs was forgotten for newer ones")
	}
}

func TestAResultThatIsTooLargeIsNoResult(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	_, path := serve(t, d)
	r, body := post(t, path, "run/table", fmt.Sprintf(`{"count": %d}`, runs.MaxResult/8), "Prefer", "respond-async, wait=60")
	if r.StatusCode != 409 || !strings.Contains(body, "larger than") {
		t.Errorf("its result: %s %.200s", r.Status, body)
	}
}

func TestPreferences(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                        "false 0s",
		"respond-async":           "true 0s",
		"Respond-Async, wait=5":   "true 5s",
		"wait=10; respond-async":  "true 10s",
		`respond-async;wait="3"`:  "true 3s",
		"respond-async, wait=999": "true 1m0s",
		"return=minimal, wait=-1": "false 0s",
	} {
		r, _ := http.NewRequest("POST", "/", nil)
		r.Header.Set("Prefer", text)
		if async, wait := preference(r); fmt.Sprint(async, " ", wait) != want {
			t.Errorf("%q is %v %v", text, async, wait)
		}
	}
}

// A result is for whoever has the rights of the one who began the run, and not for another account
// that was made later by the same name.
func TestAResultIsNotForLess(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	_, path := serve(t, d)
	run := later(t, path, "table", `{"count": 3}`)
	await.Until(t, "the end of the run", func() bool { return state(t, path, run).State == runs.Done })
	role := func(r menu.Role) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.roles["admin"] = r
	}
	before := menu.Administrator
	role(menu.Operator)
	if status, body := curl(t, path, "GET", run+"/result", ""); status != 403 || strings.Contains(body, "index") {
		t.Errorf("with a lesser role: %d %s", status, body)
	}
	role(before)
	if status, _ := curl(t, path, "GET", run+"/result", ""); status != 200 {
		t.Errorf("with the same role: %d", status)
	}
	d.remade("admin")
	for _, what := range []string{run, run + "/result"} {
		if status, body := curl(t, path, "GET", what, ""); status != 404 {
			t.Errorf("%s of the account before: %d %s", what, status, body)
		}
	}
	if _, list := curl(t, path, "GET", "runs", ""); strings.Contains(list, `"run":`) {
		t.Errorf("runs of the account before: %s", list)
	}
}
