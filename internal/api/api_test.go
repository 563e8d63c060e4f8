package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A desk is an appliance made of maps: enough to hold the boundary to its promises.
type desk struct {
	dir string

	mu      sync.Mutex
	roles   map[string]menu.Role // of users
	local   string               // the user that the socket's peer is
	ended   map[string]chan struct{}
	session map[string]string // session to user
	events  []access.Event
	running []string
	began   chan string // the path of each command that begins to wait

	offered []access.Credentials

	whenRunning func() // called with mu held when something begins to run
	listings    int    // that are open
	logouts     []string
}

func newDesk(t testing.TB) *desk {
	d := &desk{dir: t.TempDir(), roles: map[string]menu.Role{"admin": menu.Administrator, "op": menu.Operator, "ro": menu.ReadOnly, "sup": menu.Support},
		local: "admin", ended: map[string]chan struct{}{}, session: map[string]string{}, began: make(chan string, 10)}
	for name, text := range map[string]string{"a.pcap": "contents of a", "headers.pcap": "headers only"} {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// has reports whether a user has a session.
func (d *desk) has(user string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(slices.Collect(maps.Values(d.session)), user)
}

// as makes the socket's peer that user.
func (d *desk) as(user string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.local = user
}

func (d *desk) Banner() string     { return "authorised people only\n" }
func (d *desk) Visitors() []string { return []string{"192.0.2.9"} }
func (d *desk) Knocked(k access.Knock) {
	d.Record(access.Event{Act: access.ActRefused, User: k.User, Source: k.Source, Message: fmt.Sprint(k.Keys, " ", k.Other)})
}
func (d *desk) KeyKnown(_ context.Context, user, _ string, key []byte) bool {
	return user == "op" && string(key) == "opkey"
}
func (d *desk) Login(ctx context.Context, c access.Credentials) (access.Login, error) {
	d.mu.Lock()
	d.offered = append(d.offered, c)
	d.mu.Unlock()
	if c.Password == "wait" {
		d.began <- "login"
		<-ctx.Done()
		d.began <- "login given up"
		return access.Login{}, ctx.Err()
	}
	if c.Password != "right" {
		return access.Login{}, menu.Errorf(menu.Denied, "Login refused")
	}
	return access.Login{ID: "login-" + c.User, Caller: menu.Caller{User: c.User, Role: d.roles[c.User]}}, nil
}
func (d *desk) Logout(login string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.logouts = append(d.logouts, login)
}
func (d *desk) loggedOut() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.logouts)
}
func (d *desk) Attach(login, kind string) (menu.Caller, <-chan struct{}, func(), error) {
	user, ok := strings.CutPrefix(login, "login-")
	if !ok {
		return menu.Caller{}, nil, nil, menu.Errorf(menu.Denied, "This login has ended")
	}
	return d.open(user)
}
func (d *desk) Console() (menu.Caller, <-chan struct{}, func(), error) { return d.open("admin") }
func (d *desk) Local(uint32) (menu.Caller, <-chan struct{}, func(), error) {
	d.mu.Lock()
	user := d.local
	d.mu.Unlock()
	if user == "" {
		return menu.Caller{}, nil, nil, menu.Errorf(menu.Denied, "You have no account")
	}
	return d.open(user)
}
func (d *desk) open(user string) (menu.Caller, <-chan struct{}, func(), error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := fmt.Sprintf("%s-%d", user, len(d.ended)+1) // of those that have ended too
	d.session[id], d.ended[id] = user, make(chan struct{})
	return menu.Caller{User: user, Session: id}, d.ended[id], func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.session, id)
	}, nil
}
func (d *desk) Current(session string) (menu.Caller, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	user, ok := d.session[session]
	if !ok {
		return menu.Caller{}, menu.Errorf(menu.Denied, "This session has ended")
	}
	return menu.Caller{User: user, Role: d.roles[user], Session: session, Source: "192.0.2.9", Payload: user != "sup"}, nil
}
func (d *desk) Running(_, path string) func() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.whenRunning != nil {
		d.whenRunning()
	}
	d.running = append(d.running, path)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.running = slices.DeleteFunc(d.running, func(p string) bool { return p == path })
	}
}
func (d *desk) Alive(string) {}
func (d *desk) Record(e access.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
}
func (d *desk) Hostname() string { return "mx1" }

