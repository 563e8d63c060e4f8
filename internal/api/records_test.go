package api

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// begin sends a request for a run, and returns its answer as soon as the header is there.
func begin(t *testing.T, path, command, accept string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "POST", "http://appliance/v1/run/"+command, strings.NewReader(`{"count":2}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	response, err := socketClient(path).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

// A stream comes as events with the records that it has as lines, numbered; a comment while it is
// silent; and how it ended.
func TestRecordsAsEvents(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	s, path := serve(t, d)
	s.quietTime = 10 * time.Millisecond
	lines := bufio.NewScanner(begin(t, path, "stream", "application/x-ndjson").Body)
	response := begin(t, path, "stream", "text/event-stream")
	if response.Header.Get("Content-Type") != "text/event-stream" || response.Header.Get(RunHeader) == "" {
		t.Errorf("the header is %v", response.Header)
	}
	r := &reader{t, bufio.NewScanner(response.Body), response.StatusCode, response.Header, nil}
	for _, number := range []string{"1", "2"} {
		lines.Scan()
		if event, id := record(r); event != "record "+lines.Text() || id != number {
			t.Errorf("event %s is %q by the id %q, and the line %q", number, event, id, lines.Text())
		}
	}
	if event, _ := r.next(); event != ":" {
		t.Errorf("a quiet stream has %q", event)
	}
	for _, one := range s.runsNow() {
		one.cancel(errInterrupt)
	}
	if event, _ := record(r); !strings.HasPrefix(event, `end {"exit":130,"error":{`) {
		t.Errorf("the end of an interrupted run is %q", event)
	}
	if rest, err := io.ReadAll(response.Body); err != nil || len(rest) > 0 {
		t.Errorf("after the end there is %q, %v", rest, err)
	}
}

// record returns the next event that is no comment.
func record(r *reader) (event, id string) {
	for event = ":"; event == ":"; {
		event, id = r.next()
	}
	return event, id
}

// runsNow returns the commands that run.
func (s *Server) runsNow() (all []*run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.runs {
		all = append(all, one)
	}
	return all
}

// A run that is silent names itself all the same, so that it can be interrupted; what fails at once has
// its status.
func TestSilentRunsNameThemselves(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	_, path := serve(t, d)
	for _, accept := range []string{"application/x-ndjson", "text/event-stream"} {
		if response := begin(t, path, "silent", accept); response.StatusCode != 200 || response.Header.Get(RunHeader) == "" {
			t.Errorf("%s: %d %v", accept, response.StatusCode, response.Header)
		}
	}
}
