package exports

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/daemon/exports/sending"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

// A rig is a Queue over a folder, with what it told.
type rig struct {
	t     *testing.T
	o     Options
	q     *Queue
	files *os.Root

	mu     sync.Mutex
	done   []string // of which OnDone was told
	gone   []string // targets
	anew   []string // copies that a user begins anew
	events []string // of the audit log
	news   chan struct{}
}

// newRig returns a rig that copies one file at a time to a target, so that their order is known.
func newRig(t *testing.T) *rig {
	t.Helper()
	files, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { files.Close() })
	r := &rig{t: t, files: files, news: make(chan struct{}, 1000)}
	note := func(list *[]string, text string) {
		r.mu.Lock()
		*list = append(*list, text)
		r.mu.Unlock()
		r.news <- struct{}{}
	}
	r.o = Options{
		Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler),
		OpenFile: func(name string) (*os.File, error) {
			f, err := files.Open(name)
			if err != nil {
				return nil, menu.Errorf(menu.NotFound, "There is no file %s", name)
			}
			return f, nil
		},
		Hostname:     func() string { return "mx1" },
		System:       func(path, message string, _ map[string]string) { note(&r.events, path+": "+message) },
		OnDone:       func(file string) { note(&r.done, file) },
		OnTargetGone: func(target string) { note(&r.gone, target) },
		OnAgain:      func(e capture.Export, user string) { note(&r.anew, user+": "+e.Capture+" to "+e.Target) },
	}
	r.open()
	r.atATime(4, 1)
	return r
}

// atATime sets how many files are copied at a time, in all and to one target.
func (r *rig) atATime(all, one int64) {
	r.t.Helper()
	if _, err := r.q.SetExportSettings(menu.Caller{}, func(s *capture.ExportSettings) { s.Parallel, s.PerTarget = all, one }); err != nil {
		r.t.Fatal(err)
	}
}

// open opens the queue, or opens it again after a restart. It begins to copy with Start.
func (r *rig) open() {
	r.t.Helper()
	q, err := Open(r.o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.q = q
	r.t.Cleanup(func() { q.Close(r.t.Context()) })
}

func (r *rig) file(names ...string) {
	r.t.Helper()
	for _, name := range names {
		if err := r.files.WriteFile(name, []byte("packets of "+name), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
}

// await waits until something is so, which the queue tells of. It looks at what was told with mu
// held.
func (r *rig) await(what string, is func() bool) {
	r.t.Helper()
	limit := time.After(20 * time.Second)
	for {
		r.mu.Lock()
		ok := is()
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-r.news:
		case <-limit:
			r.t.Fatalf("not in time: %s; the queue is %+v", what, r.q.Exports())
		}
	}
}

// target adds a host as a target.
func (r *rig) target(name string, to sending.Destination, auto bool) {
	r.t.Helper()
	t := capture.Target{Name: name, URL: to.URL.String(), HostKey: to.HostKey, Auto: auto}
	if _, err := r.q.AddTarget(r.t.Context(), menu.Caller{}, t, menu.Secret(to.Secret)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) add(owner, target string, files ...string) {
	r.t.Helper()
	if _, err := r.q.Add("mail", files, target, owner); err != nil {
		r.t.Fatal(err)
	}
}

// A gate is a host that takes files while it is open, and remembers their order.
type gate struct {
	*webHost
	mu    sync.Mutex
	open  bool
	tries int
	order []string
}

func newGate(t *testing.T) (*gate, sending.Destination) {
	g := &gate{webHost: &webHost{files: map[string][]byte{}}}
	return g, g.webHost.listen(t, g)
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		g.mu.Lock()
		g.tries++
		if !g.open {
			g.mu.Unlock()
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		g.order = append(g.order, filepath.Base(r.URL.Path))
		g.mu.Unlock()
	}
	g.webHost.ServeHTTP(w, r)
}

func (g *gate) opens() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = true
}

func (g *gate) has() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.order)
}