func (d *desk) Leaving(c menu.Caller) string { return "Nothing of " + c.User + "'s is committed." }

func (d *desk) Greeting(c menu.Caller) access.Greeting {
	return access.Greeting{Host: "mx1", Caller: c}
}
func (d *desk) Remember(string, string) {}
func (d *desk) OpenListing() (FileListing, error) {
	entries, err := os.ReadDir(d.dir)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listings++
	return &deskListing{d, entries}, err
}

type deskListing struct {
	desk    *desk
	entries []os.DirEntry
}

func (l *deskListing) Next(most int) (files []access.File, err error) {
	if len(l.entries) == 0 {
		return nil, io.EOF
	}
	some := l.entries[:min(most, len(l.entries))]
	l.entries = l.entries[len(some):]
	for _, e := range some {
		if e.Name() == "broken.pcap" {
			return nil, errors.New("readdir: input/output error")
		}
		f, err := l.desk.StatFile(e.Name())
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func (l *deskListing) Close() error {
	l.desk.mu.Lock()
	defer l.desk.mu.Unlock()
	l.desk.listings--
	return nil
}
func (d *desk) StatFile(name string) (access.File, error) {
	info, err := os.Stat(filepath.Join(d.dir, name))
	if err != nil || strings.Contains(name, "/") {
		return access.File{}, menu.Errorf(menu.NotFound, "There is no file %q", name)
	}
	return access.File{Name: name, Bytes: info.Size(), Modified: info.ModTime(), Payload: name == "a.pcap"}, nil
}
func (d *desk) OpenFile(name string) (*os.File, error) { return os.Open(filepath.Join(d.dir, name)) }
func (d *desk) Packets(name string) (access.File, bool) {
	return access.File{Name: name, Payload: name == "a.pcap"}, name == "a.pcap" || name == "b.pcap"
}

func (d *desk) RemoveFile(_ menu.Caller, name string) error {
	return os.Remove(filepath.Join(d.dir, name))
}

// last is the newest audit line.
func (d *desk) last() access.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.events) == 0 {
		return access.Event{}
	}
	return d.events[len(d.events)-1]
}

type row struct {
	N int `json:"n"`
}

type countArgs struct {
	Count    int         `arg:"count,positional:1" default:"2" help:"How many."`
	Password menu.Secret `arg:"password" help:"For nothing."`
}

// tree has a table, a stream that waits to be interrupted, a failure, a fault and something for administrators alone.
func (d *desk) tree() *menu.Menu {
	rows := func(name string, shape menu.Shape, role menu.Role, run func(context.Context, countArgs, *menu.Out[row]) error) *menu.Command {
		return menu.Decl[countArgs, row]{Name: name, Help: "Help.", Role: role, Shape: shape,
			Run: func(ctx context.Context, _ menu.Caller, a countArgs, out *menu.Out[row]) error {
				return run(ctx, a, out)
			},
			Text: func(w io.Writer, r row) { fmt.Fprintf(w, "row %d\n", r.N) }}.Command()
	}
	count := func(_ context.Context, a countArgs, out *menu.Out[row]) error {
		for n := range a.Count {
			if err := out.Record(row{n}); err != nil {
				return err
			}
		}
		return nil
	}
	return &menu.Menu{Items: []menu.Item{
		rows("table", menu.Table, menu.ReadOnly, count),
		rows("stream", menu.Stream, menu.Operator, func(ctx context.Context, a countArgs, out *menu.Out[row]) error {
			count(ctx, a, out)
			out.Progress("half way")
			d.began <- "stream"
			<-ctx.Done()
			out.Printf("last words\n")
			return ctx.Err()
		}),
		rows("silent", menu.Stream, menu.ReadOnly, func(ctx context.Context, a countArgs, out *menu.Out[row]) error {
			d.began <- "silent"
			<-ctx.Done()
			return ctx.Err()
		}),
		rows("half", menu.Table, menu.ReadOnly, func(ctx context.Context, a countArgs, out *menu.Out[row]) error {
			count(ctx, a, out)
			return menu.BadArgument("count", "It broke")
		}),
		rows("fault", menu.Object, menu.ReadOnly, func(context.Context, countArgs, *menu.Out[row]) error {
			return errors.New("open /var/lib/diagsh/secret: permission denied")
		}),
		rows("reload", menu.Object, menu.Administrator, count),
		echoing(d),
		menu.Decl[bytesArgs, struct{}]{Name: "bytes", Help: "Help.", Role: menu.Operator, Shape: menu.Bytes, Run: writeBytes}.Command(),
		menu.Decl[peekArgs, row]{Name: "peek", Help: "Help.", Role: menu.Operator, Shape: menu.Object,
			Ask: func(_ context.Context, _ menu.Caller, _ peekArgs, q *menu.Question) error {
				q.Choices, q.Open = []menu.Choice{{Value: "a.pcap"}, {Value: "b.pcap"}}, true
				return nil
			},
			Run: func(_ context.Context, _ menu.Caller, _ peekArgs, out *menu.Out[row]) error {
				return out.Record(row{1})
			},
			Text: func(w io.Writer, r row) { fmt.Fprintf(w, "row %d\n", r.N) }}.Command(),
	}}
}

