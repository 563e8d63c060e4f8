package api

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/api/sse"
	"diagsh/internal/daemon/feed"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
)

// A reader reads a stream of events.
type reader struct {
	t      *testing.T
	lines  *bufio.Scanner
	status int
	header http.Header
	close  context.CancelFunc
}

// listen opens a stream of events on the socket.
func listen(t *testing.T, path, query, after string) *reader {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), await.Patience)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, "GET", "http://appliance/v1/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	if after != "" {
		request.Header.Set("Last-Event-ID", after)
	}
	response, err := socketClient(path).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return &reader{t, bufio.NewScanner(response.Body), response.StatusCode, response.Header, cancel}
}

// next returns the next event as "name data", and its identifier. A comment is ":", the end is "".
func (r *reader) next() (event, id string) {
	r.t.Helper()
	for r.lines.Scan() {
		field, value, _ := strings.Cut(r.lines.Text(), ": ")
		switch {
		case strings.HasPrefix(r.lines.Text(), ":"):
			return ":", id
		case field == "id":
			id = value
		case field == "event":
			event = value
		case field == "data":
			event += " " + value
		case event != "":
			return event, id
		case id != "":
			return "id alone", id
		}
	}
	return "", id
}

// until skips events until one begins so.
func (r *reader) until(start string) (event, id string) {
	r.t.Helper()
	for {
		event, id = r.next()
		if event == "" {
			r.t.Fatalf("the stream ended before %q", start)
		}
		if strings.HasPrefix(event, start) {
			return event, id
		}
	}
}

// withFeed adds to the feed of a fake appliance what its tree has topics for.
func withFeed(d *fakeAppliance) (tell func(topic string, names ...string)) {
	for _, name := range []string{"things", "secrets", access.FilesTopic} {
		d.feed.Add(feed.Topic{Name: name, Read: func(name string) (any, bool) { return name, true }})
	}
	d.feed.Add(feed.Topic{Name: "own", Private: true, Read: func(string) (any, bool) { return 1, true }})
	return func(topic string, names ...string) { d.feed.Teller(topic).Changed(names...) }
}

func TestEventsAreThoseThatTheRoleMayList(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	tell := withFeed(d)
	_, path := serve(t, d)
	admin := listen(t, path, "", "")
	admin.until("session ")
	d.as("ro")
	ro := listen(t, path, "", "")
	if event, _ := ro.until("session "); !strings.Contains(event, `"role":"readonly"`) {
		t.Errorf("the session's event says %s", event)
	}
	if ro.header.Get("Content-Type") != sse.Type || ro.header.Get("Cache-Control") != "no-store" {
		t.Errorf("the header says %v", ro.header)
	}
	tell("secrets", "a")
	admin.until(`secrets {"changed":["a"]}`)
	tell("things", "b")
	admin.until(`things {"changed":["b"]}`)
	// It comes back with the identifier of what it may not know, and so misses nothing.
	_, id := ro.until("id alone")
	if event, _ := ro.next(); event != `things {"changed":["b"]}` {
		t.Errorf("a user who may only read got %q", event)
	}
	if event, _ := listen(t, path, "", id).until("things"); event != `things {"changed":["b"]}` {
		t.Errorf("one who comes back got %q", event)
	}
	tell(access.FilesTopic, "a.pcap")
	ro.until(`files {"changed":["a.pcap"]}`)
}

func TestARoleThatChangesCountsInAStream(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	tell := withFeed(d)
	_, path := serve(t, d)
	r := listen(t, path, "", "")
	r.until("session ")
	tell("secrets", "a")
	r.until(`secrets`)
	d.mu.Lock()
	d.roles["admin"] = menu.ReadOnly
	d.mu.Unlock()
	tell("secrets", "b")
	tell("things", "c")
	if event, _ := r.until("session "); !strings.Contains(event, `"role":"readonly"`) {
		t.Errorf("the stream says %s", event)
	}
	if event, _ := r.next(); event != `things {"changed":["c"]}` {
		t.Errorf("a user who may not list them any more got %q", event)
	}
	// An account that is gone ends the stream with the next event.
	d.mu.Lock()
	for session := range d.session {
		delete(d.session, session)
	}
	d.mu.Unlock()
	tell("things", "d")
	event, _ := r.next()
	if event == "id alone" { // of the secret before
		event, _ = r.next()
	}
	if event != "" {
		t.Errorf("a stream without a session went on with %q", event)
	}
}

