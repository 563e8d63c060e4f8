package exports

import (
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
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
	"diagsh/internal/menu"
)

// A slow host answers no PUT before it is let go, and knows how many there are at a time.
type slowHost struct {
	*webHost
	mu        sync.Mutex
	now, most int
	came      func()
	release   chan struct{}
}

func newSlowHost(t *testing.T, r *rig) (*slowHost, sending.Destination) {
	s := &slowHost{webHost: &webHost{files: map[string][]byte{}}, release: make(chan struct{}), came: func() { r.news <- struct{}{} }}
	return s, s.webHost.listen(t, s)
}

func (s *slowHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		s.mu.Lock()
		s.now++
		s.most = max(s.most, s.now)
		release := s.release
		s.mu.Unlock()
		s.came()
		io.ReadAll(r.Body)
		select {
		case <-release:
		case <-r.Context().Done():
		}
		s.mu.Lock()
		s.now--
		s.mu.Unlock()
		s.came()
	}
	s.webHost.ServeHTTP(w, r)
}

func (s *slowHost) count() (now, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now, s.most
}

// state returns the state of the newest copy of a file.
func (r *rig) state(file, target string) capture.Export {
	e, _ := r.q.Copy(file + "/" + target)
	return e
}

// Several files are copied at a time: to each target, and in all, as many as the settings say.
func TestSeveralCopiesAtATime(t *testing.T) {
	r := newRig(t)
	r.atATime(3, 2)
	one, toOne := newSlowHost(t, r)
	other, toOther := newSlowHost(t, r)
	r.target("one", toOne, false)
	r.target("other", toOther, false)
	r.file("a.pcap", "b.pcap", "c.pcap", "d.pcap")
	r.add("anna", "one", "a.pcap", "b.pcap", "c.pcap")
	r.add("anna", "other", "a.pcap", "b.pcap", "d.pcap")
	r.q.Start()
	now := func() int { a, _ := one.count(); b, _ := other.count(); return a + b }
	r.await("three copies under way", func() bool { return now() == 3 })
	if names := r.q.Sending(); len(names) != 3 {
		t.Errorf("under way are %q", names)
	}
	r.atATime(4, 2)
	r.await("a fourth", func() bool { return now() == 4 })
	close(one.release)
	close(other.release)
	r.await("all copies", func() bool { return len(r.done) == 6 })
	for _, s := range []*slowHost{one, other} {
		if _, most := s.count(); most != 2 {
			t.Errorf("a target had %d copies at a time", most)
		}
	}
}

