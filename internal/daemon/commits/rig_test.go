package commits

import (
	"cmp"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"

	"diagsh/internal/config"
	"diagsh/internal/menu"
	"diagsh/internal/netconf"
	"diagsh/internal/test/netconftest"
)

type room = Commits // so that its method of that name is not hidden

// A rig is Commits on a network, with what they told.
type rig struct {
	*room
	mu      sync.Mutex
	applied config.Document
	events  []string // of the audit log
	open    []string // sessions
}

// start opens Commits and brings the network to what was committed, as an appliance does that
// starts.
func start(t *testing.T, dir string, n netconf.Network) *rig {
	t.Helper()
	r, err := open(dir, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	r.Recover()
	return r
}

// committed returns Commits on a network of which the configuration in a text is the first commit,
// and the directory of its files.
func committed(t *testing.T, text string) (d *rig, n *netconftest.Fake, dir string) {
	t.Helper()
	n, dir = netconftest.NewFake(), t.TempDir()
	d = start(t, dir, n)
	loads(t, d, anna, text)
	commits(t, d, anna, config.Request{})
	return d, n, dir
}

func open(dir string, n netconf.Network) (r *rig, err error) {
	r = &rig{}
	note := func(message string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.events = append(r.events, message)
	}
	r.room, err = Open(Options{
		Dir: dir, Network: n, Log: slog.New(slog.DiscardHandler), Hostname: r.Hostname,
		SessionOpen:  func(session string) bool { return slices.Contains(r.open, session) },
		System:       func(_, message string, _ map[string]string) { note(message) },
		SystemFailed: func(_, message string) { note(message) },
		OnApplied: func(d config.Document) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.applied = d
		},
	})
	if err == nil {
		r.applied = r.RunningDocument()
	}
	return r, err
}

// Hostname returns the committed one as it was told, or mx1.
func (r *rig) Hostname() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return cmp.Or(r.applied[config.Hostname], "mx1")
}

// restarted returns Commits as they are after the appliance ended. Their folder is a copy, as after
// a kill.
func restarted(t *testing.T, n netconf.Network, r *rig, dir string) *rig {
	t.Helper()
	r.Stop()
	after := t.TempDir()
	if err := os.CopyFS(after, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return start(t, after, n)
}

var (
	anna = menu.Caller{User: "anna", Role: menu.Administrator}
	bert = menu.Caller{User: "bert", Role: menu.Administrator}
)

// loads makes a document a user's candidate.
func loads(t *testing.T, r *rig, who menu.Caller, text string) {
	t.Helper()
	if err := r.LoadConfiguration(who, text); err != nil {
		t.Fatal(err)
	}
}

func commits(t *testing.T, r *rig, who menu.Caller, q config.Request) config.Commit {
	t.Helper()
	c, err := r.CommitConfiguration(who, q)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