func TestAStreamEndsWithItsSession(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	withFeed(d)
	_, path := serve(t, d)
	r := listen(t, path, "", "")
	r.until("session ")
	d.mu.Lock()
	for _, ended := range d.ended {
		close(ended)
	}
	d.mu.Unlock()
	if event, _ := r.next(); event != "" {
		t.Errorf("after its session a stream has %q", event)
	}
}

func TestAStreamIsNoSignOfLife(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	withFeed(d)
	_, path := serve(t, d)
	r := listen(t, path, "", "")
	r.until("session ")
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.alive) != 0 || len(d.running) != 0 {
		t.Errorf("a stream of events counts as an act: %v, %v", d.alive, d.running)
	}
}

func TestAStreamWarnsOfItsEnd(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		end  access.SessionEnd
		want string
	}{
		{"neither", access.SessionEnd{}, ""},
		{"far", access.SessionEnd{Idle: time.Now().Add(time.Hour), Absolute: time.Now().Add(2 * time.Hour)}, ""},
		{"idle", access.SessionEnd{Idle: time.Now().Add(2 * time.Minute), Absolute: time.Now().Add(time.Hour)}, `"why":"idle"`},
		{"just used", access.SessionEnd{Idle: time.Now().Add(4 * time.Minute), IdleTimeout: 4 * time.Minute}, ""},
		{"idle for a half", access.SessionEnd{Idle: time.Now().Add(2 * time.Minute), IdleTimeout: 4 * time.Minute}, `"why":"idle"`},
		{"absolute", access.SessionEnd{Idle: time.Now().Add(time.Hour), Absolute: time.Now().Add(50 * time.Second)}, `"why":"absolute"`},
	} {
		d := newFake(t)
		withFeed(d)
		d.ending = test.end
		_, path := serve(t, d)
		event, _ := listen(t, path, "", "").until("session ")
		if !strings.Contains(event, test.want) || strings.Contains(event, "secondsLeft") != (test.want != "") {
			t.Errorf("%s: the stream says %s", test.name, event)
		}
	}
	// A warning comes while the stream is open, and is taken back when something was done.
	d := newFake(t)
	tell := withFeed(d)
	d.ending.Idle = time.Now().Add(time.Minute + 100*time.Millisecond)
	_, path := serve(t, d)
	r := listen(t, path, "", "")
	r.until("session ")
	if event, _ := r.until("session "); !strings.Contains(event, `"secondsLeft":5`) && !strings.Contains(event, `"secondsLeft":60`) {
		t.Errorf("the warning a minute before the end says %s", event)
	}
	d.mu.Lock()
	d.ending.Idle = time.Now().Add(time.Hour)
	d.mu.Unlock()
	tell("things", "a")
	if event, _ := r.until("session "); strings.Contains(event, "secondsLeft") {
		t.Errorf("after an act the stream still warns: %s", event)
	}
}

func TestAQuietStreamHasComments(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	withFeed(d)
	s, path := serve(t, d)
	s.quietTime = 10 * time.Millisecond
	r := listen(t, path, "", "")
	r.until("session ")
	if event, _ := r.next(); event != ":" {
		t.Errorf("a quiet stream has %q", event)
	}
}

func TestStreamsChooseTopics(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	tell := withFeed(d)
	_, path := serve(t, d)
	if status, body := curl(t, path, "GET", "events?topics=things,nothing", ""); status != 400 ||
		!strings.Contains(body, "files, secrets, things") {
		t.Errorf("an unknown topic: %d %s", status, body)
	}
	r := listen(t, path, "?topics=secrets", "")
	r.until("session ")
	tell("things", "a")
	tell("secrets", "b")
	if event, _ := r.next(); event != `secrets {"changed":["b"]}` {
		t.Errorf("a stream of one topic has %q", event)
	}
	if event, _ := listen(t, path, "", "elsewhere-1").until("missed"); event != "missed {}" {
		t.Errorf("one who comes back from another appliance got %q", event)
	}
}
