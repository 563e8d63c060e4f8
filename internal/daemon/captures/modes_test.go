package captures

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
	"diagsh/internal/test/roomtest"
)

// loopbackSender sends datagrams to a receiver of this test, and the filter takes those alone.
func loopbackSender(t *testing.T) (sender net.Conn, filter string) {
	t.Helper()
	receiver, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { receiver.Close() })
	if sender, err = net.Dial("udp4", receiver.LocalAddr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sender.Close() })
	return sender, "udp dst port " + strings.TrimPrefix(receiver.LocalAddr().String(), "127.0.0.1:")
}

// The captures of this test are on the loopback interface: what is resumed is begun by the table's
// own goroutines, which are not in the network of a test.
func TestPersistentCaptureGoesOn(t *testing.T) {
	o := roomOptions{Dir: t.TempDir(), Hostname: "mx1"}
	b := &bed{T: t, d: start(t, o)}
	sender, filter := loopbackSender(t)
	for _, r := range []capture.Request{
		ask("mail", capture.Options{
			Persistent: true, Mode: capture.Ring, Rotation: capture.Rotation{FileSeconds: 3600},
		}),
		{Name: "once"},
	} {
		r.Interfaces, r.Filter = []string{"lo"}, filter
		if _, err := b.d.StartCapture(roomtest.Admin, r); err != nil {
			t.Fatal(err)
		}
	}
	restart := func() {
		if err := b.d.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.d = start(t, o)
	}
	for round := range 3 {
		for range 100 {
			sender.Write([]byte("packet"))
		}
		if round < 2 {
			restart()
			await.Until(t, "it is resumed", func() bool {
				s, _ := b.d.Capture("mail")
				return s.State == capture.Running && len(s.Files) == round+2
			})
		}
	}
	s, err := b.d.StopCapture(roomtest.Admin, "mail")
	if err != nil || len(s.Files) != 3 || s.PacketsWritten != 300 || s.PacketsReceived != 300 {
		t.Fatalf("it ended as %+v, %v", s, err)
	}
	for _, f := range s.Files {
		if n, _ := roomtest.PacketsOf(t, b.d, f.Name); n != 100 {
			t.Errorf("%s has %d packets", f.Name, n)
		}
	}
	if once, _ := b.d.Capture("once"); once.StopReason != capture.Shutdown {
		t.Errorf("the other one is %+v", once)
	}
	restart()
	if s, _ := b.d.Capture("mail"); s.StopReason != capture.StoppedByUser {
		t.Errorf("what a user stopped is resumed: %+v", s)
	}
}

// A capture that persists and has met its limit when the appliance dies has ended for that reason
// and is not resumed.
func TestPersistentCaptureThatHasMetItsLimit(t *testing.T) {
	t.Parallel()
	const packets, packet = 100, 14 + 20 + 8 + 6 // bytes
	for name, c := range map[string]struct {
		size int64
		more bool // it is resumed until the first packet that does not fit
	}{
		"to the byte":                 {size: 24 + packets*(16+packet)},
		"less than a header is left":  {size: 24 + packets*(16+packet) + 20},
		"less than a packet is left":  {size: 24 + packets*(16+packet) + 24 + 16},
		"the next packet is too long": {size: 24 + packets*(16+packet) + 24 + 16 + 10, more: true},
	} {
		t.Run(name, func(t *testing.T) {
			o := roomOptions{Dir: t.TempDir(), Hostname: "mx1"}
			d := start(t, o)
			sender, filter := loopbackSender(t)
			s, err := d.StartCapture(roomtest.Admin, ask("mail", capture.Options{Interfaces: []string{"lo"},
				Filter: filter, Persistent: true, Limits: capture.Limits{SizeBytes: c.size}}, "filter"))
			if err != nil {
				t.Fatal(err)
			}
			for range packets {
				sender.Write([]byte("packet"))
			}
			file := s.Files[0].Name
			await.Until(t, "all is on the disk", func() bool {
				info, err := os.Stat(filepath.Join(o.Dir, "diagnostic", capture.PartName(file)))
				return err == nil && info.Size() == 24+packets*(16+packet)
			})
			o.Dir = dead(t, o.Dir)
			d = start(t, o)
			if c.more {
				await.Until(t, "it is resumed", func() bool {
					s, _ := d.Capture("mail")
					return s.State == capture.Running && len(s.Files) == 2
				})
				sender.Write([]byte("packet"))
			}
			await.Until(t, "it ends", func() bool {
				s, _ := d.Capture("mail")
				return s.State != capture.Running && s.StopReason != capture.Interrupted
			})
			s, err = d.Capture("mail")
			if err != nil || s.StopReason != capture.SizeExceeded || s.State != capture.Stopped || s.Error != "" ||
				s.PacketsWritten != packets || len(s.Files) != 1 || s.EndTime.IsZero() {
				t.Fatalf("it ended as %+v, %v", s, err)
			}
			if n, _ := roomtest.PacketsOf(t, d, file); n != packets {
				t.Errorf("its file has %d packets", n)
			}
			if left, err := d.Table.partNames(); err != nil || len(left) != 0 {
				t.Errorf("%q are left, %v", left, err)
			}
		})
	}
}

