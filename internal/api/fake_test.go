package api

import (
	"context"
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
	"diagsh/internal/daemon/feed"
	"diagsh/internal/menu"
)

// A fakeAppliance is an appliance made of maps: enough to hold the boundary to its promises.
type fakeAppliance struct {
	dir   string
	notes string // the revision of the notes of every file

	mu      sync.Mutex
	roles   map[string]menu.Role // of users
	made    map[string]time.Time // the accounts, where a test says it
	tokens  map[string][]string  // paths of the token that a user came by
	local   string               // the user that the socket's peer is
	ended   map[string]chan struct{}
	session map[string]string // session to user
	events  []access.Event
	running []string
	began   chan string // the path of each command that begins to wait

	feed   *feed.Feed
	alive  map[string]int // requests that are acts, by session
	ending access.SessionEnd

	whenRunning func() // called with mu held when something begins to run
	listings    int    // that are open
}

func newFake(t testing.TB) *fakeAppliance {
	d := &fakeAppliance{
		dir: t.TempDir(),
		roles: map[string]menu.Role{
			"admin": menu.Administrator, "op": menu.Operator, "ro": menu.ReadOnly, "sup": menu.Support,
		},
		tokens:  map[string][]string{},
		local:   "admin",
		ended:   map[string]chan struct{}{},
		session: map[string]string{},
		began:   make(chan string, 10),
		feed:    feed.New(slog.New(slog.DiscardHandler)),
		alive:   map[string]int{},
	}
	t.Cleanup(func() { d.feed.Close(context.Background()) })
	for name, text := range map[string]string{"a.pcap": "contents of a", "headers.pcap": "headers only"} {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// has reports whether a user has a session.
func (d *fakeAppliance) has(user string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(slices.Collect(maps.Values(d.session)), user)
}

// as makes the socket's peer that user.
func (d *fakeAppliance) as(user string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.local = user
}

// remade has an account of the fake one been deleted and made again.
func (d *fakeAppliance) remade(user string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.made = map[string]time.Time{user: time.Now()}
}

func (d *fakeAppliance) Console() (menu.Caller, <-chan struct{}, func(), error) {
	return d.open("admin")
}
func (d *fakeAppliance) Local(uint32) (menu.Caller, <-chan struct{}, func(), error) {
	d.mu.Lock()
	user := d.local
	d.mu.Unlock()
	if user == "" {
		return menu.Caller{}, nil, nil, menu.Errorf(menu.Denied, "You have no account")
	}
	return d.open(user)
}

func (d *fakeAppliance) Detached(session string) (menu.Caller, <-chan struct{}, func(), error) {
	d.mu.Lock()
	user := d.session[session]
	d.mu.Unlock()
	caller, ended, detach, err := d.open(user)
	if err == nil {
		caller, err = d.Current(caller.Session)
	}
	return caller, ended, detach, err
}

func (d *fakeAppliance) open(user string) (menu.Caller, <-chan struct{}, func(), error) {
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

func (d *fakeAppliance) Current(session string) (menu.Caller, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	user, ok := d.session[session]
	if !ok {
		return menu.Caller{}, menu.Errorf(menu.Denied, "This session has ended")
	}
	caller := menu.Caller{
		User: user, Role: d.roles[user], Session: session, Source: "192.0.2.9", Payload: user != "sup",
		Account: d.made[user],
	}
	if caller.Paths = d.tokens[user]; caller.Paths != nil {
		caller.Token = "abcd1234"
	}
	return caller, nil
}

func (d *fakeAppliance) Running(_, path string, _ bool) func() {
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

func (d *fakeAppliance) Alive(session string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.alive[session]++
}

func (d *fakeAppliance) Ending(string) access.SessionEnd {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ending
}

func (d *fakeAppliance) Listen(after string) access.Listener { return d.feed.Listen(after) }

func (d *fakeAppliance) Record(e access.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
}

func (d *fakeAppliance) Hostname() string { return "mx1" }

func (d *fakeAppliance) Leaving(c menu.Caller) string {
	return "Nothing of " + c.User + "'s is committed."
}

func (d *fakeAppliance) Greeting(c menu.Caller) access.Greeting {
	return access.Greeting{Host: "mx1", Caller: c}
}

func (d *fakeAppliance) Remember(string, string) {}
func (d *fakeAppliance) OpenListing() (access.FileListing, error) {
	entries, err := os.ReadDir(d.dir)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listings++
	return &fakeListing{d, entries}, err
}

type fakeListing struct {
	appliance *fakeAppliance
	entries   []os.DirEntry
}

func (l *fakeListing) Next(most int) (files []access.File, err error) {
	if len(l.entries) == 0 {
		return nil, io.EOF
	}
	some := l.entries[:min(most, len(l.entries))]
	l.entries = l.entries[len(some):]
	for _, e := range some {
		if e.Name() == "broken.pcap" {
			return nil, errors.New("readdir: input/output error")
		}
		f, err := l.appliance.StatFile(e.Name())
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func (l *fakeListing) Close() error {
	l.appliance.mu.Lock()
	defer l.appliance.mu.Unlock()
	l.appliance.listings--
	return nil
}

func (d *fakeAppliance) StatFile(name string) (access.File, error) {
	info, err := os.Stat(filepath.Join(d.dir, name))
	if err != nil || strings.Contains(name, "/") {
		return access.File{}, menu.Errorf(menu.NotFound, "There is no file %q", name)
	}
	return access.File{Name: name, Bytes: info.Size(), Modified: info.ModTime(), Payload: name == "a.pcap"}, nil
}

func (d *fakeAppliance) OpenFile(name string) (*os.File, error) {
	return os.Open(filepath.Join(d.dir, name))
}
func (d *fakeAppliance) Packets(name string) (access.File, bool) {
	return access.File{Name: name, Payload: name == "a.pcap"}, name == "a.pcap" || name == "b.pcap"
}

func (d *fakeAppliance) Contents(name string) access.Contents {
	return access.Contents{Capture: "c-" + name}
}

func (d *fakeAppliance) Converts(name string, as access.Form) (access.Conversion, error) {
	c := access.Conversion{Name: strings.TrimSuffix(name, filepath.Ext(name)) + "." + as.Format}
	if as.Format == "pcapng" {
		c.Needed, c.Revision = true, d.notes
		return c, nil
	}
	c.Needed = !strings.HasSuffix(name, "."+as.Format)
	return c, nil
}

func (d *fakeAppliance) Convert(_ context.Context, name string, as access.Form, out io.Writer) error {
	if name == "headers.pcap" {
		return menu.Errorf(menu.State, "It does not fit")
	}
	text := name + " as " + as.Format
	if as.AppleBlocks {
		text += " with blocks"
	}
	_, err := io.WriteString(out, text)
	return err
}

func (d *fakeAppliance) RemoveFile(_ menu.Caller, name string) error {
	return os.Remove(filepath.Join(d.dir, name))
}

// last is the newest audit line.
func (d *fakeAppliance) last() access.Event {
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

// tree has a table, a stream that waits to be interrupted, a failure, a fault and something for
// administrators alone.
func (d *fakeAppliance) tree() *menu.Menu {
	type run = func(context.Context, countArgs, *menu.Out[row]) error
	rows := func(name string, shape menu.Shape, role menu.Role, run run) *menu.Command {
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
		shows(withTopic(rows("table", menu.Table, menu.ReadOnly, count), "things")),
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
		shows(rows("fault", menu.Object, menu.ReadOnly, func(context.Context, countArgs, *menu.Out[row]) error {
			return errors.New("open /var/lib/diagsh/secret: permission denied")
		})),
		withTopic(rows("reload", menu.Object, menu.Administrator, count), "secrets"),
		echoing(d),
		menu.Decl[bytesArgs, struct{}]{
			Name: "bytes", Help: "Help.", Role: menu.Operator, Shape: menu.Bytes, Run: writeBytes,
		}.Command(),
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

// shows makes a command one that changes nothing.
func shows(c *menu.Command) *menu.Command {
	c.Shows = true
	return c
}

// withTopic makes events of a topic tell of what a command lists.
func withTopic(c *menu.Command, topic string) *menu.Command {
	c.Topic = topic
	return c
}

// serve starts a boundary around the appliance with its own commands, and returns its socket.
func serve(t testing.TB, d *fakeAppliance) (*Server, string) {
	t.Helper()
	return serveTree(t, d, d.tree())
}

// serveTree starts a boundary around the appliance with these commands, and returns its socket.
func serveTree(t testing.TB, d *fakeAppliance, tree *menu.Menu) (*Server, string) {
	t.Helper()
	s := NewServer(d, tree, slog.New(slog.DiscardHandler))
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

// sessionOf begins a session of a user, as for a login, and returns the process's end.
func (d *fakeAppliance) sessionOf(t testing.TB, s *Server, user string) *Client {
	t.Helper()
	ours, theirs, err := sessionPair()
	if err != nil {
		t.Fatal(err)
	}
	caller, ended, detach, err := d.open(user)
	if err != nil {
		t.Fatal(err)
	}
	s.AddSession(ours, caller, ended, detach)
	c, err := Inherit(theirs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// filesOf begins a session of a user on the diagnostic directory. It lasts as long as the test.
func (d *fakeAppliance) filesOf(t testing.TB, s *Server, user string) *SessionFiles {
	t.Helper()
	caller, _, detach, err := d.open(user)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(detach)
	return s.Files(caller.Session)
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

// socketClient returns an ordinary HTTP/1.1 client on the socket.
func socketClient(path string) *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}
}

// exchange sends a request on a connection of its own, with header fields given as name, value. It
// returns the answer and its body.
func exchange(t *testing.T, path, method, resource, body string, fields ...string) (*http.Response, string) {
	t.Helper()
	url := "http://appliance/v1/" + resource
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		request.Header.Set(fields[i], fields[i+1])
	}
	response, err := socketClient(path).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return response, "broken off: " + string(text)
	}
	return response, string(text)
}

// curl is exchange for who looks at the status and the body alone.
func curl(t *testing.T, path, method, resource, body string) (int, string) {
	t.Helper()
	response, text := exchange(t, path, method, resource, body)
	return response.StatusCode, text
}

// hasCode reports whether err is a refusal by the appliance, of that code.
func hasCode(err error, code menu.Code) bool {
	e, ok := errors.AsType[*menu.Error](err)
	return ok && e.Code == code
}

// unseen is for runs whose output does not matter.
func unseen(Frame) error { return nil }
