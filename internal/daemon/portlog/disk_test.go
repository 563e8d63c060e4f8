package portlog

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"diagsh/diag/ports"
	"diagsh/internal/daemon/files"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
	"diagsh/internal/test/disktest"
	"diagsh/internal/test/roomtest"
)

// On a full disk the log pauses, says why, and goes on with a gap that counts what is missing. It
// never ends, and no line is torn.
func TestDiskFull(t *testing.T) {
	for _, format := range []ports.LogFormat{ports.NDJSON, ports.BothFormats} {
		dir := t.TempDir()
		folder := filepath.Join(dir, "diagnostic")
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		disk := disktest.Tmpfs(t, folder, "64m")
		b := openOn(t, dir, files.Options{})
		start(t, b, ports.LogOptions{Format: format})
		now := time.Now()
		b.tell(serials(1, 100, now, time.Millisecond)...)
		b.written(t, 100)
		filled, free := disk.Fill()
		told := uint64(100)
		tell := func(n uint64) {
			b.tell(serials(told+1, told+n, now, time.Millisecond)...)
			told += n
		}
		tell(1000)
		await.Until(t, "the log is paused", func() bool { return b.PortLogStatus().State == ports.LogPaused })
		if s := b.PortLogStatus(); !strings.Contains(s.Problem, "disk") {
			t.Errorf("%+v", s)
		}
		tell(queueRecords + 500) // more than wait for the disk
		free()
		if err := os.Remove(filled); err != nil {
			t.Fatal(err)
		}
		await.Until(t, "the log goes on", func() bool { return b.PortLogStatus().State == ports.LogRunning })
		tell(10)
		s := stop(t, b)
		if s.RecordsLost < 500 || s.GapsWritten == 0 || s.Problem != "" || !b.audit.has("is paused: ") || !b.audit.has("goes on") {
			t.Errorf("%+v", s)
		}
		// What is there and what the gaps count is what was told.
		var there, lost uint64
		for _, name := range b.names(t) {
			if linesPattern().MatchString(name) {
				for _, r := range linesOf(t, b.pathOf(name)) {
					switch r.Event {
					case ports.Connected:
						there++
					case ports.Gap:
						lost += r.Lost
						if r.Reason == "" {
							t.Error("a gap has no reason")
						}
					}
				}
			}
		}
		if there+lost != told || lost != s.RecordsLost {
			t.Errorf("%s: %d are there and %d missing of %d; the status says %d", format, there, lost, told, s.RecordsLost)
		}
		b.shut(t)
	}
}

// A log does not begin on a disk that is low, and a persistent one waits for room.
func TestLowDisk(t *testing.T) {
	dir := t.TempDir()
	b := openOn(t, dir, files.Options{ReserveBytes: 1 << 60})
	_, err := b.StartPortLog(roomtest.Admin, ports.LogRequest{})
	if e := menu.AsError(err); err == nil || e.Code != menu.State || !strings.Contains(e.Message, "The disk is low") {
		t.Errorf("%v", err)
	}
	if s := b.PortLogStatus(); s.State != ports.LogNotStarted || s.Sets != 0 {
		t.Errorf("%+v", s)
	}
	b.shut(t)
	b = openOn(t, dir, files.Options{})
	start(t, b, ports.LogOptions{Persistent: true})
	b.shut(t)
	b = open(t, dir, files.Options{ReserveBytes: 1 << 60})
	await.Until(t, "the log is paused", func() bool { return b.PortLogStatus().State == ports.LogPaused })
}