// The table has a capture as running, and the disk is low when the appliance starts again. If its
// files were closed, the capture had ended, and the disk had no room for a table that says so. Else
// the order is unknown.
func TestInterruptedOnADiskThatIsLow(t *testing.T) {
	for name, c := range map[string]struct {
		closed bool
		want   capture.StopReason
	}{"while it ran": {false, capture.Interrupted}, "after it had ended": {true, capture.DiskLow}} {
		t.Run(name, func(t *testing.T) {
			o := roomOptions{Dir: t.TempDir()}
			b := newBed(t, o)
			file := b.mustStart(ask("mail", capture.Options{})).Files[0].Name
			await.Until(t, "the file has its header", func() bool {
				text, err := os.ReadFile(filepath.Join(o.Dir, "diagnostic", capture.PartName(file)))
				return err == nil && len(text) >= 24 && text[0] != 0
			})
			left := dead(t, o.Dir)
			table := filepath.Join(left, "captures.json")
			text, err := os.ReadFile(table)
			if err != nil {
				t.Fatal(err)
			}
			// More than any disk has.
			reserve := regexp.MustCompile(`"reserveBytes": [0-9]+`)
			text = reserve.ReplaceAll(text, []byte(`"reserveBytes": 1000000000000000000`))
			if err := os.WriteFile(table, text, 0o600); err != nil {
				t.Fatal(err)
			}
			if c.closed {
				part := filepath.Join(left, "diagnostic", capture.PartName(file))
				if err := os.Rename(part, filepath.Join(left, "diagnostic", file)); err != nil {
					t.Fatal(err)
				}
			}
			d := start(t, roomOptions{Dir: left})
			s, err := d.Capture("mail")
			if err != nil || s.State != capture.Stopped || s.StopReason != c.want || len(s.Files) != 1 ||
				!strings.Contains(s.Error, "started again") || !strings.Contains(s.Error, "reserve") {
				t.Errorf("it is %+v, %v", s, err)
			}
		})
	}
}

func TestPlannedCapture(t *testing.T) {
	o := roomOptions{Dir: t.TempDir()}
	b := newBed(t, o)
	at := time.Now().Add(time.Hour)
	s := b.mustStart(planned("later", at, "right"))
	if s.State != capture.NotStarted || !s.StartTime.IsZero() || len(s.Files) != 0 || !s.Start.Equal(at) {
		t.Errorf("it is %+v", s)
	}
	roomtest.WantCode(t, b.d.DeleteCapture(roomtest.Admin, "later"), menu.State)
	b.again(o)
	if s, err := b.d.Capture("later"); err != nil || s.State != capture.NotStarted {
		t.Fatalf("after a restart it is %+v, %v", s, err)
	}
	s, err := b.d.StopCapture(roomtest.Admin, "later")
	if err != nil || s.State != capture.Stopped || s.StopReason != capture.StoppedByUser {
		t.Errorf("stopped it is %+v, %v", s, err)
	}
	roomtest.WantCode(t, b.d.DeleteCapture(roomtest.Admin, "later"), 0)

	// The table's goroutines are not in the network of the test, so only lo is there for what
	// begins by itself.
	b.mustStart(planned("soon", time.Now().Add(200*time.Millisecond), "lo"))
	await.Until(t, "it begins", func() bool { s, _ := b.d.Capture("soon"); return len(s.Files) == 1 })
	if s, err := b.d.StopCapture(roomtest.Admin, "soon"); err != nil || len(s.Files) != 1 {
		t.Errorf("it is %+v, %v", s, err)
	}
}

