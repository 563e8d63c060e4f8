package captures

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/pcapfile"
	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
	"diagsh/internal/test/roomtest"
)

var testPacket = ether(0x0800, ipv4Packet(6, 0, 0, tcpSegment(0, payload)))

func TestCaptureLife(t *testing.T) {
	b := newBed(t, roomOptions{Dir: t.TempDir(), Hostname: "mx1", ManagementPorts: []uint16{2222}})
	none := ""
	began := time.Now().UTC().Truncate(time.Second)
	s := b.mustStart(ask("smtp", capture.Options{Filter: none}, "filter"))
	if s.State != capture.Running || s.Owner != "admin" || s.Limits.SizeBytes != 200<<20 ||
		!strings.Contains(s.EffectiveFilter, "port 2222") {
		t.Errorf("it began as %+v", s)
	}
	// It has its name before it takes packets.
	file := s.Files[0].Name
	named, err := time.Parse("mx1-smtp-20060102-150405.pcap", file)
	if err != nil || named.Before(began) || named.After(s.StartTime) {
		t.Errorf("the file is %s (%v); it was asked for at %v and began at %v", file, err, began, s.StartTime)
	}
	if files, err := b.d.ListFiles(); err != nil || len(files) != 0 {
		t.Errorf("while it runs the files are %v, %v", files, err)
	}
	_, err = b.d.OpenFile(file)
	roomtest.WantCode(t, err, menu.NotFound)
	roomtest.WantCode(t, b.d.RemoveFile(roomtest.Admin, file), menu.State)
	roomtest.WantCode(t, b.d.DeleteCapture(roomtest.Admin, "smtp"), menu.State)
	_, err = b.start(roomtest.Admin, ask("smtp", capture.Options{}))
	roomtest.WantCode(t, err, menu.State)

	second := b.mustStart(ask("", capture.Options{}))
	if second.Name != "capture-1" {
		t.Errorf("a capture without a name is %s", second.Name)
	}
	send(t, b.ns, testPacket, 500)
	if _, err := b.d.StopCapture(roomtest.Admin, "smtp"); err != nil {
		t.Fatal(err)
	}
	s, err = b.d.Capture("smtp")
	if err != nil || s.State != capture.Stopped || s.StopReason != capture.StoppedByUser ||
		s.PacketsWritten != 500 || *s.PacketsDropped != 0 {
		t.Errorf("it ended as %+v, %v", s, err)
	}
	if n, _ := roomtest.PacketsOf(t, b.d, file); n != 500 {
		t.Errorf("the file has %d packets", n)
	}
	_, err = b.d.StopCapture(roomtest.Admin, "smtp")
	roomtest.WantCode(t, err, menu.State)
	_, err = b.d.StopCapture(roomtest.Admin, "smpt")
	roomtest.WantCode(t, err, menu.NotFound)
	if list := b.d.Captures(); len(list) != 2 || list[0].Name != "capture-1" || list[1].Name != "smtp" {
		t.Errorf("the captures are %+v", list)
	}
	if f, err := b.d.StatFile(file); err != nil || !f.Payload {
		t.Errorf("the file is %+v, %v", f, err)
	}
	roomtest.WantCode(t, b.d.DeleteCapture(roomtest.Admin, "smtp"), 0)
	_, err = b.d.StatFile(file)
	roomtest.WantCode(t, err, menu.NotFound)
	_, err = b.d.Capture("smtp")
	roomtest.WantCode(t, err, menu.NotFound)
}

// What is reset has no capture left, whatever it was doing.
func TestAllCapturesAreDeleted(t *testing.T) {
	b := newBed(t, roomOptions{Dir: t.TempDir()})
	b.filled("ended", 1<<20, true)
	b.mustStart(ask("running", capture.Options{}))
	b.mustStart(planned("later", time.Now().Add(time.Hour), "right"))
	roomtest.WantCode(t, b.d.DeleteCaptures(roomtest.Admin), 0)
	files, err := b.d.ListFiles()
	if list := b.d.Captures(); len(list) > 0 || len(files) > 0 || err != nil {
		t.Errorf("left are %+v, and the files %v, %v", list, files, err)
	}
}

func TestCaptureEndsByItself(t *testing.T) {
	b := newBed(t, roomOptions{Dir: t.TempDir()})
	b.mustStart(ask("few", capture.Options{Limits: capture.Limits{Packets: 10}}))
	send(t, b.ns, testPacket, 25)
	await.Until(t, "the capture ends", func() bool { s, _ := b.d.Capture("few"); return s.State == capture.Stopped })
	s, _ := b.d.Capture("few")
	if s.StopReason != capture.PacketCountReached || s.PacketsWritten != 10 {
		t.Errorf("it ended as %+v", s)
	}
	var ends []access.Event
	await.Until(t, "the end is in the audit log", func() bool {
		ends = roomtest.Events(t, b.d, access.EventFilter{Act: access.ActSystem, Path: "few"})
		return len(ends) > 0
	})
	if ends[0].Arguments["stopReason"] != "PacketCountReached" || !strings.Contains(ends[0].Message, "few of admin") {
		t.Errorf("the audit log has %+v", ends)
	}
}

