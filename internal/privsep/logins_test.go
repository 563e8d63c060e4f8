package privsep

import (
	"context"
	"io"
	"slices"
	"testing"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
)

// What the front asks before a login, and the login itself.
func TestLogin(t *testing.T) {
	d := newFake(t)
	f, _ := newMonitor(t, d)
	front := NewFront(f.Dial)
	if banner, err := front.Banner(t.Context()); err != nil || banner != d.Banner() {
		t.Errorf("banner %q, %v", banner, err)
	}
	if from, err := front.Visitors(t.Context()); err != nil || !slices.Equal(from, d.Visitors()) {
		t.Errorf("visitors %q, %v", from, err)
	}
	for key, want := range map[string]bool{"opkey": true, "another": false} {
		if known, err := front.KeyKnown(t.Context(), "op", "192.0.2.1", []byte(key)); err != nil || known != want {
			t.Errorf("%s is known: %v, %v", key, known, err)
		}
	}
	knock := access.Knock{User: "x", Source: "192.0.2.1", Keys: 2, Other: 3}
	if err := front.Knocked(t.Context(), knock); err != nil || !slices.Equal(d.knocks, []access.Knock{knock}) {
		t.Errorf("knocked %+v, %v", d.knocks, err)
	}
	for user, mayFiles := range map[string]bool{"op": true, "none": false} {
		client := beginClient(t, f)
		if _, err := client.Login(access.Credentials{User: user, Password: "wrong"}); !hasCode(err, menu.Denied) {
			t.Errorf("a wrong password: %v", err)
		}
		login, err := client.Login(access.Credentials{User: user, Password: "right"})
		if err != nil || login.ID != "login-"+user || login.MayFiles != mayFiles {
			t.Errorf("%s logs in: %+v, %v", user, login, err)
		}
	}
	if _, err := front.Spawn(t.Context(), "nonsense", access.Program{Kind: "shell"}); !hasCode(err, menu.Denied) {
		t.Errorf("a program of no login: %v", err)
	}
}

func TestLoginIsGivenUpWithItsClient(t *testing.T) {
	d := newFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	client, err := frontOf(t, d).Client(ctx)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := client.Login(access.Credentials{User: "op", Password: "wait"})
		done <- err
	}()
	<-d.began
	cancel()
	if err := <-done; err == nil {
		t.Error("a login was given up and succeeded")
	}
	if got := <-d.began; got != "login given up" {
		t.Error(got)
	}
}

// A file comes as a descriptor that can be read and not written.
func TestFilesOfALogin(t *testing.T) {
	d := newFake(t)
	front := frontOf(t, d)
	session := func() *FileSession {
		t.Helper()
		f, err := front.Files(t.Context(), "login-op")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	files := session()
	f, err := files.Open("a.pcap")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(f)
	if err != nil || string(text) != "contents of a" {
		t.Errorf("read %q, %v", text, err)
	}
	if _, err := f.Write([]byte("x")); err == nil {
		t.Error("a passed descriptor can be written")
	}
	if err := files.Done("a.pcap", f, 13); err != nil || !slices.Equal(d.reads, []string{"a.pcap 13"}) {
		t.Errorf("read: %q, %v", d.reads, err)
	}
	if _, err := files.Open("../../etc/passwd"); !hasCode(err, menu.NotFound) {
		t.Errorf("an escape: %v", err)
	}
	if info, err := files.Stat("b.pcap"); err != nil || info.Bytes != 13 {
		t.Errorf("%+v, %v", info, err)
	}
	if err := files.Remove("b.pcap"); err != nil {
		t.Error(err)
	}
	if _, err := files.Stat("b.pcap"); !hasCode(err, menu.NotFound) {
		t.Errorf("removed, and there: %v", err)
	}

	// A session that ends in the middle of a download cannot say how much that was.
	if f, err = files.Open("a.pcap"); err != nil {
		t.Fatal(err)
	}
	d.endAll()
	// Its connection is closed by then.
	await.Until(t, "the end of the session", func() bool { return !d.has("op") })
	if err := files.Done("a.pcap", f, 12); err == nil {
		t.Error("a session that has ended answers")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.reads, []string{"a.pcap 13", "a.pcap open"}) {
		t.Errorf("read: %q", d.reads)
	}
}