// A planned capture that was killed after its file was made, and before the table said that it had
// begun, is resumed if it persists. It failed for its own file.
func TestPlannedCaptureThatIsKilledAsItBegins(t *testing.T) {
	dir := t.TempDir()
	diagnostic := filepath.Join(dir, "diagnostic")
	if err := os.MkdirAll(diagnostic, 0o700); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(diagnostic)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var entries []*entry
	for _, name := range []string{"persists", "once"} {
		writePart(t, root, name+".pcap")
		options := capture.Options{Interfaces: []string{"lo"}, Persistent: name == "persists"}
		options.Limits.SizeBytes = 1 << 20
		spec := capture.Spec{Name: name, Start: time.Now().Add(-time.Minute), Options: options}
		entries = append(entries, &entry{File: name + ".pcap", Payload: true, Spec: spec, Status: spec.Status()})
	}
	table, _ := json.Marshal(capturesFile{entries})
	os.WriteFile(filepath.Join(dir, "captures.json"), table, 0o600)
	d := start(t, roomOptions{Dir: dir})
	await.Until(t, "it is resumed", func() bool {
		s, _ := d.Capture("persists")
		return s.State != capture.NotStarted && len(s.Files) == 2
	})
	if s, _ := d.Capture("persists"); s.State != capture.Running || s.Files[0].Packets != 1 || s.Error != "" {
		t.Errorf("what persists is %+v", s)
	}
	s, _ := d.Capture("once")
	if s.StopReason != capture.Interrupted || len(s.Files) != 1 || s.Files[0].Packets != 1 || s.StartTime.IsZero() {
		t.Errorf("what does not is %+v", s)
	}
	if _, err := d.StopCapture(roomtest.Admin, "persists"); err != nil {
		t.Error(err)
	}
}

func TestPlannedCaptureThatCannotBegin(t *testing.T) {
	b := newBed(t, roomOptions{Dir: t.TempDir()})
	// A second is enough for a slow machine to plan it before it is due: what is due at once is begun
	// by this test, whose network has the interface.
	s := b.mustStart(planned("soon", time.Now().Add(time.Second), "right"))
	if s.State != capture.NotStarted {
		t.Fatalf("it was not planned: %+v", s)
	}
	// Where the table's goroutines are there is no such interface.
	await.Until(t, "it fails", func() bool { s, _ := b.d.Capture("soon"); return s.State == capture.Error })
	if s, _ := b.d.Capture("soon"); s.StopReason != capture.StartFailed || s.Error == "" {
		t.Errorf("it is %+v", s)
	}
	roomtest.WantCode(t, b.d.DeleteCapture(roomtest.Admin, "soon"), 0)
}

func TestAppendingToACapture(t *testing.T) {
	b := newBed(t, roomOptions{Dir: t.TempDir()})
	for round := range 3 {
		b.mustStart(ask("mail", capture.Options{Mode: capture.Append}))
		_, err := b.start(roomtest.Admin, ask("mail", capture.Options{Mode: capture.Append}))
		roomtest.WantCode(t, err, menu.State)
		send(t, b.ns, testPacket, 50)
		s, err := b.d.StopCapture(roomtest.Admin, "mail")
		if err != nil || len(s.Files) != 1 || s.PacketsWritten != uint64(50*(round+1)) {
			t.Fatalf("round %d ended as %+v, %v", round, s, err)
		}
		if n, _ := roomtest.PacketsOf(t, b.d, s.Files[0].Name); n != 50*(round+1) {
			t.Errorf("the file has %d packets", n)
		}
	}
	_, err := b.start(roomtest.Support, ask("mail", capture.Options{Mode: capture.Append}))
	roomtest.WantCode(t, err, menu.State)
	if list := b.d.Captures(); len(list) != 1 {
		t.Errorf("there are %d captures", len(list))
	}
}