// Whoever tells waits for no disk.
func TestStalledDisk(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "diagnostic")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	disk := disktest.Ext4(t, folder, 64<<20)
	b := openOn(t, dir, files.Options{})
	start(t, b, ports.LogOptions{})
	now := time.Now()
	b.tell(serials(1, 1000, now, time.Millisecond)...)
	b.written(t, 1000)
	go b.tell(serials(1001, 1100, now, time.Millisecond)...) // has the writer begin to wait
	var longest time.Duration
	disk.Stall(1500*time.Millisecond, func() {
		for n := uint64(0); n < 50; n++ {
			began := time.Now()
			b.tell(serials(n*100+2000, n*100+2099, now, time.Millisecond)...)
			longest = max(longest, time.Since(began))
		}
	})
	if longest > 500*time.Millisecond {
		t.Errorf("the engine waited %v", longest)
	}
	if s := stop(t, b); s.Records != 6100 || s.RecordsLost != 0 {
		t.Errorf("%+v", s)
	}
	b.shut(t)
}

// A log that persists goes on when the appliance starts again, another one does not. The settings
// that it had are its own.
func TestPersistence(t *testing.T) {
	dir := t.TempDir()
	b := openOn(t, dir, files.Options{})
	start(t, b, ports.LogOptions{})
	b.shut(t)
	b = openOn(t, dir, files.Options{})
	if s := b.PortLogStatus(); s.State != ports.LogStopped || s.StopReason != ports.LogShutdown || s.End.IsZero() {
		t.Errorf("%+v", s)
	}
	start(t, b, ports.LogOptions{Persistent: true, Days: 9})
	b.tell(connect(time.Now(), 1))
	b.shut(t)
	if list := b.lines(t); !strings.Contains(list[len(list)-1].Reason, "the appliance stops") {
		t.Errorf("it ends with %+v", list[len(list)-1])
	}
	b = openOn(t, dir, files.Options{})
	b.tell(connect(time.Now(), 2))
	if s := b.PortLogStatus(); s.State != ports.LogRunning || s.Days != 9 || s.Owner != "admin" || !b.audit.has("goes on after the restart") {
		t.Errorf("%+v", s)
	}
	stop(t, b)
	wantSerials(t, b.lines(t), 1, 2)
	b.shut(t)
	b = open(t, dir, files.Options{})
	if s := b.PortLogStatus(); s.State != ports.LogStopped || s.StopReason != ports.LogStoppedByUser {
		t.Errorf("a log that a user stopped goes on: %+v", s)
	}
}

// died makes the next start find a log that ran when the appliance died.
func (b *bed) died(t *testing.T, start time.Time) {
	t.Helper()
	b.last = ports.LogStatus{State: ports.LogRunning, Start: start, LogOptions: ports.FirstLogOptions()}
	if err := b.save(); err != nil {
		t.Fatal(err)
	}
}