// A copy that is paused, or whose target is, goes on when it is resumed, also after a restart. Its
// file is kept meanwhile.
func TestPauseAndResume(t *testing.T) {
	r := newRig(t)
	slow, to := newSlowHost(t, r)
	there, toThere := newGate(t)
	there.opens()
	r.target("slow", to, false)
	r.target("there", toThere, false)
	r.file("a.pcap", "b.pcap", "c.pcap")
	r.add(access.System, "slow", "a.pcap")
	r.q.Start()
	r.await("the copy is under way", func() bool { now, _ := slow.count(); return now == 1 })
	if list, err := r.q.PauseCopies(menu.Caller{}, capture.Copies{Target: "slow", File: "mail"}); err != nil || len(list) != 1 || list[0].File != "a.pcap" {
		t.Fatalf("%+v, %v", list, err)
	}
	r.await("the try is over", func() bool { now, _ := slow.count(); return now == 0 && len(r.q.Sending()) == 0 })
	if e := r.state("a.pcap", "slow"); e.State != capture.ExportPaused || e.Tries != 0 || e.Error != "" || !r.q.Waiting("a.pcap") {
		t.Errorf("a paused copy is %+v", e)
	}
	if _, err := r.q.PauseCopies(menu.Caller{}, capture.Copies{Target: "there"}); err != nil {
		t.Fatal(err)
	}
	r.add("anna", "there", "b.pcap", "c.pcap")
	r.q.Hurry()
	r.q.Close(t.Context())

	r.open()
	r.q.Start()
	r.add("anna", "slow", "b.pcap")
	r.await("another copy to the target", func() bool { now, _ := slow.count(); return now == 1 })
	for _, e := range r.q.Exports() {
		if want := e.File == "b.pcap" && e.Target == "slow"; (e.State == capture.ExportSending) != want || !want && e.State != capture.ExportPaused {
			t.Errorf("after the restart it is %+v", e)
		}
	}
	if got := there.has(); len(got) != 0 {
		t.Errorf("the target that is paused has %q", got)
	}
	close(slow.release)
	if _, err := r.q.ResumeCopies(menu.Caller{}, capture.Copies{Target: "slow", File: "a.pcap"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.q.ResumeCopies(menu.Caller{}, capture.Copies{Target: "there", File: "c.pcap"}); err == nil ||
		menu.AsError(err).Hint != "Their target is paused: packetcapture copies resume there" {
		t.Errorf("a copy to a target that is paused is resumed by itself: %v", err)
	}
	if list, err := r.q.ResumeCopies(menu.Caller{}, capture.Copies{Target: "there"}); err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	r.await("all copies", func() bool { return len(r.done) == 4 })
}

// What is cancelled is over, after a restart too, and lets its file go. It may be begun anew.
func TestCancelAndAgain(t *testing.T) {
	r := newRig(t)
	slow, to := newSlowHost(t, r)
	r.target("slow", to, false)
	r.file("a.pcap", "b.pcap")
	r.add(access.System, "slow", "a.pcap", "b.pcap")
	r.q.Start()
	r.await("a copy is under way", func() bool { now, _ := slow.count(); return now == 1 })
	if list, err := r.q.CancelCopies(menu.Caller{}, capture.Copies{Target: "slow"}); err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	r.await("both are over", func() bool { return len(r.done) == 2 && !r.q.Waiting("a.pcap") && !r.q.Waiting("b.pcap") })
	r.q.Close(t.Context())
	r.open()
	r.q.Start()
	for _, e := range r.q.Exports() {
		if e.State != capture.ExportCancelled || e.Finished.IsZero() {
			t.Errorf("after a restart it is %+v", e)
		}
	}
	if _, err := r.q.CancelCopies(menu.Caller{}, capture.Copies{Target: "slow", File: "a.pcap"}); menu.AsError(err).Code != menu.State {
		t.Errorf("cancelled again: %v", err)
	}
	for _, c := range []capture.Copies{{Target: "slow", File: "nosuch.pcap"}, {Target: "nosuch"}} {
		if _, err := r.q.RetryCopies(menu.Caller{}, c); menu.AsError(err).Code != menu.NotFound {
			t.Errorf("%+v: %v", c, err)
		}
	}
	close(slow.release)
	if _, err := r.q.RetryCopies(menu.Caller{User: "anna"}, capture.Copies{Target: "slow", File: "b.pcap"}); err != nil {
		t.Fatal(err)
	}
	r.await("the copy", func() bool { return r.state("b.pcap", "slow").State == capture.ExportDone })
	if !slices.Equal(r.anew, []string{"anna: mail to slow"}) {
		t.Errorf("told was %q", r.anew)
	}
	if e := r.state("a.pcap", "slow"); e.State != capture.ExportCancelled {
		t.Errorf("the other is %+v", e)
	}
}

// A copy that fails for too long gives up, with its reason. Its file is kept until a user begins it
// anew, or cancels it.
func TestACopyGivesUp(t *testing.T) {
	r := newRig(t)
	r.o.Tell = func(...string) { r.news <- struct{}{} }
	r.open()
	g, to := newGate(t)
	r.target("away", to, false)
	r.file("a.pcap")
	r.add(access.System, "away", "a.pcap")
	r.q.Start()
	r.await("a try", func() bool { e := r.state("a.pcap", "away"); return e.Tries == 1 && e.State == capture.ExportWaiting })
	r.q.mu.Lock()
	r.q.queue[0].Failing = time.Now().Add(-73 * time.Hour)
	r.q.mu.Unlock()
	r.q.Hurry()
	r.await("the end of trying", func() bool { return r.state("a.pcap", "away").State == capture.ExportFailed })
	r.await("the audit log", func() bool { return len(r.events) == 1 })
	e := r.state("a.pcap", "away")
	if !e.Held || e.Error != "The target takes no file: HTTP status 503" || !r.q.Waiting("a.pcap") || len(r.done) != 0 {
		t.Errorf("it gave up as %+v; done are %q", e, r.done)
	}
	if is := r.q.Standing()["a.pcap"]; !is.Failed || is.Waits || is.Error == "" {
		t.Errorf("it stands at %+v", is)
	}
	r.q.Close(t.Context())
	r.open()
	r.q.Start()
	if e := r.state("a.pcap", "away"); e.State != capture.ExportFailed || !e.Held || !r.q.Waiting("a.pcap") {
		t.Errorf("after a restart it is %+v", e)
	}
	g.opens()
	if list, err := r.q.RetryCopies(menu.Caller{}, capture.Copies{Target: "away"}); err != nil || len(list) != 1 || list[0].Error != "" {
		t.Fatalf("%+v, %v", list, err)
	}
	r.await("the copy", func() bool { return len(r.done) == 1 })
	if is := r.q.Standing()["a.pcap"]; is != (Standing{}) {
		t.Errorf("it stands at %+v", is)
	}
}

// Progress is counted from the furthest that a copy ever came: one that begins at its first byte each
// time and never comes further gives up, and one that comes further each time does not.
func TestProgressPutsOffTheEnd(t *testing.T) {
	q := &Queue{bounds: firstBounds, furthest: map[*capture.Export]int64{}, resting: map[string]time.Time{}}
	away := sending.Failed(nil, "broken")
	now := time.Now()
	forward, same := &capture.Export{State: capture.ExportSending}, &capture.Export{State: capture.ExportSending}
	for day := range 10 {
		forward.Sent, same.Sent = int64(day)*100, 500
		q.failed(forward, away, now.Add(time.Duration(day)*24*time.Hour))
		if same.State != capture.ExportFailed {
			q.failed(same, away, now.Add(time.Duration(day)*24*time.Hour))
		}
	}
	if forward.State != capture.ExportWaiting || same.State != capture.ExportFailed || !same.Held {
		t.Errorf("%+v, %+v", forward, same)
	}
}

// Who is asked to come later comes later: all copies to that target.
func TestRetryAfterIsHeeded(t *testing.T) {
	q := &Queue{bounds: firstBounds, furthest: map[*capture.Export]int64{}, resting: map[string]time.Time{}}
	now := time.Now()
	e := &capture.Export{Target: "vault", State: capture.ExportSending, Tries: 1}
	q.failed(e, &sending.Error{Text: "busy", Unreachable: true, RetryAfter: 90 * time.Second}, now)
	if want := now.Add(90 * time.Second); !e.NextTry.Equal(want) || !q.resting["vault"].Equal(want) || e.Error != "Busy" {
		t.Errorf("%+v; the target rests until %v", e, q.resting["vault"])
	}
}

// What the disk cannot have has not happened.
func TestActsThatCannotBeWritten(t *testing.T) {
	r := newRig(t)
	_, to := newGate(t)
	r.target("vault", to, false)
	r.add(access.System, "vault", "a.pcap")
	for _, name := range []string{".exports.json.new", ".targets.json.new", ".exportsettings.json.new"} {
		if err := os.Mkdir(filepath.Join(r.o.Dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, act := range map[string]func(menu.Caller, capture.Copies) ([]capture.Export, error){"pause": r.q.PauseCopies, "cancel": r.q.CancelCopies} {
		if _, err := act(menu.Caller{}, capture.Copies{Target: "vault", File: "a.pcap"}); menu.AsError(err).Code != menu.Failed || r.state("a.pcap", "vault").State != capture.ExportWaiting || len(r.done) != 0 {
			t.Errorf("%s: %v; it is %+v", name, err, r.state("a.pcap", "vault"))
		}
	}
	if _, err := r.q.PauseCopies(menu.Caller{}, capture.Copies{Target: "vault"}); err == nil || r.q.Targets()[0].Paused {
		t.Errorf("the target is %+v: %v", r.q.Targets()[0], err)
	}
	before := r.q.ExportSettings()
	if _, err := r.q.SetExportSettings(menu.Caller{}, func(s *capture.ExportSettings) { s.Parallel = 9 }); err == nil || r.q.ExportSettings() != before {
		t.Errorf("the settings are %+v: %v", r.q.ExportSettings(), err)
	}
}

// The settings hold after a restart.
func TestExportSettingsSurviveARestart(t *testing.T) {
	r := newRig(t)
	want := capture.ExportSettings{Parallel: 7, PerTarget: 3, BytesPerSecond: 1 << 20, GiveUpSeconds: 60}
	if _, err := r.q.SetExportSettings(menu.Caller{}, func(s *capture.ExportSettings) { *s = want }); err != nil {
		t.Fatal(err)
	}
	r.open()
	if r.q.ExportSettings() != want || r.q.all.share(1<<20) != 1<<17 {
		t.Errorf("%+v", r.q.ExportSettings())
	}
}

// newProxy returns the address of a proxy that leads every way to one host, whoever is asked for.
func newProxy(t *testing.T, to string, user string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Proxy-Authorization"), "Basic ") || r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		there, err := net.Dial("tcp", to)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { io.Copy(there, here); there.Close() }()
		io.Copy(here, there)
		here.Close()
	}))
	t.Cleanup(server.Close)
	return "http://" + user + "@" + strings.TrimPrefix(server.URL, "http://")
}

// A target with authorities of its own is trusted by them alone, and one with a proxy is reached
// through it. What is changed of a target holds for copies that wait.
func TestProxyAndAuthorities(t *testing.T) {
	r := newRig(t)
	g := &gate{webHost: &webHost{files: map[string][]byte{}}, open: true}
	server := httptest.NewTLSServer(g)
	t.Cleanup(server.Close)
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	far := capture.Target{Name: "far", URL: "https://example.com/captures", Template: "{capture}/{file}",
		Proxy: newProxy(t, server.Listener.Addr().String(), "me"), ProxySecret: "proxy's"}
	told, err := r.q.AddTarget(t.Context(), menu.Caller{}, far, secret)
	if err != nil || told.ProxySecret != "" {
		t.Fatalf("%+v, %v", told, err)
	}
	r.file("a.pcap")
	r.add("anna", "far", "a.pcap")
	r.q.Start()
	for end := time.Now().Add(20 * time.Second); r.state("a.pcap", "far").Tries == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond) // nothing tells of a try that failed
	}
	if e := r.state("a.pcap", "far"); e.State != capture.ExportWaiting || e.Error == "" {
		t.Errorf("without the authority it is %+v", e)
	}
	if _, err := r.q.ChangeTarget(t.Context(), menu.Caller{}, "far", capture.TargetChange{Authorities: new("nothing")}); menu.AsError(err).Argument != "authorities" {
		t.Errorf("authorities that are none: %v", err)
	}
	if _, err := r.q.ChangeTarget(t.Context(), menu.Caller{}, "far", capture.TargetChange{URL: new("https://example.net/")}); menu.AsError(err).Argument != "secret" {
		t.Errorf("another host gets the secret: %v", err)
	}
	if _, err := r.q.ChangeTarget(t.Context(), menu.Caller{}, "far", capture.TargetChange{Authorities: &authority, Secret: new(secret)}); err != nil {
		t.Fatal(err)
	}
	for _, proxy := range []string{"http://me@other:1", "socks5://" + strings.TrimPrefix(far.Proxy, "http://")} {
		if _, err := r.q.ChangeTarget(t.Context(), menu.Caller{}, "far", capture.TargetChange{Proxy: &proxy, Secret: new(secret)}); menu.AsError(err).Argument != "proxysecret" {
			t.Errorf("the proxy %s gets the password of another: %v", proxy, err)
		}
	}
	r.await("the copy", func() bool { return len(r.done) == 1 })
	if !slices.Contains(g.has(), "a.pcap") || g.files["/captures/mail/a.pcap"] == nil {
		t.Errorf("the target has %q", g.has())
	}
	for _, wrong := range []string{"https://proxy:1", "proxy", "http://me:x@proxy:1", "http://proxy/folder", "http://me@proxy:65536"} {
		if _, err := r.q.ChangeTarget(t.Context(), menu.Caller{}, "far", capture.TargetChange{Proxy: &wrong}); menu.AsError(err).Argument != "proxy" {
			t.Errorf("the proxy %s: %v", wrong, err)
		}
	}
	if _, err := r.q.ChangeTarget(t.Context(), menu.Caller{}, "far", capture.TargetChange{Proxy: new(""), Secret: new(secret)}); err != nil {
		t.Fatal(err)
	}
	if q := r.q; q.targets[0].ProxySecret != "" {
		t.Error("the password of a proxy stays when the proxy goes")
	}
	if _, err := r.q.ChangeTarget(t.Context(), menu.Caller{}, "far", capture.TargetChange{ProxySecret: new("x")}); menu.AsError(err).Argument != "proxysecret" {
		t.Errorf("a password without a proxy: %v", err)
	}
}