// serve starts a boundary around the desk and returns its socket.
func serve(t testing.TB, d *desk) (*Server, string) {
	t.Helper()
	s := NewServer(d, d.tree(), slog.New(slog.DiscardHandler))
	path := filepath.Join(t.TempDir(), "api.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != nil {
			t.Error("Serve:", err)
		}
	})
	return s, path
}

func dial(t testing.TB, path string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// curl is an ordinary HTTP/1.1 client on the socket.
func curl(t *testing.T, path, method, resource, body string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	request, err := http.NewRequestWithContext(t.Context(), method, "http://appliance/v1/"+resource, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return response.StatusCode, "broken off: " + string(text)
	}
	return response.StatusCode, string(text)
}

func TestRunOverHTTP(t *testing.T) {
	d := newDesk(t)
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
		{"ro", "table", `{`, 400, `not the JSON`, 2},
		{"ro", "nosuch", ``, 404, `There is no command`, 4},
		{"ro", "reload", ``, 403, `It needs the role administrator`, 3},
		{"op", "reload", ``, 403, `The role operator may not do this`, 3},
		{"admin", "reload", `{"count":1}`, 200, "{\"n\":0}\n", 0},
		{"ro", "half", `{"count":0}`, 400, `It broke`, 2},
		{"ro", "half", `{"count":5}`, 200, `broken off`, 2},
		{"ro", "fault", ``, 500, `"message":"The appliance could not do this"`, 1},
	} {
		d.as(c.user)
		status, answer := curl(t, path, "POST", "run/"+c.resource, c.body)
		if status != c.status || !strings.Contains(answer, c.answer) {
			t.Errorf("%s runs %s with %q: %d %q, want %d %q", c.user, c.resource, c.body, status, answer, c.status, c.answer)
		}
		if strings.Contains(answer, "/var/lib") {
			t.Errorf("%s tells a path of the server: %q", c.resource, answer)
		}
		if e := d.last(); e.Path != c.resource || e.User != c.user || e.Exit != c.exit || (e.Act == access.ActRefused) != (c.exit == 3) {
			t.Errorf("%s runs %s: audited as %+v, want exit %d", c.user, c.resource, e, c.exit)
		}
	}
}

func TestSecretsAreNotAudited(t *testing.T) {
	d := newDesk(t)
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
	if e := d.last(); strings.Contains(fmt.Sprint(e), "hunter2") || !strings.Contains(e.Message, "sftp://me:******@host/") {
		t.Errorf("audited: %+v", e)
	}
}