// The end of a line that a death tore goes at the next start, from every file of the log that died. What
// is older, and what ends with something longer than a line, is not of that log, and stays.
func TestTornLines(t *testing.T) {
	dir := t.TempDir()
	b := openOn(t, dir, files.Options{})
	b.died(t, time.Date(2026, 1, 1, 0, 0, 0, 500, time.UTC))
	b.location = time.UTC
	b.shut(t)
	long := strings.Repeat("x", mostTorn+1)
	cases := map[string][2]string{
		"mx1-portlog-20260101-000000.ndjson":  {"{\"event\":\"start\"}\n" + "torn \xff", "{\"event\":\"start\"}\n"},
		"PR-PORTS-2026-01-02T00-00-00.log":    {"a,b\ntorn \xff", "a,b\n"},
		"mx1-portlog-20260101-000001.ndjson":  {"torn", ""},
		"mx1-portlog-20260101-000001.ndjson2": {"not ours", "not ours"},
		"mx1-portlog-20251231-235959.ndjson":  {"older", "older"},
		"mx1-portlog-20260101-000002.ndjson":  {long, long},
	}
	for name, c := range cases {
		if err := os.WriteFile(filepath.Join(dir, "diagnostic", name), []byte(c[0]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b = openOn(t, dir, files.Options{})
	ended := b.PortLogStatus().End
	b.shut(t)
	for name, c := range cases {
		if got, err := os.ReadFile(filepath.Join(dir, "diagnostic", name)); err != nil || string(got) != c[1] {
			t.Errorf("%s is %.80q, %v", name, got, err)
		}
	}
	b = open(t, dir, files.Options{}) // which was last seen later
	if s := b.PortLogStatus(); s.StopReason != ports.LogInterrupted || !s.End.Equal(ended) {
		t.Errorf("it ended at %v, now %+v", ended, s)
	}
}

// A state that no log of ours had is damaged: nothing begins by it, and no file goes.
func TestDamagedState(t *testing.T) {
	for _, text := range []string{
		`{"version":1,"last":{"state":"Running","persistent":true,"format":"ndjson","sizeBytes":3}}`,
		`{"version":1,"last":{"state":"Stopped","stopReason":"Shutdown","persistent":true,"format":"xml","sizeBytes":262144000}}`,
		`{"version":1,"settings":{"format":"ndjson","sizeBytes":-1},"last":{"state":"NotStarted"}}`,
	} {
		dir := t.TempDir()
		b := openOn(t, dir, files.Options{})
		b.shut(t)
		kept := b.pathOf("mx1-portlog-20260101-000000.ndjson")
		os.WriteFile(kept, []byte("{}\n"), 0o600)
		os.WriteFile(filepath.Join(dir, "portlog.json"), []byte(text), 0o600)
		if b, err := opened(dir, files.Options{}, t.Output()); err == nil {
			t.Errorf("%s is taken: %+v", text, b.PortLogStatus())
			b.shut(t)
		}
		if _, err := os.Stat(kept); err != nil {
			t.Error(err)
		}
	}
}

// TestMain lets the test binary be the log that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("DIAGSH_TEST_DIR"); dir != "" {
		victim(dir)
		return
	}
	os.Exit(m.Run())
}

// victim tells records as fast as a busy machine, and says which it told, until it is killed.
func victim(dir string) {
	b, err := opened(dir, files.Options{}, io.Discard)
	if err != nil {
		fmt.Println("failed", err)
		return
	}
	if b.PortLogStatus().State != ports.LogRunning { // which the one before left
		request := ports.LogRequest{}
		request.Persistent, request.Format = true, ports.BothFormats
		if _, err := b.StartPortLog(roomtest.Admin, request); err != nil {
			fmt.Println("failed", err)
			return
		}
	}
	for n := uint64(1); ; n += 80 {
		b.tell(serials(n, n+79, time.Now(), 0)...)
		fmt.Println(n + 79)
		time.Sleep(10 * time.Millisecond)
	}
}

// A log that is killed has whole lines, and all that was told until a second before. It goes on.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	var before uint64
	for round := range 3 {
		c := exec.Command("/proc/self/exe")
		c.Env = append(os.Environ(), "DIAGSH_TEST_DIR="+dir)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		var said []time.Time
		var told []uint64
		for lines := bufio.NewScanner(out); ; {
			if !lines.Scan() {
				t.Fatal("the child said nothing more")
			}
			var n uint64
			if _, err := fmt.Sscan(lines.Text(), &n); err != nil {
				t.Fatal(lines.Text())
			}
			said, told = append(said, time.Now()), append(told, n)
			if time.Since(said[0]) > 1300*time.Millisecond {
				break
			}
		}
		killed := time.Now()
		c.Process.Signal(syscall.SIGKILL)
		c.Wait()
		var sure uint64
		for i, at := range said {
			if killed.Sub(at) > time.Second {
				sure = told[i]
			}
		}
		b := openOn(t, dir, files.Options{})
		if s := b.PortLogStatus(); s.State != ports.LogRunning || !b.audit.has("goes on after the restart") {
			t.Errorf("round %d: %+v", round, s)
		}
		b.shut(t)
		var there uint64
		for _, r := range b.lines(t) { // which fails for a line that is not whole
			if r.Event == ports.Connected {
				there++
			}
		}
		if sure == 0 || there < before+sure {
			t.Errorf("round %d: %d records are there, %d were told a second before", round, there, before+sure)
		}
		before = there
	}
}
