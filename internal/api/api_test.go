package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
)

func TestRunOverHTTP(t *testing.T) {
	d := newFake(t)
	_, path := serve(t, d)
	for _, c := range []struct {
		user, resource, body string
		status               int
		answer               string // what it is, or a part of it
		exit                 int    // in the audit log
	}{
		{"ro", "table", ``, 200, "[\n{\"n\":0},\n{\"n\":1}\n]\n", 0},
		{"ro", "table", `{"count":0}`, 200, "[\n]\n", 0},
		{"ro", "table", `{"count":"x"}`, 400, `"argument":"count"`, 2},
		{"ro", "table", `{"nosuch":1}`, 400, `"argument":"nosuch"`, 2},
		{"ro", "table", `{`, 400, `ends too early`, 2},
		{"ro", "table", `{"count":01}`, 400, `no JSON from byte 11 on`, 2},
		{"ro", "table", `{"count":1} trailing`, 400, `more than one value`, 2},
		{"ro", "table", `null`, 400, `one object`, 2},
		{"ro", "table", `[1]`, 400, `not the JSON`, 2},
		{"ro", "table", "{\"count\":\"\xff\"}", 400, `not UTF-8`, 2},
		{"ro", "table", `{"count":1,"COUNT":2}`, 400, `"argument":"count"`, 2},
		{"ro", "table", `{"count":1,"count":2}`, 400, `is given twice`, 2},
		{"ro", "table", `{"count":"x","more":1,"other":2}`, 400, `"errors":[{"argument":"more",`, 2},
		{"ro", "nosuch", ``, 404, `There is no command`, 4},
		{"ro", "", ``, 404, `is a menu`, 4},
		{"ro", "reload", ``, 403, `It needs the role administrator`, 3},
		{"op", "reload", ``, 403, `The role operator may not do this`, 3},
		{"admin", "reload", `{"count":1}`, 200, "{\"n\":0}\n", 0},
		{"ro", "half", `{"count":0}`, 400, `It broke`, 2},
		{"ro", "half", `{"count":5}`, 200, `broken off`, 2},
		{"ro", "fault", ``, 500, `"detail":"The appliance could not do this"`, 1},
	} {
		d.as(c.user)
		status, answer := curl(t, path, "POST", "run/"+c.resource, c.body)
		if status != c.status || !strings.Contains(answer, c.answer) {
			t.Errorf("%s runs %s with %q: %d %q, want %d %q",
				c.user, c.resource, c.body, status, answer, c.status, c.answer)
		}
		if strings.Contains(answer, "/var/lib") {
			t.Errorf("%s tells a path of the server: %q", c.resource, answer)
		}
		if e := d.last(); e.Path != c.resource || e.User != c.user || e.Exit != c.exit ||
			(e.Act == access.ActRefused) != (c.exit == 3) {
			t.Errorf("%s runs %s: audited as %+v, want exit %d", c.user, c.resource, e, c.exit)
		}
	}
}

func TestSecretsAreNotAudited(t *testing.T) {
	d := newFake(t)
	_, path := serve(t, d)
	if status, answer := curl(t, path, "POST", "run/table", `{"password":"hunter2","count":1}`); status != 200 {
		t.Fatal(status, answer)
	}
	if e := d.last(); e.Arguments["password"] != "******" || e.Arguments["count"] != "1" {
		t.Errorf("audited: %v", e.Arguments)
	}
	// Not what is refused either.
	if status, answer := curl(t, path, "POST", "run/table", `{"count":"sftp://me:hunter2@host/"}`); status != 400 {
		t.Fatal(status, answer)
	}
	if e := d.last(); strings.Contains(fmt.Sprint(e), "hunter2") ||
		!strings.Contains(e.Message, "sftp://me:******@host/") {
		t.Errorf("audited: %+v", e)
	}
}