// A line that is not understood is audited with the words that the tree has too: any other may be a secret in the wrong place.
func TestLinesNotUnderstoodAreAudited(t *testing.T) {
	d := newDesk(t)
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
		if e := d.last(); e.Act != access.ActRefused || e.User != "op" || e.Path != c.path || e.Exit != 2 || e.Arguments["line"] != c.kept || strings.Contains(fmt.Sprint(e), "hunter") {
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
	d := newDesk(t)
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
	d := newDesk(t)
	_, path := serve(t, d)
	d.as("")
	c := dial(t, path)
	if _, err := c.Greeting(t.Context()); err == nil {
		t.Error("a peer without an account was greeted")
	}
}

func TestFrames(t *testing.T) {
	d := newDesk(t)
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
	if failure, err := c.Run(t.Context(), t.Context(), []string{"table"}, nil, menu.JSONForm, show); failure != nil || err != nil {
		t.Error(failure, err)
	}
	if out.String() != "[\n{\"n\":0},\n{\"n\":1}\n]\n" {
		t.Errorf("JSON %q", out.String())
	}
}

func TestInterruptLeavesLastWords(t *testing.T) {
	d := newDesk(t)
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
	d := newDesk(t)
	s, path := serve(t, d)
	s.longRun = time.Millisecond
	c := dial(t, path)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.Run(ctx, t.Context(), []string{"silent"}, menu.Arguments{"count": "7"}, menu.TextForm, func(Frame) error { return nil })
	}()
	<-d.began
	for d.last().Path == "" {
		time.Sleep(time.Millisecond)
	}
	if e := d.last(); e.Act != access.ActCommand || e.Path != "silent" || e.Result != ResultRunning || e.Arguments["count"] != "7" || e.User != "admin" {
		t.Errorf("while it runs it is audited as %+v", e)
	}
	interrupt()
	<-ended
	if e := d.last(); e.Path != "silent" || e.Exit != int(menu.Interrupted) {
		t.Errorf("in the end it is audited as %+v", e)
	}
}

func TestACommandThatSaysNothingCanBeInterrupted(t *testing.T) {
	d := newDesk(t)
	_, path := serve(t, d)
	c := dial(t, path)
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		<-d.began
		interrupt()
	}()
	failure, err := c.Run(ctx, t.Context(), []string{"silent"}, nil, menu.TextForm, func(Frame) error { return nil })
	if err != nil || failure == nil || failure.Code != menu.Interrupted {
		t.Errorf("%v, %v; want interrupted", failure, err)
	}
}

func TestInterruptIsForOnesOwnRuns(t *testing.T) {
	d := newDesk(t)
	s, path := serve(t, d)
	mine, other := dial(t, path), dial(t, path)
	abandon, cancel := context.WithCancel(t.Context())
	done := make(chan *menu.Error, 1)
	go func() {
		failure, _ := mine.Run(t.Context(), abandon, []string{"stream"}, nil, menu.TextForm, func(Frame) error { return nil })
		done <- failure
	}()
	<-d.began
	s.mu.Lock()
	var id string
	for id = range s.runs {
	}
	s.mu.Unlock()
	err := other.call(t.Context(), "POST", "interrupt/"+id, nil, nil)
	if e := menu.AsError(err); e == nil || e.Code != menu.NotFound {
		t.Errorf("another session's interrupt: %v", err)
	}
	cancel()
	if failure := <-done; failure == nil || failure.Code != menu.Interrupted {
		t.Errorf("given up: %v", failure)
	}
}

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

func TestMenuShowsWhatTheRoleCanUse(t *testing.T) {
	d := newDesk(t)
	_, path := serve(t, d)
	for user, want := range map[string]string{"ro": "table silent half fault", "op": "table stream silent half fault echo bytes peek", "admin": "table stream silent half fault reload echo bytes peek"} {
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

// TestOutputCrossesAsItIs sends bytes that no JSON text can hold, and pieces that end in the middle of a character.
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
	for _, broken := range []string{"{\"bytes\":-1}\n", "{\"bytes\":99999999999}\n", "{\"bytes\":5}\nab", "{", "7\n", ""} {
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
	d := newDesk(t)
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
