package api

import (
	"strings"
	"testing"

	"diagsh/internal/api/idempotency"
	"diagsh/internal/menu"
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
		for range d.began {
			if r, text := post(t, path, "run/silent", "{}", idempotency.Header, "k"); r.StatusCode != 409 {
				t.Errorf("while the first is being answered: %s %s", r.Status, text)
			}
			s.mu.Lock()
			for _, one := range s.runs {
				one.cancel(errInterrupt)
			}
			s.mu.Unlock()
			return
		}
	}()
	if r, _ := post(t, path, "run/silent", "{}", idempotency.Header, "k"); r.StatusCode != 499 {
		t.Errorf("the first: %s", r.Status)
	}
}