// A line that is not understood is audited with the words that the tree has too: any other may be a
// secret in the wrong place.
func TestLinesNotUnderstoodAreAudited(t *testing.T) {
	d := newFake(t)
	_, path := serve(t, d)
	d.as("op")
	for _, c := range []struct{ line, path, kept string }{
		{"hunter2", "", "******"},
		{"Table count nosuch password hunter2 hunter3", "table", "Table count ****** password ****** ******"},
		{"table passwrod hunter2", "table", "table ****** ******"},
		{"table '" + strings.Repeat("x ", 20000), "table", "table" + strings.Repeat(" ******", 29) + " ..."},
	} {
		body, _ := json.Marshal(LineRequest{Line: c.line})
		if status, answer := curl(t, path, "POST", "parse", string(body)); status != 400 {
			t.Errorf("%.40q: %d %s", c.line, status, answer)
		}
		if e := d.last(); e.Act != access.ActRefused || e.User != "op" || e.Path != c.path || e.Exit != 2 ||
			e.Arguments["line"] != c.kept || strings.Contains(fmt.Sprint(e), "hunter") {
			t.Errorf("%.40q is audited as %+v", c.line, e)
		}
	}
	before := len(d.events)
	curl(t, path, "POST", "parse", `{"line":"nosuch","explain":true}`)
	curl(t, path, "POST", "parse", `{"line":"table"}`)
	if len(d.events) != before {
		t.Errorf("audited: %+v", d.last())
	}
}

func TestRefusedAssistanceIsAudited(t *testing.T) {
	d := newFake(t)
	_, path := serve(t, d)
	d.as("ro")
	if status, answer := curl(t, path, "POST", "assist/reload", `{"argument":"count","text":""}`); status != 403 {
		t.Fatal(status, answer)
	}
	if e := d.last(); e.Act != access.ActRefused || e.User != "ro" || e.Path != "reload" || e.Exit != 3 {
		t.Errorf("audited as %+v", e)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	d := newFake(t)
	_, path := serve(t, d)
	d.as("")
	c := dial(t, path)
	if _, err := c.Greeting(t.Context()); err == nil {
		t.Error("a peer without an account was greeted")
	}
}

func TestFrames(t *testing.T) {
	d := newFake(t)
	_, path := serve(t, d)
	c := dial(t, path)
	var out strings.Builder
	show := func(f Frame) error { out.Write(f.Text); return nil }
	failure, err := c.Run(t.Context(), t.Context(), []string{"half"}, menu.Arguments{"count": "3"}, menu.TextForm, show)
	if err != nil || failure == nil || failure.Argument != "count" || failure.Code != menu.Usage {
		t.Errorf("failure %+v, %v", failure, err)
	}
	if out.String() != "row 0\nrow 1\nrow 2\n" {
		t.Errorf("text %q", out.String())
	}
	out.Reset()
	if failure, err := c.Run(t.Context(), t.Context(), []string{"table"}, nil, menu.JSONForm, show); failure != nil ||
		err != nil {
		t.Error(failure, err)
	}
	if out.String() != "[\n{\"n\":0},\n{\"n\":1}\n]\n" {
		t.Errorf("JSON %q", out.String())
	}
}

func TestInterruptLeavesLastWords(t *testing.T) {
	d := newFake(t)
	_, path := serve(t, d)
	c := dial(t, path)
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		<-d.began
		interrupt()
	}()
	var text, progress string
	failure, err := c.Run(ctx, t.Context(), []string{"stream"}, nil, menu.TextForm, func(f Frame) error {
		text += string(f.Text)
		progress += f.Progress
		return nil
	})
	if err != nil || failure == nil || failure.Code != menu.Interrupted {
		t.Errorf("%v, %v; want interrupted", failure, err)
	}
	if text != "row 0\nrow 1\nlast words\n" || progress != "half way" {
		t.Errorf("text %q, progress %q", text, progress)
	}
	if e := d.last(); e.Exit != 130 {
		t.Errorf("audited as %+v", e)
	}
}

// A command that hangs has a line before it ends, should it ever.
func TestACommandThatHangsIsAudited(t *testing.T) {
	d := newFake(t)
	s, path := serve(t, d)
	s.longRun = time.Millisecond
	c := dial(t, path)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.Run(ctx, t.Context(), []string{"silent"}, menu.Arguments{"count": "7"}, menu.TextForm, unseen)
	}()
	<-d.began
	await.Until(t, "the line of the audit", func() bool { return d.last().Path != "" })
	if e := d.last(); e.Act != access.ActCommand || e.Path != "silent" || e.Result != ResultRunning ||
		e.Arguments["count"] != "7" || e.User != "admin" {
		t.Errorf("while it runs it is audited as %+v", e)
	}
	interrupt()
	<-ended
	if e := d.last(); e.Path != "silent" || e.Exit != int(menu.Interrupted) {
		t.Errorf("in the end it is audited as %+v", e)
	}
}

