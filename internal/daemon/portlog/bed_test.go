package portlog

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"diagsh/diag/ports"
	"diagsh/diag/services"
	"diagsh/internal/daemon/files"
	"diagsh/internal/test/await"
)

// A teller is an engine whose events a test makes.
type teller struct {
	held  []ports.Record // told to each watcher first
	enter func()         // is called before a watcher begins; may be nil

	mu       sync.Mutex
	watchers map[int]func([]ports.Record)
	next     int
}

func (e *teller) Watch(ctx context.Context, w ports.Watcher) (func(), error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if e.enter != nil {
		e.enter()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	w.Records(e.held)
	if e.watchers == nil {
		e.watchers = make(map[int]func([]ports.Record))
	}
	e.next++
	n := e.next
	e.watchers[n] = w.Records
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.watchers, n)
	}, nil
}

func (e *teller) Status() (ports.Status, bool) {
	return ports.Status{Tier: ports.Full, Cgroup: "/sys/fs/cgroup"}, true
}

// tell tells records, and returns when all watchers have them.
func (e *teller) tell(list ...ports.Record) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range e.watchers {
		w(list)
	}
}

// watched returns how many watchers there are.
func (e *teller) watched() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.watchers)
}

// connect is a record of a connection.
func connect(at time.Time, serial uint64) ports.Record {
	return ports.Record{Time: at, Event: ports.Connected, Protocol: ports.TCP, LocalAddress: netip.MustParseAddr("127.0.0.1"),
		LocalPort: 40000, RemoteAddress: netip.MustParseAddr("192.0.2.1"), RemotePort: 443, Socket: serial, Cookie: 1000 + serial,
		NetNS: 4026531840, Cgroup: "/system.slice/test.service",
		Process: ports.Process{PID: 4242, Name: "curl", Exe: "/usr/bin/curl", UID: 1000, User: "ann"}}
}

// A bed is a Log with what it needs.
type bed struct {
	*Log
	*teller
	directory *files.Directory
	audit     *told
}

type told struct {
	mu   sync.Mutex
	said []string
}

func (a *told) add(message string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.said = append(a.said, message)
}

func (a *told) has(part string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.said, func(s string) bool { return strings.Contains(s, part) })
}

// open opens a Log as a start of the appliance does, and closes it when the test ends.
func open(t testing.TB, dir string, rules files.Options) *bed {
	t.Helper()
	b := openOn(t, dir, rules)
	t.Cleanup(func() { b.shut(t) })
	return b
}

func openOn(t testing.TB, dir string, rules files.Options) *bed {
	t.Helper()
	b, err := opened(dir, rules, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// opened opens a Log whose own log goes to w.
func opened(dir string, rules files.Options, w io.Writer) (*bed, error) {
	b := &bed{teller: &teller{}, audit: &told{}}
	log := slog.New(slog.NewTextHandler(w, nil))
	rules.Path, rules.Log = filepath.Join(dir, "diagnostic"), log
	rules.System = func(_, message string, _ map[string]string) { b.audit.add(message) }
	rules.ReserveBytes = max(rules.ReserveBytes, 1<<20)
	var err error
	if b.directory, err = files.Open(rules); err != nil {
		return nil, err
	}
	b.Log, err = Open(Options{
		Dir: dir, Product: "diagsh 1", LastSign: time.Now(), Hostname: func() string { return "mx1" }, Files: b.directory, Engine: b.teller,
		Services:     func() (services.Catalogue, error) { return nil, nil },
		System:       func(_, message string, _ map[string]string) { b.audit.add(message) },
		SystemFailed: func(_, message string) { b.audit.add(message) }, Log: log,
	})
	if err != nil {
		return nil, err
	}
	b.Recover()
	b.Start()
	return b, nil
}

// shut ends the log as the end of the appliance does.
func (b *bed) shut(t testing.TB) {
	t.Helper()
	b.Stop()
	if err := b.Log.Close(context.Background()); err != nil {
		t.Error(err)
	}
	b.directory.Close(context.Background())
}

// written waits until so many records are written in all.
func (b *bed) written(t testing.TB, records uint64) {
	t.Helper()
	await.Until(t, "the records are written", func() bool { return b.PortLogStatus().Records >= records })
}

// lines reads the files of the log, in the order of their names.
func (b *bed) lines(t testing.TB) (list []ports.Record) {
	t.Helper()
	for _, name := range b.names(t) {
		if !linesPattern().MatchString(name) {
			continue
		}
		list = append(list, linesOf(t, b.pathOf(name))...)
	}
	return list
}

func (b *bed) names(t testing.TB) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(b.directory.Path()) // in the order of their names
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// linesOf reads a file by another reader than the room's: each line is an object with no other
// members than those of the log.
func linesOf(t testing.TB, path string) (list []ports.Record) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		t.Errorf("%s ends amid a line", path)
	}
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		d := json.NewDecoder(bytes.NewReader(s.Bytes()))
		d.DisallowUnknownFields()
		var r ports.Record
		if err := d.Decode(&r); err != nil {
			t.Fatalf("%s: %v", s.Bytes(), err)
		}
		list = append(list, r)
	}
	return list
}

// events lists the events of records, without repetitions in a row.
func events(list []ports.Record) string {
	var names []string
	for _, r := range list {
		names = append(names, string(r.Event))
	}
	return strings.Join(slices.Compact(names), " ")
}
