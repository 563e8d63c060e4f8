package api

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

func TestSessionOfALogin(t *testing.T) {
	d := newDesk(t)
	s, _ := serve(t, d)
	f, spawner := newFront(t, s)
	front := NewFrontEnd(f.Dial)
	if banner, err := front.Banner(t.Context()); err != nil || banner != d.Banner() {
		t.Errorf("banner %q, %v", banner, err)
	}
	if known, err := front.KeyKnown(t.Context(), "op", "192.0.2.1", []byte("opkey")); err != nil || !known {
		t.Error("the key of op is not known:", err)
	}
	client := beginClient(t, f)
	if _, err := client.Login(access.Credentials{User: "op", Password: "wrong"}); menu.AsError(err) == nil || menu.AsError(err).Code != menu.Denied {
		t.Errorf("a wrong password: %v", err)
	}
	login, err := client.Login(access.Credentials{User: "op", Password: "right"})
	if err != nil || !login.MayFiles {
		t.Fatal(login, err)
	}
	running, err := front.Spawn(t.Context(), login.ID, access.Program{Kind: "shell"})
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close()
	c, err := Inherit((<-spawner.started).descriptor3(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	g, err := c.Greeting(t.Context())
	if err != nil || g.Caller.User != "op" {
		t.Fatal(g, err)
	}
	if name, err := c.Hostname(t.Context()); err != nil || name != "mx1" {
		t.Errorf("the host is called %q, %v", name, err)
	}
	if notice, err := c.Leaving(t.Context()); err != nil || notice != "Nothing of op's is committed." {
		t.Errorf("who leaves is told %q, %v", notice, err)
	}
	// A role that is changed counts in the session that is open.
	d.mu.Lock()
	d.roles["op"] = menu.ReadOnly
	d.mu.Unlock()
	if failure, _ := c.Run(t.Context(), t.Context(), []string{"stream"}, nil, menu.TextForm, func(Frame) error { return nil }); failure == nil || failure.Code != menu.Denied {
		t.Errorf("a demoted operator ran stream: %v", failure)
	}
	// A session that must end is cut.
	d.mu.Lock()
	close(d.ended[g.Caller.Session])
	d.mu.Unlock()
	for {
		if _, err := c.Greeting(t.Context()); Gone(err) {
			break
		}
	}
	if _, err := front.Spawn(t.Context(), "nonsense", access.Program{Kind: "shell"}); menu.AsError(err) == nil || menu.AsError(err).Code != menu.Denied {
		t.Errorf("a program of no login: %v", err)
	}
}

func TestLoginIsGivenUpWithItsClient(t *testing.T) {
	d := newDesk(t)
	s, _ := serve(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	client, err := frontOf(t, s).Client(ctx)
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

func TestFilesOfALogin(t *testing.T) {
	d := newDesk(t)
	s, _ := serve(t, d)
	front := frontOf(t, s)
	session := func(user string) *FileSession {
		t.Helper()
		f, err := front.Files(t.Context(), "login-"+user)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	op := session("op")
	f, err := op.Open("a.pcap")
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
	if err := op.Done("a.pcap", f, 13); err != nil {
		t.Error(err)
	}
	if e := d.last(); e.Act != access.ActDownload || e.Path != "a.pcap" || e.User != "op" || e.Arguments["bytes"] != "13" {
		t.Errorf("audited as %+v", e)
	}
	// An account that expires in the middle of a download ends the session before the file is closed.
	cut := session("op")
	if f, err = cut.Open("headers.pcap"); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	for id, ended := range d.ended {
		if d.session[id] == "op" {
			close(ended)
		}
	}
	d.mu.Unlock()
	for began := time.Now(); d.has("op"); time.Sleep(time.Millisecond) { // its connections are closed by then
		if time.Since(began) > 10*time.Second {
			t.Fatal("the sessions go on")
		}
	}
	if err := cut.Done("headers.pcap", f, 12); err == nil {
		t.Error("a session that has ended answers")
	}
	for began := time.Now(); d.last().Path != "headers.pcap" || d.last().Arguments["bytes"] == "-"; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("the download that was cut off is not audited; the last line is %+v", d.last())
		}
	}
	if e := d.last(); e.Act != access.ActDownload || e.User != "op" || e.Arguments["bytes"] != "not known" {
		t.Errorf("audited as %+v", e)
	}
	op = session("op")
	if _, err := op.Open("../../etc/passwd"); menu.AsError(err).Code != menu.NotFound {
		t.Errorf("an escape: %v", err)
	}

	for _, c := range []struct {
		user, name string
		allowed    bool
	}{{"ro", "a.pcap", false}, {"sup", "a.pcap", false}, {"sup", "headers.pcap", true}, {"admin", "a.pcap", true}} {
		f, err := session(c.user).Open(c.name)
		if (err == nil) != c.allowed {
			t.Errorf("%s opens %s: %v", c.user, c.name, err)
		}
		if err == nil {
			f.Close()
		} else if e := d.last(); e.Act != access.ActRefused || e.User != c.user {
			t.Errorf("the refusal is audited as %+v", e)
		}
	}
	listing, err := session("ro").List()
	if err != nil {
		t.Fatal(err)
	}
	if list, err := listing.Next(); err != nil || len(list) != 2 || list[0].Name != "a.pcap" {
		t.Errorf("readonly lists %v, %v", list, err)
	}
	if list, err := listing.Next(); err != io.EOF {
		t.Errorf("then it lists %v, %v", list, err)
	}
	if err := session("ro").Remove("a.pcap"); menu.AsError(err).Code != menu.Denied {
		t.Errorf("readonly removes: %v", err)
	}
	if err := op.Remove("a.pcap"); err != nil {
		t.Error(err)
	}
	if e := d.last(); e.Act != access.ActDelete || e.Path != "a.pcap" {
		t.Errorf("audited as %+v", e)
	}
}

func TestFilesOverHTTP(t *testing.T) {
	d := newDesk(t)
	_, path := serve(t, d)
	if status, text := curl(t, path, "GET", "files", ""); status != 200 || !strings.Contains(text, `"name":"a.pcap"`) {
		t.Error(status, text)
	}
	if status, text := curl(t, path, "GET", "files/a.pcap", ""); status != 200 || text != "contents of a" {
		t.Error(status, text)
	}
	for _, name := range []string{"..%2f..%2fetc%2fpasswd", "nosuch", "%00"} {
		if status, text := curl(t, path, "GET", "files/"+name, ""); status != 404 {
			t.Error(name, status, text)
		}
	}
	d.as("ro")
	if status, text := curl(t, path, "GET", "files/a.pcap", ""); status != 403 || strings.Contains(text, "contents") {
		t.Error(status, text)
	}
	if status, _ := curl(t, path, "DELETE", "files/a.pcap", ""); status != 403 {
		t.Error(status)
	}
}
