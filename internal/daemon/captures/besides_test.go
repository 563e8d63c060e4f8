package captures

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/daemon/captures/beside"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
	"diagsh/internal/test/roomtest"
)

// A scribe is a Recorder that writes a line when a capture begins, and one when it ends.
type scribe struct{ out *beside.File }

func (*scribe) Kind() beside.Kind           { return beside.Flows }
func (*scribe) Wanted(capture.Options) bool { return true }

func (s *scribe) Begin(c beside.Capture, out *beside.File) (func(), error) {
	s.out = out
	fmt.Fprintf(out, "begin %s\n", c.Name)
	return func() { fmt.Fprintln(out, "end") }, nil
}

func scribed(t *testing.T, dir string) (*bed, *scribe) {
	b := newBed(t, roomOptions{Dir: dir})
	s := &scribe{}
	b.d.recorders = []beside.Recorder{s}
	return b, s
}

// A file beside a capture begins and ends with it, has its name when the capture has its end, and
// goes with it. While it grows it is not offered, and does not go.
func TestFilesBesideACapture(t *testing.T) {
	b, s := scribed(t, t.TempDir())
	began := b.mustStart(ask("one", capture.Options{Protect: true}))
	if len(began.FilesBeside) != 1 || began.FilesBeside[0].Kind != "flows" {
		t.Fatalf("beside it are %+v", began.FilesBeside)
	}
	name := began.FilesBeside[0].Name
	if want := strings.TrimSuffix(began.Files[0].Name, ".pcap") + ".flows"; name != want {
		t.Errorf("its name is %s; want %s", name, want)
	}
	_, err := b.d.OpenFile(name)
	roomtest.WantCode(t, err, menu.NotFound)
	roomtest.WantCode(t, b.d.RemoveFile(roomtest.Admin, name), menu.State)
	fmt.Fprintln(s.out, "between")

	ended, err := b.d.StopCapture(roomtest.Admin, "one")
	if err != nil {
		t.Fatal(err)
	}
	const text = "begin one\nbetween\nend\n"
	if got := ended.FilesBeside; len(got) != 1 || got[0].Name != name || got[0].Bytes != int64(len(text)) || got[0].Stopped != "" {
		t.Errorf("at its end beside it are %+v", got)
	}
	if got, err := os.ReadFile(filepath.Join(b.d.Path(), name)); string(got) != text {
		t.Errorf("the file says %q, %v", got, err)
	}
	if f, err := b.d.StatFile(name); err != nil || f.Payload {
		t.Errorf("the file is %+v, %v; it has no contents of packets", f, err)
	}
	expendable := func() (names []string) {
		for _, e := range (captureFiles{b.d.Table}).Expendable() {
			names = append(names, e.Name)
		}
		return names
	}
	if got := expendable(); len(got) > 0 {
		t.Errorf("of a protected capture may go %q", got)
	}
	if err := b.d.DeleteCapture(roomtest.Admin, "one"); err != nil {
		t.Fatal(err)
	}
	if b.d.Exists(name) {
		t.Error("it is there after its capture was deleted")
	}

	two := b.mustStart(ask("two", capture.Options{}))
	if _, err := b.d.StopCapture(roomtest.Admin, "two"); err != nil {
		t.Fatal(err)
	}
	if got := expendable(); !slices.Equal(got, two.FileNames()) {
		t.Errorf("there may go %q; want %q", got, two.FileNames())
	}
	if err := b.d.RemoveFile(roomtest.Admin, two.FilesBeside[0].Name); err != nil {
		t.Fatal(err)
	}
	if s, _ := b.d.Capture("two"); len(s.FilesBeside) > 0 || len(s.Files) != 1 {
		t.Errorf("after its file beside was deleted the capture has %q", s.FileNames())
	}
}