// A start for a program takes nothing from settings that another user may have changed a moment ago.
func TestDefaultsAreThoseOfANewAppliance(t *testing.T) {
	b := newBed(t, roomOptions{Dir: t.TempDir(), ManagementPorts: []uint16{2222}})
	settings := b.d.CaptureSettings()
	settings.Filter, settings.Limits.DurationSeconds, settings.SnapLength = "port 25", 3600, 96
	settings.Comment, settings.Management = "slow mail", true
	if err := b.d.SetCaptureSettings(roomtest.Admin, capture.Partial{Options: settings.Options}); err != nil {
		t.Fatal(err)
	}
	of := b.mustStart(ask("settings", capture.Options{}))
	if of.Filter != "port 25" || of.SnapLength != 96 || of.Limits.DurationSeconds != 3600 {
		t.Errorf("the settings make %+v", of)
	}
	defaults := ask("defaults", capture.Options{Limits: capture.Limits{Packets: 7}})
	defaults.Defaults = true
	s := b.mustStart(defaults)
	limits := capture.Limits{SizeBytes: settings.Limits.SizeBytes, Packets: 7}
	if s.Filter != "" || s.EffectiveFilter == "" || s.SnapLength != 0 || s.Comment != "" || s.Limits != limits ||
		s.Format != capture.PCAP {
		t.Errorf("the defaults make %+v", s)
	}
}

// A limit of a start that appends counts from that start on: neither the time since the first one
// counts, nor do the packets of before.
func TestLimitsOfAnAppendedCaptureAreItsOwn(t *testing.T) {
	b := newBed(t, roomOptions{Dir: t.TempDir()})
	request := ask("mail", capture.Options{Mode: capture.Append, Limits: capture.Limits{DurationSeconds: 3600}})
	first := b.mustStart(request)
	send(t, b.ns, testPacket, 5)
	if _, err := b.d.StopCapture(roomtest.Admin, "mail"); err != nil {
		t.Fatal(err)
	}
	b.d.mu.Lock()
	r, _ := b.d.find("mail")
	r.Status.StartTime = first.StartTime.Add(-2 * time.Hour) // it is long ago
	b.d.mu.Unlock()
	again := time.Now()
	request.Limits.Packets = 5
	if s := b.mustStart(request); s.State != capture.Running || s.StartTime.Before(again) {
		t.Fatalf("it began as %+v", s)
	}
	send(t, b.ns, testPacket, 20)
	await.Until(t, "it ends", func() bool { s, _ := b.d.Capture("mail"); return s.State != capture.Running })
	s, err := b.d.Capture("mail")
	if err != nil || s.StopReason != capture.PacketCountReached || s.PacketsWritten != 10 || len(s.Files) != 1 {
		t.Fatalf("it ended as %+v, %v", s, err)
	}
	if n, _ := roomtest.PacketsOf(t, b.d, s.Files[0].Name); n != 10 {
		t.Errorf("the file has %d packets", n)
	}
}

// A pcap file has no place for a comment or a case number. One that a request gives is refused. Of
// one in the settings the status says that it is not in the file.
func TestCommentsThatPcapHasNoPlaceFor(t *testing.T) {
	b := newBed(t, roomOptions{Dir: t.TempDir()})
	text, none := "slow mail", " "
	request := func(name string, change func(*capture.Request)) capture.Request {
		r := ask(name, capture.Options{Format: capture.PCAP})
		change(&r)
		return r
	}
	refused := func(argument string, r capture.Request) {
		t.Helper()
		_, err := b.start(roomtest.Admin, r)
		if e := menu.AsError(err); err == nil || e.Code != menu.Usage || e.Argument != argument {
			t.Errorf("it is %v, and not refused for %s", err, argument)
		}
	}
	refused("comment", request("no", func(r *capture.Request) { r.Comment = text }))
	refused("casenumber", request("no", func(r *capture.Request) { r.CaseNumber = text }))
	if s := b.mustStart(request("cleared", func(r *capture.Request) { r.Comment = none })); s.NotInFile != nil {
		t.Errorf("without a comment it is %+v", s)
	}

	b.ns.Do(t, func() {
		settings := b.d.CaptureSettings()
		settings.Comment, settings.CaseNumber = text, "4711"
		if err := b.d.SetCaptureSettings(roomtest.Admin, capture.Partial{Options: settings.Options}); err != nil {
			t.Fatal(err)
		}
	})
	if s := b.mustStart(ask("both", capture.Options{})); s.NotInFile != nil || s.Format != capture.PCAPNG {
		t.Errorf("a capture that leaves the format open is %+v", s)
	}
	lacking := []string{"comment", "caseNumber"}
	if s := b.mustStart(request("plain", func(*capture.Request) {})); !slices.Equal(s.NotInFile, lacking) {
		t.Errorf("of a pcap file it says %v", s.NotInFile)
	}
	planned := b.mustStart(request("later", func(r *capture.Request) {
		r.Start, r.CaseNumber, r.Given = time.Now().Add(time.Hour), none, []string{"caseNumber"}
	}))
	if !slices.Equal(planned.NotInFile, lacking[:1]) {
		t.Errorf("of a planned one it says %v", planned.NotInFile)
	}

	if _, err := b.d.StopCapture(roomtest.Admin, "plain"); err != nil {
		t.Fatal(err)
	}
	if s, _ := b.d.Capture("plain"); !slices.Equal(s.NotInFile, lacking) {
		t.Errorf("of one that ended it says %v", s.NotInFile)
	}
	again := ask("plain", capture.Options{Mode: capture.Append, Comment: text}, "comment")
	refused("comment", again)
	again.Comment, again.Given = "", nil
	if s := b.mustStart(again); !slices.Equal(s.NotInFile, lacking) {
		t.Errorf("of one that appends it says %v", s.NotInFile)
	}
}