func TestCaptureOfHeaders(t *testing.T) {
	dir := t.TempDir()
	b := newBed(t, roomOptions{Dir: dir})
	s, err := b.start(roomtest.Support, ask("headers", capture.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	whole := b.mustStart(ask("whole", capture.Options{}))
	send(t, b.ns, testPacket, 20)
	for _, name := range []string{"headers", "whole"} {
		if _, err := b.d.StopCapture(roomtest.Admin, name); err != nil {
			t.Fatal(err)
		}
	}
	if n, largest := roomtest.PacketsOf(t, b.d, s.Files[0].Name); n != 20 || largest != 54 {
		t.Errorf("of the headers there are %d packets of up to %d bytes; want 20 of 54", n, largest)
	}
	if n, largest := roomtest.PacketsOf(t, b.d, whole.Files[0].Name); n != 20 || largest != len(testPacket) {
		t.Errorf("of the whole there are %d packets of up to %d bytes", n, largest)
	}
	wantPayload := func(d *rooms) {
		t.Helper()
		for name, want := range map[string]bool{s.Files[0].Name: false, whole.Files[0].Name: true} {
			if f, err := d.StatFile(name); err != nil || f.Payload != want {
				t.Errorf("%s is %+v, %v; want payload %v", name, f, err, want)
			}
		}
	}
	wantPayload(b.d)
	if err := b.d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantPayload(start(t, roomOptions{Dir: dir}))
}

func TestCaptureRequests(t *testing.T) {
	b := newBed(t, roomOptions{Dir: roomtest.Configure(t, t.TempDir(), "captures: {running: 2}")})
	bad, negative := "hosst x", -1
	for _, c := range []struct {
		request  capture.Request
		kind     menu.Code
		argument string
		hint     string
	}{
		{ask("", capture.Options{Interfaces: []string{"rigth"}}), menu.NotFound, "interfaces", "right"},
		{ask("", capture.Options{Interfaces: []string{"right", "ALL"}}), menu.Usage, "interfaces", ""},
		{ask("", capture.Options{Filter: bad}, "filter"), menu.Usage, "filter", ""},
		{ask("", capture.Options{SnapLength: negative}, "snapLength"), menu.Usage, "snaplength", ""},
		{ask("", capture.Options{Format: "zip"}), menu.Usage, "format", ""},
		{ask("", capture.Options{Limits: capture.Limits{SizeBytes: -7}}), menu.Usage, "sizebytes", ""},
		{ask("", capture.Options{Limits: capture.Limits{DurationSeconds: -7}}), menu.Usage, "durationseconds", ""},
		{ask("../x", capture.Options{}), menu.Usage, "name", ""},
		{ask("all", capture.Options{}), menu.Usage, "name", ""},
		{ask(strings.Repeat("x", 81), capture.Options{}), menu.Usage, "name", ""},
	} {
		_, err := b.start(roomtest.Admin, c.request)
		roomtest.WantCode(t, err, c.kind)
		if e := menu.AsError(err); e == nil || e.Argument != c.argument || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%+v: %+v", c.request, e)
		}
	}
	if list := b.d.Captures(); len(list) != 0 {
		t.Errorf("what could not start is in the table: %+v", list)
	}
	none := capture.Limits{SizeBytes: capture.Unlimited, DurationSeconds: capture.Unlimited}
	unlimited := b.mustStart(ask("", capture.Options{Limits: none}))
	if unlimited.Limits.SizeBytes != capture.Unlimited || unlimited.Limits.DurationSeconds != 0 {
		t.Errorf("unlimited is %+v", unlimited.Limits)
	}
	all := b.mustStart(ask("", capture.Options{Interfaces: []string{"all"}}))
	if all.Format != capture.PCAPNG || len(all.Interfaces) != 3 {
		t.Errorf("a capture of all is %+v", all)
	}
	_, err := b.start(roomtest.Admin, ask("", capture.Options{}))
	roomtest.WantCode(t, err, menu.State)
}

func TestCaptureSettings(t *testing.T) {
	dir := t.TempDir()
	b := newBed(t, roomOptions{Dir: dir, ManagementPorts: []uint16{2222}})
	s := b.d.CaptureSettings()
	if !slices.Equal(s.Interfaces, []string{"ALL"}) || s.Limits.SizeBytes != 200<<20 || s.Management {
		t.Errorf("the first settings are %+v", s)
	}
	set := func(s capture.Settings) (err error) {
		b.ns.Do(t, func() { err = b.d.SetCaptureSettings(roomtest.Admin, capture.Partial{Options: s.Options}) })
		return err
	}
	wrong := s
	wrong.Interfaces = []string{"nowhere"}
	roomtest.WantCode(t, set(wrong), menu.NotFound)
	wrong = s
	wrong.Filter = "tcp and"
	roomtest.WantCode(t, set(wrong), menu.Usage)
	// A condition is compared with the lock held that every change takes, and reads the settings.
	changed := errors.New("they were changed")
	onCondition := roomtest.Admin
	onCondition.Condition = func() error {
		if b.d.changing.TryLock() {
			b.d.changing.Unlock()
			t.Error("they could be changed between the comparison and the change")
		}
		b.d.CaptureSettings()
		return changed
	}
	if err := b.d.SetCaptureSettings(onCondition, capture.Partial{Options: capture.Options{SnapLength: 96}}); !errors.Is(err, changed) || b.d.CaptureSettings().SnapLength == 96 {
		t.Errorf("settings that were changed meanwhile: %v", err)
	}
	s.Interfaces, s.Filter, s.Management, s.Limits.DurationSeconds = []string{"right"}, "tcp port 25", true, 60
	roomtest.WantCode(t, set(s), 0)

	began := b.mustStart(capture.Request{})
	if began.EffectiveFilter != "tcp port 25" || !slices.Equal(began.Interfaces, s.Interfaces) ||
		began.Limits.DurationSeconds != 60 {
		t.Errorf("with the settings it began as %+v", began)
	}
	began = b.mustStart(capture.Request{Partial: capture.Partial{Given: []string{"filter", "management"}}})
	if began.Filter != "" || !strings.HasPrefix(began.EffectiveFilter, "not (") {
		t.Errorf("against the settings it began as %+v", began)
	}
	if err := b.d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := start(t, roomOptions{Dir: dir})
	if got := again.CaptureSettings(); got.Filter != "tcp port 25" || !got.Management {
		t.Errorf("after a restart the settings are %+v", got)
	}
	for _, c := range again.Captures() {
		if c.State != capture.Stopped || c.StopReason != capture.Shutdown {
			t.Errorf("a capture that was running at the end is %+v", c)
		}
	}
}

func TestCaptureInterfaces(t *testing.T) {
	b := newBed(t, roomOptions{Dir: t.TempDir()})
	b.ns.Do(t, func() {
		var names []string
		for _, i := range b.d.CaptureInterfaces() {
			names = append(names, fmt.Sprint(i.Name, i.Up, i.LinkType))
		}
		slices.Sort(names)
		if want := []string{"lefttrueEthernet", "lotrueloopback", "righttrueEthernet"}; !slices.Equal(names, want) {
			t.Errorf("the interfaces are %q", names)
		}
	})
}

// writePart leaves a file with one packet as a capture that was killed leaves it.
func writePart(t *testing.T, root *os.Root, name string) {
	t.Helper()
	f, err := pcapfile.Create(root, capture.PartName(name), capture.FileHeader{
		Format: capture.PCAP, Interfaces: []capture.Interface{{LinkType: capture.Ethernet}},
		SnapLength: capture.MaxSnapLength, MaxBytes: capture.Unlimited,
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Write([]capture.Packet{{Time: 1, Data: testPacket, Length: uint32(len(testPacket))}})
	if _, err := f.Close(nil); err != nil {
		t.Fatal(err)
	}
}

func TestStrayFilesAreFinished(t *testing.T) {
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
	writePart(t, root, "stray.pcap")
	os.WriteFile(filepath.Join(diagnostic, capture.PartName("empty.pcap")), []byte{1, 2}, 0o600)
	running := func(name string) capture.Status {
		return capture.Status{Name: name, State: capture.Running, StartTime: time.Now()}
	}
	table, _ := json.Marshal(capturesFile{[]*entry{
		{File: "empty.pcap", Payload: true, Status: running("empty")},
		{File: "never.pcap", Payload: true, Status: running("never")},
	}})
	os.WriteFile(filepath.Join(dir, "captures.json"), table, 0o600)

	d := start(t, roomOptions{Dir: dir})
	if n, _ := roomtest.PacketsOf(t, d, "stray.pcap"); n != 1 {
		t.Errorf("the stray file has %d packets", n)
	}
	for name, reason := range map[string]capture.StopReason{"empty": capture.Interrupted, "never": capture.StartFailed} {
		if s, err := d.Capture(name); err != nil || s.StopReason != reason || len(s.Files) != 0 {
			t.Errorf("%s is %+v, %v", name, s, err)
		}
	}
	if files, err := d.ListFiles(); err != nil || len(files) != 1 || !files[0].Payload {
		t.Errorf("the files are %+v, %v", files, err)
	}
	roomtest.WantCode(t, d.DeleteCapture(roomtest.Admin, "never"), 0)
}