// What a copy that goes in large parts takes still is told before the first part is safe.
func TestRateBeforeAPartIsSafe(t *testing.T) {
	r := newRig(t)
	slow, to := newSlowHost(t, r)
	defer close(slow.release)
	r.target("slow", to, false)
	r.file("a.pcap")
	r.add("anna", "slow", "a.pcap")
	r.q.Start()
	r.await("the copy is under way", func() bool { now, _ := slow.count(); return now == 1 })
	r.q.mu.Lock()
	e := r.q.queue[0]
	e.Bytes, e.Sent, r.q.running[e].meter, r.q.running[e].passed, r.q.running[e].safe = 1<<20, 0, meter{}, 0, 0
	r.q.running[e].meter.add(time.Now().Add(-2*meterStep), 0)
	r.q.mu.Unlock()
	r.q.passes(e, 1000)
	if now := r.state("a.pcap", "slow"); now.BytesPerSecond == 0 || now.SecondsLeft == nil {
		t.Errorf("under way it is %+v", now)
	}
}

// Copies to a target take no more bytes a second than it has, and all together no more than the
// settings say; what is left is told meanwhile.
func TestBandwidth(t *testing.T) {
	r := newRig(t)
	g, to := newGate(t)
	g.opens()
	r.target("near", to, false)
	r.target("far", to, false)
	if _, err := r.q.ChangeTarget(t.Context(), menu.Caller{}, "far", capture.TargetChange{BytesPerSecond: new(int64(128 << 10))}); err != nil {
		t.Fatal(err)
	}
	content := make([]byte, 256<<10)
	for _, name := range []string{"a.pcap", "b.pcap"} {
		if err := r.files.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.add("anna", "far", "a.pcap")
	r.add("anna", "near", "b.pcap")
	began := time.Now()
	r.q.Start()
	r.await("the copy without a bound", func() bool { return len(r.done) == 1 && r.done[0] == "b.pcap" })
	for e := r.state("a.pcap", "far"); e.SecondsLeft == nil; e = r.state("a.pcap", "far") {
		if e.State == capture.ExportDone {
			t.Fatal("the copy was done before its rate was known")
		}
		time.Sleep(time.Millisecond) // nothing tells of its progress
	}
	if e := r.state("a.pcap", "far"); e.BytesPerSecond > 160<<10 || e.BytesLeft != e.Bytes-e.Sent {
		t.Errorf("under way it is %+v", e)
	}
	r.await("the bounded copy", func() bool { return len(r.done) == 2 })
	if took := time.Since(began); took < 1600*time.Millisecond {
		t.Errorf("256 KiB at 128 KiB a second took %v", took)
	}
	if _, err := r.q.SetExportSettings(menu.Caller{}, func(s *capture.ExportSettings) { s.BytesPerSecond = 256 << 10 }); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	r.add("anna", "near", "a.pcap")
	r.await("the copy with a bound for all", func() bool { return len(r.done) == 3 })
	if took := time.Since(began); took < 700*time.Millisecond {
		t.Errorf("256 KiB at 256 KiB a second took %v", took)
	}
}