// Files beside a capture are copied to a target that wants all, and by an export of the capture,
// and do not go before.
func TestFilesBesideAreCopied(t *testing.T) {
	target := newFakeTarget(t)
	b, _ := scribed(t, t.TempDir())
	target.target(b, "keep")
	began := b.mustStart(ask("one", capture.Options{}))
	ended, err := b.d.StopCapture(roomtest.Admin, "one")
	if err != nil {
		t.Fatal(err)
	}
	await.Until(t, "both files wait for their copies", func() bool {
		s, err := b.d.Capture("one")
		return err == nil && s.FilesAwaitingExport == 2
	})
	if got := (captureFiles{b.d.Table}).Expendable(); len(got) > 0 {
		t.Errorf("before they are copied there may go %+v", got)
	}
	target.opens()
	b.d.Hurry()
	await.Until(t, "both files are there", func() bool { return len(target.has()) == 2 })
	if !slices.Equal(target.has(), began.FileNames()) || string(target.content(ended.FilesBeside[0].Name)) != "begin one\nend\n" {
		t.Errorf("copied are %q", target.has())
	}
	copies, err := b.d.ExportPackets(roomtest.Admin, "one", "keep", false)
	if err != nil || len(copies) != 2 {
		t.Errorf("again are copied %+v, %v", copies, err)
	}
}

// What kill -9 leaves of a file beside a capture is whole up to its last line, and the capture has
// it.
func TestFilesBesideAfterADeath(t *testing.T) {
	dir := t.TempDir()
	b, s := scribed(t, dir)
	began := b.mustStart(ask("one", capture.Options{}))
	fmt.Fprintln(s.out, "last whole line")
	fmt.Fprint(s.out, "torn")
	name := began.FilesBeside[0].Name
	left := dead(t, dir)
	os.WriteFile(filepath.Join(left, "diagnostic", ".stray.flows.part"), []byte("a line\nhalf"), 0o600)
	var after *rooms
	b.ns.Do(b, func() { after = start(t, roomOptions{Dir: left}) })
	status, err := after.Capture("one")
	if err != nil {
		t.Fatal(err)
	}
	if len(status.FilesBeside) != 1 || status.FilesBeside[0].Name != name {
		t.Errorf("beside it are %+v", status.FilesBeside)
	}
	for file, want := range map[string]string{name: "begin one\nlast whole line\n", "stray.flows": "a line\n"} {
		if got, err := os.ReadFile(filepath.Join(after.Path(), file)); string(got) != want {
			t.Errorf("%s says %q, %v; want %q", file, got, err, want)
		}
	}
}

// A capture that is appended to goes on in the file beside it.
func TestFilesBesideAreContinued(t *testing.T) {
	b, _ := scribed(t, t.TempDir())
	var last capture.Status
	for _, mode := range []capture.Mode{capture.Single, capture.Append} {
		b.mustStart(ask("one", capture.Options{Mode: mode}))
		var err error
		if last, err = b.d.StopCapture(roomtest.Admin, "one"); err != nil {
			t.Fatal(err)
		}
	}
	const once = "begin one\nend\n"
	if got, err := os.ReadFile(filepath.Join(b.d.Path(), last.FilesBeside[0].Name)); string(got) != once+once {
		t.Errorf("the file says %q, %v", got, err)
	}
}

// The oldest packet counts from when the ring has deleted others.
func TestOldestPacketOfARing(t *testing.T) {
	first := time.Unix(1_750_000_000, 0)
	room, r := &Table{}, &entry{Status: capture.Status{Files: []capture.FileInfo{{Name: "a", First: first}}}}
	if got := room.oldestPacket(r); !got.IsZero() {
		t.Errorf("of all packets the oldest is of %v", got)
	}
	r.Status.FilesRemoved = 1
	if got := room.oldestPacket(r); !got.Equal(first) {
		t.Errorf("of the packets left the oldest is of %v", got)
	}
	r.Status.Files = nil
	if got := room.oldestPacket(r); !got.IsZero() {
		t.Errorf("of no packets the oldest is of %v", got)
	}
}
