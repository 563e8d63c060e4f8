package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"diagsh/internal/api/idempotency"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
)

// acts counts the lines of the audit log about a command.
func (d *fakeAppliance) acts(path string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.events {
		if e.Path == path {
			n++
		}
	}
	return n
}

func TestAKeyIsDoneOnce(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	_, path := serve(t, d)
	const key = idempotency.Header
	first, body := post(t, path, "run/table", `{"count": 3}`, key, "k1")
	if first.StatusCode != 200 || first.Header.Get(idempotency.Replayed) != "" {
		t.Fatalf("the first: %s %s", first.Status, body)
	}
	again, same := post(t, path, "run/table", `{"count": 3}`, key, "k1")
	if same != body || again.Header.Get(idempotency.Replayed) != "true" || again.Header.Get(RunHeader) != first.Header.Get(RunHeader) ||
		again.Header.Get("Content-Type") != first.Header.Get("Content-Type") {
		t.Errorf("again: %v %s", again.Header, same)
	}
	if n := d.acts("table"); n != 1 {
		t.Errorf("it was done %d times", n)
	}
	if r, text := post(t, path, "run/table", `{"count": 4}`, key, "k1"); r.StatusCode != 422 || !strings.Contains(text, "keyReused") {
		t.Errorf("the key with another body: %s %s", r.Status, text)
	}
	d.as("op")
	if r, _ := post(t, path, "run/table", `{"count": 3}`, key, "k1"); r.Header.Get(idempotency.Replayed) != "" {
		t.Error("the key of another account is replayed")
	}
	d.as("admin")
	d.mu.Lock()
	d.roles["admin"] = menu.ReadOnly
	d.mu.Unlock()
	if r, text := post(t, path, "run/table", `{"count": 3}`, key, "k1"); r.StatusCode != 403 {
		t.Errorf("with other rights: %s %s", r.Status, text)
	}
}

func TestAKeyOfWhatFailedIsFree(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	_, path := serve(t, d)
	for range 2 {
		if r, _ := post(t, path, "run/fault", "{}", idempotency.Header, "k"); r.StatusCode != 500 {
			t.Errorf("a fault: %s", r.Status)
		}
	}
	if n := d.acts("fault"); n != 2 {
		t.Errorf("what failed was tried %d times", n)
	}
	if _, text := post(t, path, "run/half", "{}", idempotency.Header, "h"); !strings.HasPrefix(text, "broken off") {
		t.Errorf("a part: %s", text)
	}
	if _, text := post(t, path, "run/half", "{}", idempotency.Header, "h"); !strings.HasPrefix(text, "broken off") {
		t.Errorf("a part is replayed as %s", text)
	}
	for _, key := range []string{strings.Repeat("x", 256), "gr\u00fcn"} {
		if r, _ := post(t, path, "run/table", "{}", idempotency.Header, key); r.StatusCode != 400 {
			t.Errorf("the key %.20q: %s", key, r.Status)
		}
	}
}

func TestAKeyWhoseAnswerIsLarge(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	_, path := serve(t, d)
	post(t, path, "run/table", `{"count": 20000}`, idempotency.Header, "k")
	if r, text := post(t, path, "run/table", `{"count": 20000}`, idempotency.Header, "k"); r.StatusCode != 409 || d.acts("table") != 1 {
		t.Errorf("a large answer again: %s %.200s, done %d times", r.Status, text, d.acts("table"))
	}
}

func TestAKeyThatIsBeingAnswered(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	s, path := serve(t, d)
	go func() {
		if _, ok := <-d.began; ok {
			if r, text := post(t, path, "run/silent", "{}", idempotency.Header, "k"); r.StatusCode != 409 {
				t.Errorf("while the first is being answered: %s %s", r.Status, text)
			}
			s.mu.Lock()
			for _, one := range s.runs {
				one.cancel(errInterrupt)
			}
			s.mu.Unlock()
		}
	}()
	if r, _ := post(t, path, "run/silent", "{}", idempotency.Header, "k"); r.StatusCode != 499 {
		t.Errorf("the first: %s", r.Status)
	}
}

// A key belongs to who used it: not to a token of the account, and not to another account that was
// made later by the same name.
func TestAKeyIsOfOneOwner(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	_, path := serve(t, d)
	const key = idempotency.Header
	post(t, path, "run/table", `{"count": 3}`, key, "k")
	d.bind("admin", "half")
	if r, text := post(t, path, "run/table", `{"count": 3}`, key, "k"); r.StatusCode != 403 || r.Header.Get(idempotency.Replayed) != "" {
		t.Errorf("a token that may not use the command: %s %s", r.Status, text)
	}
	d.bind("admin")
	d.remade("admin")
	if r, text := post(t, path, "run/table", `{"count": 3}`, key, "k"); r.StatusCode != 200 || r.Header.Get(idempotency.Replayed) != "" {
		t.Errorf("another account of the name: %s %s", r.Status, text)
	}
}

// Who does not read an answer keeps nobody else from one.
func TestAKeyIsReplayedToOneAtATime(t *testing.T) {
	t.Parallel()
	var keys idempotency.Memory
	once := func(w http.ResponseWriter, key string) {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set(idempotency.Header, key)
		if err := keys.Once(w, r, menu.Caller{}, func(w http.ResponseWriter) error { return writeJSON(w, key) }); err != nil {
			t.Error(err)
		}
	}
	once(httptest.NewRecorder(), "a")
	stuck := stuckWriter{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
	var replay sync.WaitGroup
	replay.Go(func() { once(stuck, "a") })
	<-stuck.began
	others := make(chan struct{})
	go func() {
		defer close(others)
		once(httptest.NewRecorder(), "b")
	}()
	await.Until(t, "the answer of another", func() bool {
		select {
		case <-others:
			return true
		default:
			return false
		}
	})
	close(stuck.end)
	replay.Wait()
}

// A stuckWriter is of a peer who does not read.
type stuckWriter struct {
	http.ResponseWriter
	began, end chan struct{}
}

func (w stuckWriter) Write(p []byte) (int, error) {
	close(w.began)
	<-w.end
	return w.ResponseWriter.Write(p)
}
