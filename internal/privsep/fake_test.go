package privsep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A fakeAppliance is Logins and Boundary without accounts and roles: the password of every user is
// "right", and everybody may do everything in the directory dir.
type fakeAppliance struct {
	dir string

	mu       sync.Mutex
	sessions map[string]string        // session to user
	ended    map[string]chan struct{} // of all sessions so far
	offered  []access.Credentials
	logouts  []string
	knocks   []access.Knock
	reads    []string    // what was read of files: a name, and bytes or "open"
	listings int         // that are open
	began    chan string // what waits, or has been given up
}

func newFake(t testing.TB) *fakeAppliance {
	a := &fakeAppliance{
		dir:      t.TempDir(),
		sessions: map[string]string{},
		ended:    map[string]chan struct{}{},
		began:    make(chan string, 10),
	}
	for name, text := range map[string]string{"a.pcap": "contents of a", "b.pcap": "contents of b"} {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// has reports whether a user has a session.
func (a *fakeAppliance) has(user string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Contains(slices.Collect(maps.Values(a.sessions)), user)
}

// endAll has every session end. One that was told before may still be on its way out.
func (a *fakeAppliance) endAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for session := range a.sessions {
		select {
		case <-a.ended[session]:
		default:
			close(a.ended[session])
		}
	}
}

func (a *fakeAppliance) loggedOut() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.logouts)
}

func (a *fakeAppliance) Banner() string { return "authorised people only\n" }
func (a *fakeAppliance) SignInWays() []access.SignInWay {
	return []access.SignInWay{{Kind: access.OIDC, Name: "Staff", Address: "/v1/login/oidc"}}
}

func (a *fakeAppliance) Azure() access.Azure {
	return access.Azure{Subscription: "sub", Machine: "mx1"}
}

func (a *fakeAppliance) Grant(login, client string) (access.Pass, error) {
	if !strings.HasPrefix(login, "login-") {
		return access.Pass{}, menu.Errorf(menu.Denied, "There is no such login")
	}
	return access.Pass{Text: "a.pass.of." + menu.Secret(login), Client: client}, nil
}

func (a *fakeAppliance) BeginSignIn(_ context.Context, source string) (access.Redirect, error) {
	return access.Redirect{URL: "https://login.example.net/?for=" + source, Binding: "bound"}, nil
}

func (a *fakeAppliance) Visitors() []string { return []string{"192.0.2.9"} }

func (a *fakeAppliance) Knocked(k access.Knock) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.knocks = append(a.knocks, k)
}

func (a *fakeAppliance) KeyKnown(_ context.Context, user, _ string, key []byte) bool {
	return user == "op" && string(key) == "opkey"
}

func (a *fakeAppliance) Login(ctx context.Context, c access.Credentials) (access.Login, error) {
	a.mu.Lock()
	a.offered = append(a.offered, c)
	a.mu.Unlock()
	if c.Password == "wait" {
		a.began <- "login"
		<-ctx.Done()
		a.began <- "login given up"
		return access.Login{}, ctx.Err()
	}
	if c.Password != "right" {
		return access.Login{}, menu.Errorf(menu.Denied, "Login refused")
	}
	return access.Login{ID: "login-" + c.User, Caller: menu.Caller{User: c.User}}, nil
}

func (a *fakeAppliance) Logout(login string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.logouts = append(a.logouts, login)
}

func (a *fakeAppliance) Attach(login, _ string) (menu.Caller, <-chan struct{}, func(), error) {
	user, ok := strings.CutPrefix(login, "login-")
	if !ok {
		return menu.Caller{}, nil, nil, menu.Errorf(menu.Denied, "This login has ended")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	id := fmt.Sprintf("%s-%d", user, len(a.ended)+1)
	a.sessions[id], a.ended[id] = user, make(chan struct{})
	token := ""
	if user == "token" {
		token = "abcd1234"
	}
	return menu.Caller{User: user, Session: id, Token: token}, a.ended[id], func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.sessions, id)
	}, nil
}

// AddSession says the user's name and echoes the rest.
func (a *fakeAppliance) AddSession(c net.Conn, caller menu.Caller, ended <-chan struct{}, detach func()) {
	go func() {
		defer detach()
		defer closeAfter(ended, c)()
		defer c.Close()
		io.WriteString(c, caller.User)
		io.Copy(c, c)
	}()
}

func (a *fakeAppliance) MayFiles(caller menu.Caller) bool { return caller.User != "none" }

func (a *fakeAppliance) AsError(_ string, err error) *menu.Error { return menu.AsError(err) }

func (a *fakeAppliance) Files(session string) Files { return &fakeFiles{appliance: a} }

// fakeFiles are the files of one session.
type fakeFiles struct {
	appliance *fakeAppliance
	open      []string
}

// read notes what was read.
func (f *fakeFiles) read(name, bytes string) {
	f.appliance.mu.Lock()
	defer f.appliance.mu.Unlock()
	f.appliance.reads = append(f.appliance.reads, name+" "+bytes)
}

func (f *fakeFiles) Stat(name string) (access.File, error) {
	info, err := os.Stat(filepath.Join(f.appliance.dir, name))
	if err != nil || strings.Contains(name, "/") {
		return access.File{}, menu.Errorf(menu.NotFound, "There is no file %q", name)
	}
	return access.File{Name: name, Bytes: info.Size(), Modified: info.ModTime()}, nil
}

func (f *fakeFiles) Open(name string) (access.File, *os.File, error) {
	info, err := f.Stat(name)
	if err != nil {
		return info, nil, err
	}
	f.open = append(f.open, name)
	file, err := os.Open(filepath.Join(f.appliance.dir, name))
	return info, file, err
}

func (f *fakeFiles) Done(name string, bytes int64) error {
	f.open = slices.DeleteFunc(f.open, func(one string) bool { return one == name })
	f.read(name, fmt.Sprint(bytes))
	return nil
}

func (f *fakeFiles) Remove(name string) error { return os.Remove(filepath.Join(f.appliance.dir, name)) }

func (f *fakeFiles) Close() error {
	for _, name := range f.open {
		f.read(name, "open")
	}
	return nil
}

func (f *fakeFiles) List() (access.FileListing, error) {
	entries, err := os.ReadDir(f.appliance.dir)
	f.appliance.mu.Lock()
	defer f.appliance.mu.Unlock()
	f.appliance.listings++
	return &fakeListing{f, entries}, err
}

type fakeListing struct {
	files   *fakeFiles
	entries []os.DirEntry
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
		f, err := l.files.Stat(e.Name())
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func (l *fakeListing) Close() error {
	l.files.appliance.mu.Lock()
	defer l.files.appliance.mu.Unlock()
	l.files.appliance.listings--
	return nil
}

// newMonitor returns the monitor of a front, and what its sessions are.
func newMonitor(t testing.TB, a *fakeAppliance) (*Monitor, *fakeSpawner) {
	t.Helper()
	spawner := &fakeSpawner{started: make(chan *fakeChild, 100)}
	m := monitorOf(t, a, Options{Spawner: spawner})
	return m, spawner
}

// monitorOf returns a monitor around a.
func monitorOf(t testing.TB, a *fakeAppliance, o Options) *Monitor {
	t.Helper()
	o.Logins, o.Boundary, o.Log = a, a, slog.New(slog.DiscardHandler)
	m := NewMonitor(o)
	t.Cleanup(m.Close)
	return m
}

// hasCode reports whether err is a refusal by the appliance, of that code.
func hasCode(err error, code menu.Code) bool {
	e, ok := errors.AsType[*menu.Error](err)
	return ok && e.Code == code
}