func TestQuota(t *testing.T) {
	for _, deletes := range []bool{false, true} {
		text := "captures: {quota: 100MB, deleteOldest: false}"
		if deletes {
			text = "captures: {quota: 100MB, deleteOldest: true}"
		}
		b := newBed(t, roomOptions{Dir: roomtest.Configure(t, t.TempDir(), text)})
		kept, old := b.filled("kept", 30<<20, true), b.filled("old", 40<<20, false)
		stranger := filepath.Join(b.d.Path(), "notes.pcap")
		if err := os.WriteFile(stranger, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(stranger, 28<<20); err != nil {
			t.Fatal(err)
		}
		_, err := b.start(roomtest.Admin, ask("new", capture.Options{}))
		exists := func(name string) bool {
			_, err := os.Stat(filepath.Join(b.d.Path(), name))
			return !errors.Is(err, os.ErrNotExist)
		}
		if !exists(kept) || !exists("notes.pcap") {
			t.Error("a file was deleted that no rule lets go")
		}
		if deletes {
			if s, _ := b.d.Capture("old"); err != nil || exists(old) || len(s.Files) != 0 || s.FilesRemoved != 1 {
				t.Errorf("the old capture is %+v, its file is there: %v; the new one: %v", s, exists(old), err)
			}
			continue
		}
		roomtest.WantCode(t, err, menu.State)
		if !exists(old) {
			t.Error("the old file is gone")
		}
	}
}

func TestOldFilesGo(t *testing.T) {
	b := newBed(t, roomOptions{Dir: roomtest.Configure(t, t.TempDir(), "captures: {keepFor: 24h}")})
	kept, old := b.filled("kept", 1<<20, true), b.filled("old", 1<<20, false)
	b.d.Directory.Sweep(time.Now().Add(23 * time.Hour))
	if _, err := b.d.StatFile(old); err != nil {
		t.Error("a file is gone too early")
	}
	b.d.Directory.Sweep(time.Now().Add(25 * time.Hour))
	_, err := b.d.StatFile(old)
	roomtest.WantCode(t, err, menu.NotFound)
	if _, err := b.d.StatFile(kept); err != nil {
		t.Error("a file that is to be kept is gone")
	}
}

func TestMemoryOfAllCaptures(t *testing.T) {
	b := newBed(t, roomOptions{Dir: roomtest.Configure(t, t.TempDir(), "captures: {memory: 64MB}")})
	_, err := b.start(roomtest.Admin, ask("", capture.Options{RingBytes: 128 << 20}))
	roomtest.WantCode(t, err, menu.State)
	if e := menu.AsError(err); e.Argument != "ring" {
		t.Errorf("the argument at fault is %q", e.Argument)
	}
	started := 0
	for ; started < 10; started++ {
		s, err := b.start(roomtest.Admin, ask("", capture.Options{}))
		if err != nil {
			roomtest.WantCode(t, err, menu.State)
			break
		}
		if s.RingBytes < capture.MinRingBytes {
			t.Errorf("it has a ring of %d bytes", s.RingBytes)
		}
	}
	if started == 0 || started > 4 {
		t.Errorf("%d captures fit in 64 MB", started)
	}
	if _, err := b.d.StopCapture(roomtest.Admin, "capture-1"); err != nil {
		t.Fatal(err)
	}
	b.mustStart(ask("", capture.Options{}))
}