func TestACommandThatSaysNothingCanBeInterrupted(t *testing.T) {
	d := newFake(t)
	_, path := serve(t, d)
	c := dial(t, path)
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		<-d.began
		interrupt()
	}()
	failure, err := c.Run(ctx, t.Context(), []string{"silent"}, nil, menu.TextForm, unseen)
	if err != nil || failure == nil || failure.Code != menu.Interrupted {
		t.Errorf("%v, %v; want interrupted", failure, err)
	}
}

func TestInterruptIsForOnesOwnRuns(t *testing.T) {
	d := newFake(t)
	s, path := serve(t, d)
	mine, other := dial(t, path), dial(t, path)
	abandon, cancel := context.WithCancel(t.Context())
	done := make(chan *menu.Error, 1)
	go func() {
		failure, _ := mine.Run(t.Context(), abandon, []string{"stream"}, nil, menu.TextForm, unseen)
		done <- failure
	}()
	<-d.began
	s.mu.Lock()
	var id string
	for id = range s.runs {
	}
	s.mu.Unlock()
	err := other.call(t.Context(), "POST", "interrupt/"+id, nil, nil)
	if !hasCode(err, menu.NotFound) {
		t.Errorf("another session's interrupt: %v", err)
	}
	cancel()
	if failure := <-done; failure == nil || failure.Code != menu.Interrupted {
		t.Errorf("given up: %v", failure)
	}
}

func TestMenuShowsWhatTheRoleCanUse(t *testing.T) {
	d := newFake(t)
	_, path := serve(t, d)
	for user, want := range map[string]string{
		"ro":    "table silent half fault",
		"op":    "table stream silent half fault echo bytes peek",
		"admin": "table stream silent half fault reload echo bytes peek",
	} {
		d.as(user)
		_, text := curl(t, path, "GET", "menu/", "")
		var view MenuView
		if err := json.Unmarshal([]byte(text), &view); err != nil {
			t.Fatal(err, text)
		}
		var words []string
		for _, i := range view.Items {
			words = append(words, i.Keyword)
		}
		if got := strings.Join(words, " "); got != want {
			t.Errorf("%s sees %s, want %s", user, got, want)
		}
	}
}

// TestOutputCrossesAsItIs sends bytes that no JSON text can hold, and pieces that end in the middle
// of a character.
func TestOutputCrossesAsItIs(t *testing.T) {
	var wire bytes.Buffer
	want := []byte("a\xff\x00\n{\"exit\":0}\n\xe6\x97")
	o := &output{w: recorder{&wire}, flush: http.NewResponseController(recorder{&wire}), frames: true}
	o.Text(want)
	o.finish(nil)
	frames := frameReader{r: bufio.NewReader(&wire)}
	f, err := frames.next()
	if err != nil || !bytes.Equal(f.Text, want) {
		t.Errorf("%q came, not %q (%v)", f.Text, want, err)
	}
	if f, err = frames.next(); err != nil || f.Exit == nil || *f.Exit != 0 {
		t.Errorf("the last frame is %+v, %v", f, err)
	}
	for _, broken := range []string{
		"{\"bytes\":-1}\n", "{\"bytes\":99999999999}\n", "{\"bytes\":5}\nab", "{", "7\n", "",
	} {
		frames := frameReader{r: bufio.NewReader(strings.NewReader(broken))}
		if f, err := frames.next(); err == nil {
			t.Errorf("%q is the frame %+v", broken, f)
		}
	}
}

// A recorder is an http.ResponseWriter that keeps what is written.
type recorder struct{ *bytes.Buffer }

func (recorder) Header() http.Header { return http.Header{} }
func (recorder) WriteHeader(int)     {}
func (recorder) Flush()              {}

func TestGatheredOutputIsSentSoon(t *testing.T) {
	d := newFake(t)
	_, path := serve(t, d)
	c := dial(t, path)
	abandon, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make(chan string, 10)
	go c.Run(t.Context(), abandon, []string{"stream"}, menu.Arguments{"count": "3"}, menu.TextForm, func(f Frame) error {
		seen <- string(string(f.Text))
		return nil
	})
	var text bytes.Buffer
	for !strings.Contains(text.String(), "row 2") {
		select {
		case part := <-seen:
			text.WriteString(part)
		case <-time.After(5 * time.Second):
			t.Fatalf("the rows of a command that goes on were not sent: %q", text.String())
		}
	}
}
