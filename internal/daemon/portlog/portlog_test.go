package portlog

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"diagsh/diag/ports"
	"diagsh/internal/daemon/files"
	"diagsh/internal/menu"
	"diagsh/internal/test/roomtest"
)

func start(t testing.TB, b *bed, o ports.LogOptions) {
	t.Helper()
	if _, err := b.StartPortLog(roomtest.Admin, ports.LogRequest{PartialLog: ports.PartialLog{LogOptions: o}}); err != nil {
		t.Fatal(err)
	}
}

func stop(t testing.TB, b *bed) ports.LogStatus {
	t.Helper()
	s, err := b.StopPortLog(roomtest.Admin)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The log has what is open, what happens, its own beginning and its end, in the order in which it
// was told, in one file.
func TestLogFromStartToStop(t *testing.T) {
	b := open(t, t.TempDir(), files.Options{})
	now := time.Now()
	held := connect(now, 1)
	held.Event, held.State = ports.Held, "ESTABLISHED"
	b.held = []ports.Record{held}
	start(t, b, ports.LogOptions{})
	sent, seconds := uint64(0), 0.5
	closed := connect(now, 2)
	closed.Event, closed.BytesSent, closed.Seconds = ports.Closed, &sent, &seconds
	closed.Name = "a<b>\xff\n"
	b.tell(connect(now, 2), closed)
	b.tell(ports.Record{Time: now, Event: ports.Gap, Lost: 3})
	s := stop(t, b)
	if s.State != ports.LogStopped || s.StopReason != ports.LogStoppedByUser || s.Records != 4 || s.GapsWritten != 1 || s.RecordsLost != 0 || s.Sets != 1 || s.Owner != "admin" {
		t.Errorf("%+v", s)
	}
	names := b.names(t)
	if len(names) != 1 || !strings.HasPrefix(names[0], "mx1-portlog-"+now.UTC().Format("20060102-")) {
		t.Fatalf("the files are %q", names)
	}
	list := b.lines(t)
	if got, want := events(list), "start held connect close gap stop"; got != want {
		t.Fatalf("%s, want %s", got, want)
	}
	if first := list[0].Reason + list[1].Reason; !strings.Contains(first, "mx1") || !strings.Contains(first, "tier A") || !strings.Contains(first, "/diagnostic") || !strings.Contains(first, "started by admin") {
		t.Errorf("it begins with %q", first)
	}
	if c := list[4]; *c.BytesSent != 0 || *c.Seconds != 0.5 || c.BytesReceived != nil || c.Name != "a<b>\ufffd\n" {
		t.Errorf("%+v", c)
	}
	text, _ := os.ReadFile(b.pathOf(names[0]))
	if !strings.Contains(string(text), "a<b>") {
		t.Error("names are escaped for HTML")
	}
	var members map[string]any
	line := strings.Split(string(text), "\n")[3]
	if err := json.Unmarshal([]byte(line), &members); err != nil || members["process"] != "curl" || members["pid"] != 4242.0 || members["remoteAddress"] != "192.0.2.1" || members["event"] != "connect" {
		t.Errorf("%s: %v", line, err)
	}
}

// What is not wanted does not reach the files.
func TestSelectionAtTheSource(t *testing.T) {
	b := open(t, t.TempDir(), files.Options{})
	start(t, b, ports.LogOptions{Selection: ports.Selection{Ports: []string{"443"}, Users: []string{"ann"}}})
	one, other := connect(time.Now(), 1), connect(time.Now(), 2)
	other.RemotePort = 80
	b.tell(one, other, ports.Record{Time: time.Now(), Event: ports.Gap, Lost: 1})
	if s := stop(t, b); s.Records != 2 {
		t.Errorf("%d records", s.Records)
	}
	list := b.lines(t)
	if got, want := events(list), "start connect gap stop"; got != want || !strings.Contains(list[1].Reason, "selects users ann; ports 443") {
		t.Errorf("%s, want %s; %q", got, want, list[1].Reason)
	}
}

// One line a connection: its end. A peer of UDP has no other line than its own.
func TestCoalesce(t *testing.T) {
	b := open(t, t.TempDir(), files.Options{})
	start(t, b, ports.LogOptions{Coalesce: true})
	var list []ports.Record
	for _, e := range ports.Events[:15] {
		r := connect(time.Now(), 1)
		r.Event = e
		list = append(list, r)
	}
	peer := connect(time.Now(), 2)
	peer.Event, peer.Protocol = ports.Flowed, ports.UDP
	b.tell(append(list, peer)...)
	stop(t, b)
	if got, want := events(b.lines(t)), "start close refused timeout aborted failed rejected gap flow stop"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestRefusals(t *testing.T) {
	b := open(t, t.TempDir(), files.Options{})
	refused := func(o ports.LogOptions, argument string) {
		t.Helper()
		_, err := b.StartPortLog(roomtest.Admin, ports.LogRequest{PartialLog: ports.PartialLog{LogOptions: o}})
		if e := menu.AsError(err); err == nil || e.Code != menu.Usage || e.Argument != argument {
			t.Errorf("%+v: %v", o, err)
		}
		if err := b.SetPortLogSettings(roomtest.Admin, ports.PartialLog{LogOptions: o}); menu.AsError(err).Argument != argument {
			t.Errorf("%+v: %v", o, err)
		}
	}
	refused(ports.LogOptions{Selection: ports.Selection{Ports: []string{"http"}}}, "ports")
	refused(ports.LogOptions{Selection: ports.Selection{Addresses: []string{"192.0.2.0/33"}}}, "addresses")
	refused(ports.LogOptions{SizeBytes: 1}, "sizebytes")
	refused(ports.LogOptions{Format: "csv"}, "format")
	_, err := b.StopPortLog(roomtest.Admin)
	roomtest.WantCode(t, err, menu.State)
	roomtest.WantCode(t, b.EndPortLog(roomtest.Admin), 0)
	start(t, b, ports.LogOptions{})
	_, err = b.StartPortLog(roomtest.Admin, ports.LogRequest{})
	if e := menu.AsError(err); err == nil || e.Code != menu.State || !strings.Contains(e.Message, "started by admin") {
		t.Errorf("a second one: %v", err)
	}
	// A file that is being written stays, one that is finished may go.
	name := b.names(t)[0]
	roomtest.WantCode(t, b.directory.RemoveFile(roomtest.Admin, name), menu.State)
	stop(t, b)
	roomtest.WantCode(t, b.directory.RemoveFile(roomtest.Admin, name), 0)
	b.Stop()
	_, err = b.StartPortLog(roomtest.Admin, ports.LogRequest{})
	roomtest.WantCode(t, err, menu.State)
}

// Two users who start and stop at once: one log at a time, and each answer is true.
func TestTwoSessions(t *testing.T) {
	b := open(t, t.TempDir(), files.Options{})
	var both sync.WaitGroup
	var mu sync.Mutex
	started, stopped := 0, 0
	for range 2 {
		both.Go(func() {
			for range 20 {
				_, err := b.StartPortLog(roomtest.Admin, ports.LogRequest{})
				_, e := b.StopPortLog(roomtest.Admin)
				mu.Lock()
				if err == nil {
					started++
				}
				if e == nil {
					stopped++
				}
				mu.Unlock()
			}
		})
	}
	both.Wait()
	if started != stopped || started < 20 || len(b.names(t)) != started {
		t.Errorf("%d starts, %d stops, %d files", started, stopped, len(b.names(t)))
	}
}

// A stop of the appliance while a log begins, when the engine is asked to tell what is open, ends that
// log: who started it is told, its files are closed and the engine tells it nothing any more.
func TestStopWhileItBegins(t *testing.T) {
	b := open(t, t.TempDir(), files.Options{})
	asked, release := make(chan struct{}), make(chan struct{})
	b.enter = func() {
		close(asked)
		<-release
	}
	started := make(chan error)
	go func() {
		_, err := b.StartPortLog(roomtest.Admin, ports.LogRequest{})
		started <- err
	}()
	<-asked
	b.Stop()
	close(release)
	roomtest.WantCode(t, <-started, menu.State)
	if s := b.PortLogStatus(); s.State != ports.LogStopped || s.StopReason != ports.LogShutdown || b.watched() > 0 {
		t.Errorf("%+v, %d watchers", s, b.watched())
	}
}

// Settings hold for logs to come, over restarts, and go with a reset.
func TestSettings(t *testing.T) {
	dir := t.TempDir()
	b := openOn(t, dir, files.Options{})
	given := ports.PartialLog{LogOptions: ports.LogOptions{Days: 7, Selection: ports.Selection{Ports: []string{"25", "80-90"}}}}
	if err := b.SetPortLogSettings(roomtest.Admin, given); err != nil {
		t.Fatal(err)
	}
	if losses := b.Losses(); len(losses) != 1 {
		t.Errorf("%+v", losses)
	}
	b.shut(t)
	b = open(t, dir, files.Options{})
	start(t, b, ports.LogOptions{Days: 3})
	if s := b.PortLogStatus(); s.Days != 3 || fmt.Sprint(s.Ports) != "[25 80-90]" || s.SizeBytes != 250<<20 {
		t.Errorf("%+v", s)
	}
	stop(t, b)
	_, err := b.StartPortLog(roomtest.Admin, ports.LogRequest{Defaults: true})
	if s := b.PortLogStatus(); err != nil || s.Days != 0 || len(s.Ports) != 0 {
		t.Errorf("%+v %v", s, err)
	}
	// A list that is given empty is none.
	if err := b.SetPortLogSettings(roomtest.Admin, ports.PartialLog{Given: []string{"ports", "DAYS"}}); err != nil || len(b.PortLogSettings().Ports) != 0 || b.PortLogSettings().Days != 0 {
		t.Errorf("%+v %v", b.PortLogSettings(), err)
	}
	if err := b.Reset(); err != nil || b.Losses() != nil {
		t.Errorf("%v, %v", err, b.Losses())
	}
}