// What waits is copied after a restart, the oldest first, by the secret of its target; what was
// copied is not copied again.
func TestQueueSurvivesARestart(t *testing.T) {
	r := newRig(t)
	g, to := newGate(t)
	g.opens()
	r.target("vault", to, true)
	r.file("a.pcap", "b.pcap", "c.pcap")
	r.add(access.System, "vault", "a.pcap", "b.pcap")
	r.add("anna", "vault", "c.pcap", "a.pcap") // a.pcap waits already
	for _, name := range []string{"targets.json", "exports.json"} {
		if info, err := os.Stat(filepath.Join(r.o.Dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	r.open()
	if names := r.q.Auto(); !slices.Equal(names, []string{"vault"}) {
		t.Errorf("every file goes to %q", names)
	}
	if text, _ := os.ReadFile(filepath.Join(r.o.Dir, "exports.json")); strings.Contains(string(text), secret) {
		t.Error("the secret is in the queue")
	}
	r.q.Start()
	r.await("three copies", func() bool { return len(r.done) == 3 })
	if got := g.has(); !slices.Equal(got, []string{"a.pcap", "b.pcap", "c.pcap"}) {
		t.Errorf("copied was %q", got)
	}
	if err := r.q.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.open()
	if p := r.q.Standing()["a.pcap"]; p.Waits || p.Failed {
		t.Errorf("after a restart it is %+v", p)
	}
	for _, e := range r.q.Exports() {
		if e.State != capture.ExportDone || e.Sent != e.Bytes || e.SHA256 == "" {
			t.Errorf("after a restart: %+v", e)
		}
	}
}

// A file whose copy is confirmed waits until the queue on the disk says so: else an appliance that
// dies in between would look for a file that is gone, and say that it was not copied.
func TestAFileWaitsUntilItsCopyIsWrittenDown(t *testing.T) {
	r := newRig(t)
	g, to := newGate(t)
	g.opens()
	r.target("vault", to, false)
	r.file("a.pcap")
	r.add(access.System, "vault", "a.pcap")
	// The sum is known, so that the end of the copy is the next time that the queue is written.
	r.q.queue[0].SHA256, r.q.queue[0].Bytes = sumOfText(t, "packets of a.pcap"), int64(len("packets of a.pcap"))
	r.q.storing.Lock()
	r.q.Start()
	for r.q.Standing()["a.pcap"].Waits {
		time.Sleep(time.Millisecond) // Nothing tells of it before it is written down.
	}
	if !r.q.Waiting("a.pcap") {
		t.Error("the file may go, and the queue on the disk says that it is still to be copied")
	}
	r.mu.Lock()
	if len(r.done) > 0 {
		t.Errorf("of %q it is said that they are done", r.done)
	}
	r.mu.Unlock()
	r.q.storing.Unlock()
	r.await("the end of the copy", func() bool { return len(r.done) == 1 })
	if r.q.Waiting("a.pcap") {
		t.Error("it waits still")
	}
}

// A file that is gone, and a target that is gone, end a copy for good. The others go on.
func TestCopiesThatFailForGood(t *testing.T) {
	r := newRig(t)
	g, to := newGate(t)
	g.opens()
	r.atATime(1, 1)
	r.target("vault", to, false)
	r.target("old", to, false)
	r.file("a.pcap", "b.pcap")
	r.add(access.System, "vault", "gone.pcap")
	r.add(access.System, "old", "a.pcap")
	r.add(access.System, "vault", "b.pcap")
	if err := r.q.DeleteTarget(menu.Caller{}, "old"); err != nil {
		t.Fatal(err)
	}
	r.q.Start()
	r.await("the ends", func() bool { return len(r.done) == 3 })
	r.mu.Lock()
	defer r.mu.Unlock()
	want := []string{
		"gone.pcap: The file was not copied to the target vault: There is no file gone.pcap",
		"a.pcap: The file was not copied to the target old: There is no target old any more",
		"b.pcap: The file was copied to the target vault",
	}
	if !slices.Equal(r.events, want) || !slices.Equal(r.gone, []string{"old"}) {
		t.Errorf("the audit log has %q; gone are %q", r.events, r.gone)
	}
}

// A target that is away rests, and keeps no file from another; what a user asks for is tried at
// once.
func TestATargetThatRests(t *testing.T) {
	r := newRig(t)
	away, toAway := newGate(t)
	there, toThere := newGate(t)
	there.opens()
	r.target("away", toAway, false)
	r.target("there", toThere, false)
	r.file("a.pcap", "b.pcap")
	r.add(access.System, "away", "a.pcap", "b.pcap")
	r.add(access.System, "there", "a.pcap", "b.pcap")
	r.q.Start()
	r.await("the copies to the other", func() bool { return len(r.done) == 2 })
	away.mu.Lock()
	if away.tries != 1 {
		t.Errorf("a target that is away was tried %d times", away.tries)
	}
	away.mu.Unlock()
	for _, e := range r.q.Exports() {
		if e.Target == "away" && !e.NextTry.After(time.Now()) {
			t.Errorf("it is tried again at once: %+v", e)
		}
	}
	away.opens()
	r.add("anna", "away", "b.pcap")
	r.await("all copies", func() bool { return len(r.done) == 4 })
}

func TestTargets(t *testing.T) {
	r := newRig(t)
	fingerprint := "SHA256:" + strings.Repeat("A", 43)
	for argument, wrong := range map[string]capture.Target{
		"name":    {Name: "all", URL: "https://host/", HostKey: fingerprint},
		"url":     {Name: "vault", URL: "ftp://host/"},
		"hostkey": {Name: "vault", URL: "https://host/", HostKey: "SHA256:short"},
	} {
		if _, err := r.q.AddTarget(t.Context(), menu.Caller{}, wrong, ""); menu.AsError(err).Argument != argument {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
	r.target("vault", sending.Destination{URL: mustParse(t, "https://host/"), HostKey: fingerprint}, false)
	if _, err := r.q.AddTarget(t.Context(), menu.Caller{}, capture.Target{Name: "vault", URL: "https://host/"}, ""); menu.AsError(err).Code != menu.State {
		t.Errorf("a second one of its name: %v", err)
	}
	if err := r.q.CheckTarget("valut"); menu.AsError(err).Code != menu.NotFound || !strings.Contains(err.Error(), "Did you mean vault?") {
		t.Errorf("a target that is not there: %v", err)
	}
	if err := r.q.DeleteTarget(menu.Caller{}, "valut"); menu.AsError(err).Code != menu.NotFound {
		t.Errorf("a target that is not there is deleted: %v", err)
	}
	if got := r.q.Targets(); len(got) != 1 || got[0].Login != sending.LoginNone {
		t.Errorf("the targets are %+v", got)
	}
}

// The key of an SFTP host that no target names yet is told, not trusted.
func TestTargetWithoutAHostKey(t *testing.T) {
	r := newRig(t)
	target, fingerprint := newSSHHost(t)
	_, err := r.q.AddTarget(t.Context(), menu.Caller{}, capture.Target{Name: "vault", URL: target}, secret)
	if e := menu.AsError(err); e.Argument != "hostkey" || !strings.Contains(e.Hint, fingerprint) {
		t.Errorf("it is told %v", err)
	}
	if len(r.q.Targets()) != 0 {
		t.Errorf("the targets are %+v", r.q.Targets())
	}
}

func TestReset(t *testing.T) {
	r := newRig(t)
	if l := r.q.Losses(); len(l) != 0 {
		t.Errorf("a new queue loses %+v", l)
	}
	g, to := newGate(t)
	r.target("vault", to, true)
	r.add("anna", "vault", "a.pcap", "b.pcap")
	first, err := r.q.ExportKey()
	if again, e := r.q.ExportKey(); err != nil || e != nil || first != again || !strings.HasPrefix(first, "ssh-ed25519 ") || !strings.HasSuffix(first, " diagsh@mx1") {
		t.Errorf("the key is %q, then %q: %v, %v", first, again, err, e)
	}
	var counts []int
	for _, l := range r.q.Losses() {
		counts = append(counts, l.Count)
	}
	if !slices.Equal(counts, []int{1, 2, 1}) {
		t.Errorf("it would lose %+v", r.q.Losses())
	}
	if err := r.q.Reset(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(r.o.Dir)
	if err != nil || len(entries) > 0 || len(r.q.Losses()) > 0 || !slices.Equal(r.gone, []string{"vault"}) {
		t.Errorf("left is %v (%v), %+v; gone are %q", entries, err, r.q.Losses(), r.gone)
	}
	r.q.Start()
	r.file("c.pcap")
	g.opens()
	r.target("vault", to, true)
	r.add("anna", "vault", "c.pcap")
	r.await("a copy after it", func() bool { return len(r.done) == 1 })
	if got := g.has(); !slices.Equal(got, []string{"c.pcap"}) {
		t.Errorf("copied was %q", got)
	}
}

func TestDamagedQueue(t *testing.T) {
	for _, name := range []string{"targets.json", "exports.json", "exportsettings.json"} {
		r := newRig(t)
		path := filepath.Join(r.o.Dir, name)
		if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(r.o); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("a damaged %s: %v", name, err)
		}
	}
}

// What is written and cannot be is an error for who asked, and counts as not said.
func TestQueueThatCannotBeWritten(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{".targets.json.new", ".exports.json.new"} {
		if err := os.Mkdir(filepath.Join(r.o.Dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.q.AddTarget(t.Context(), menu.Caller{}, capture.Target{Name: "vault", URL: "https://host/"}, ""); err == nil || len(r.q.Targets()) != 0 {
		t.Errorf("a target that is not on the disk: %v; the targets are %+v", err, r.q.Targets())
	}
	if _, err := r.q.Add("", []string{"a.pcap"}, "vault", "anna"); menu.AsError(err).Code != menu.Failed || r.q.Waiting("a.pcap") {
		t.Errorf("a copy that is not on the disk: %v; the queue is %+v", err, r.q.Exports())
	}
	// What a target asks for stays: nothing may delete the file before it is copied.
	if _, err := r.q.Add("", []string{"b.pcap"}, "vault", access.System); err == nil || !r.q.Waiting("b.pcap") {
		t.Errorf("a copy that a target asks for: %v; the queue is %+v", err, r.q.Exports())
	}
}

// A target that cannot be taken off the disk is still there, for all: after a restart it would be.
func TestTargetThatCannotBeDeleted(t *testing.T) {
	r := newRig(t)
	_, to := newGate(t)
	r.target("vault", to, false)
	if err := os.Mkdir(filepath.Join(r.o.Dir, ".targets.json.new"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := r.q.DeleteTarget(menu.Caller{}, "vault"); menu.AsError(err).Code != menu.Failed || len(r.q.Targets()) != 1 || len(r.gone) != 0 {
		t.Errorf("deleted: %v; the targets are %+v, gone are %q", err, r.q.Targets(), r.gone)
	}
	if err := os.Remove(filepath.Join(r.o.Dir, ".targets.json.new")); err != nil {
		t.Fatal(err)
	}
	if err := r.q.DeleteTarget(menu.Caller{}, "vault"); err != nil || len(r.q.Targets()) != 0 || !slices.Equal(r.gone, []string{"vault"}) {
		t.Errorf("deleted again: %v; the targets are %+v, gone are %q", err, r.q.Targets(), r.gone)
	}
}

// Copies to targets of a damaged file wait until there is such a target again, also over restarts:
// a copy that failed for good lets go of its file.
func TestCopiesWaitForLostTargets(t *testing.T) {
	g, to := newGate(t)
	r := newRig(t)
	r.o.Tell = func(...string) { r.news <- struct{}{} }
	r.file("a.pcap")
	r.target("vault", to, false)
	r.add("anna", "vault", "a.pcap")
	var told []store.Damage
	r.o.SetAside = func(d store.Damage) { told = append(told, d) }
	if err := os.WriteFile(filepath.Join(r.o.Dir, "targets.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for tries := range 2 {
		r.open()
		r.q.Start()
		r.await("a try", func() bool { return r.q.Exports()[0].Tries > tries })
		if e := r.q.Exports()[0]; e.State != capture.ExportWaiting || !strings.Contains(e.Error, "damaged") || len(r.done) != 0 {
			t.Errorf("the copy is %+v, done are %q", e, r.done)
		}
		r.q.Close(t.Context())
	}
	if len(told) != 1 {
		t.Errorf("told was %+v", told)
	}
	// Of a target that a user deletes nothing waits.
	r.open()
	r.q.Start()
	r.target("vault", to, false)
	if err := r.q.DeleteTarget(menu.Caller{}, "vault"); err != nil {
		t.Fatal(err)
	}
	r.await("the copy's end", func() bool { return r.q.Exports()[0].State == capture.ExportFailed })
	if e := r.q.Exports()[0]; strings.Contains(e.Error, "damaged") {
		t.Errorf("the copy to a target that was deleted is %+v", e)
	}
	r.q.Close(t.Context())

	r.open()
	r.target("vault", to, false)
	r.add("anna", "vault", "a.pcap")
	g.opens()
	r.q.Start()
	r.await("the copy", func() bool {
		return slices.ContainsFunc(r.q.Exports(), func(e capture.Export) bool { return e.State == capture.ExportDone })
	})
}
