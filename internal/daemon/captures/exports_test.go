package captures

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/pcapfile"
	"diagsh/internal/daemon/exports/sending"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
	"diagsh/internal/test/roomtest"
)

// A fakeTarget is a target that takes files while it is open.
type fakeTarget struct {
	*httptest.Server
	mu    sync.Mutex
	open  bool
	files map[string][]byte
	order []string
	paths []string // of the files, in their order
	puts  int      // that were refused too
	takes func()   // called when a file is there, before the answer; may be nil
}

func newFakeTarget(t *testing.T) *fakeTarget {
	s := &fakeTarget{files: make(map[string][]byte)}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *fakeTarget) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Method != http.MethodPut:
		w.WriteHeader(http.StatusNotFound)
		return
	case !s.open || err != nil:
		s.puts++
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	s.puts++
	s.files[path.Base(r.URL.Path)] = content
	s.order = append(s.order, path.Base(r.URL.Path))
	s.paths = append(s.paths, r.URL.Path)
	if s.takes != nil {
		s.takes()
	}
}

func (s *fakeTarget) opens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = true
}

func (s *fakeTarget) has() (order []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.order)
}

func (s *fakeTarget) content(name string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files[name]
}

// target makes it one of the appliance that gets everything.
func (s *fakeTarget) target(b *bed, name string) { s.add(b, name, true) }

func (s *fakeTarget) add(b *bed, name string, auto bool) {
	b.Helper()
	t := capture.Target{Name: name, URL: s.URL + "/", HostKey: sending.Fingerprint(s.Certificate().Raw), Auto: auto}
	if _, err := b.d.AddTarget(b.Context(), roomtest.Admin, t, ""); err != nil {
		b.Fatal(err)
	}
}

// sendNumbered puts frames of 1400 bytes on the wire that bear numbers.
func (b *bed) sendNumbered(from, to int) {
	b.Helper()
	frames := b.ns.Frames(b, "left")
	frame := make([]byte, 1400)
	copy(frame, "\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x88\xb5")
	for n := from; n < to; n++ {
		binary.BigEndian.PutUint64(frame[14:], uint64(n))
		if err := frames.Send(frame); err != nil {
			b.Fatal(err)
		}
	}
}

// numberedPackets reads a capture whose packets bear numbers, which must follow each other.
func numberedPackets(t *testing.T, content []byte, want int) (next int) {
	t.Helper()
	r, err := pcapfile.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	var p capture.Packet
	for r.Next(&p) == nil {
		if n := int(binary.BigEndian.Uint64(p.Data[14:])); n != want {
			t.Fatalf("where packet %d should be is %d", want, n)
		}
		want++
	}
	return want
}

// ringOfTwo asks for a ring of files of 1 MiB, of which two are kept.
var ringOfTwo = ask("ring", capture.Options{Mode: capture.Ring,
	Rotation: capture.Rotation{FileBytes: 1 << 20, KeepFiles: 2},
	Limits:   capture.Limits{SizeBytes: capture.Unlimited},
}, "filter")

// Each file of a ring is copied as it closes. While the target takes none, none is deleted. When it
// takes them again they are copied in their order, and what is more than the ring keeps is deleted,
// while the capture runs. After a restart nothing is copied again.
func TestFilesOfARingAreCopiedAsTheyClose(t *testing.T) {
	o := roomOptions{Dir: t.TempDir()}
	b := newBed(t, o)
	away := newFakeTarget(t)
	away.target(b, "away")
	b.mustStart(ringOfTwo)
	const packets = 6000 // 749 fit in a file
	b.sendNumbered(0, packets)
	status := func() capture.Status {
		s, err := b.d.Capture("ring")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	await.Until(t, "all is written and queued", func() bool {
		s := status()
		return s.PacketsWritten == packets && int(s.FilesAwaitingExport) == len(s.Files)-1
	})
	await.Until(t, "a try", func() bool { return b.d.Exports()[len(b.d.Exports())-1].Tries > 0 })
	if s := status(); len(s.Files) != 9 || s.FilesRemoved != 0 || s.State != capture.Running {
		t.Fatalf("while the target is away it is %+v", s)
	}
	// Those after the first wait without a try of their own: the target is away for all of them.
	for _, e := range b.d.Exports()[:7] {
		if e.Tries > 0 || e.NextTry.IsZero() {
			t.Errorf("it was tried although the target is away: %+v", e)
		}
	}
	away.opens()
	b.d.Hurry()
	await.Until(t, "what is more than is kept is gone", func() bool {
		s := status()
		return len(s.Files) == 2 && s.FilesAwaitingExport == 0
	})
	if s := status(); s.State != capture.Running || s.FilesRemoved != 7 || len(away.has()) != 8 {
		t.Errorf("%d files were copied; it is %+v", len(away.has()), s)
	}
	if _, err := b.d.StopCapture(roomtest.Admin, "ring"); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the last file is copied", func() bool { return len(away.has()) == 9 })
	order, next := away.has(), 0
	if !slices.IsSorted(order) {
		t.Errorf("copied in the order %q", order)
	}
	for _, name := range order {
		next = numberedPackets(t, away.content(name), next)
	}
	if next != packets {
		t.Errorf("the copies have %d packets", next)
	}
	await.Until(t, "the queue is done", func() bool {
		return !slices.ContainsFunc(b.d.Exports(), func(e capture.Export) bool { return e.State != capture.ExportDone })
	})
	b.again(o)
	b.mustStart(ask("next", capture.Options{}))
	if _, err := b.d.StopCapture(roomtest.Admin, "next"); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the next capture is copied", func() bool { return len(away.has()) == 10 })
	if len(b.d.Exports()) != 10 {
		t.Errorf("after a restart the queue is %+v", b.d.Exports())
	}
}

// A ring whose target is away ends when the quota is used up, with its reason, and has every
// packet: a user who wants copies agreed to lose old files only after that. When the target is
// back, the files beyond those that are kept are deleted although the capture has ended.
func TestARingThatIsNotCopiedEndsAtTheQuota(t *testing.T) {
	t.Parallel()
	b := newBed(t, roomOptions{Dir: roomtest.Configure(t, t.TempDir(), "captures: {quota: 24MB, deleteOldest: true}")})
	away := newFakeTarget(t)
	away.target(b, "away")
	b.mustStart(ringOfTwo)
	sent := 0
	var s capture.Status
	await.Until(t, "the capture ends", func() bool {
		b.sendNumbered(sent, sent+500)
		sent += 500
		s, _ = b.d.Capture("ring")
		return s.State != capture.Running
	})
	if s.StopReason != capture.DiskLow || s.Error == "" || s.FilesRemoved != 0 || len(s.Files) < 8 ||
		int(s.FilesAwaitingExport) != len(s.Files) {
		t.Fatalf("it ended as %+v", s)
	}
	kept := len(s.Files)
	away.opens()
	b.d.Hurry()
	await.Until(t, "what is more than is kept is gone", func() bool {
		s, _ = b.d.Capture("ring")
		return len(s.Files) == 2
	})
	next := 0
	for _, name := range away.has() {
		next = numberedPackets(t, away.content(name), next)
	}
	await.Until(t, "all is copied", func() bool { return len(away.has()) == kept })
	if int(s.FilesRemoved) != kept-2 || next == 0 {
		t.Errorf("%d packets were copied; it is %+v", next, s)
	}
}

// What waits when the appliance ends is copied after its next start, each file once. Then the ring
// has as many files as it keeps.
func TestWhatWaitsIsCopiedAfterARestart(t *testing.T) {
	o := roomOptions{Dir: t.TempDir()}
	b := newBed(t, o)
	away := newFakeTarget(t)
	away.target(b, "away")
	b.mustStart(ringOfTwo)
	const packets = 3000
	b.sendNumbered(0, packets)
	await.Until(t, "all is written", func() bool { s, _ := b.d.Capture("ring"); return s.PacketsWritten == packets })
	b.again(o)
	s, err := b.d.Capture("ring")
	if err != nil || s.StopReason != capture.Shutdown || len(s.Files) != 5 || s.FilesAwaitingExport != 5 ||
		len(b.d.Exports()) != 5 {
		t.Fatalf("after the restart it is %+v, %v; the queue is %+v", s, err, b.d.Exports())
	}
	away.opens()
	b.d.Hurry()
	await.Until(t, "all is copied, and the oldest is gone", func() bool {
		s, _ = b.d.Capture("ring")
		return len(s.Files) == 2 && s.FilesAwaitingExport == 0
	})
	next := 0
	for _, name := range away.has() {
		next = numberedPackets(t, away.content(name), next)
	}
	if next != packets || len(away.has()) != 5 || len(b.d.Exports()) != 5 {
		t.Errorf("%d packets in %q; the queue is %+v", next, away.has(), b.d.Exports())
	}
}

// Files that could not be queued when they closed are queued as soon as the queue can be written:
// by the appliance that runs, or by the next one if that one dies before.
func TestFilesThatCouldNotBeQueuedAreCopied(t *testing.T) {
	o := roomOptions{Dir: roomtest.Configure(t, t.TempDir(), "captures: {keepFor: 24h}")}
	b := newBed(t, o)
	there := newFakeTarget(t)
	there.opens()
	there.target(b, "there")
	b.mustStart(ask("mail", capture.Options{}))
	b.sendNumbered(0, 10)
	obstacle := filepath.Join(o.Dir, ".exports.json.new")
	if err := os.Mkdir(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := b.d.StopCapture(roomtest.Admin, "mail")
	if err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the table says that it ended", func() bool {
		table, err := os.ReadFile(filepath.Join(o.Dir, "captures.json"))
		return err == nil && bytes.Contains(table, []byte(capture.StoppedByUser))
	})
	b.d.Directory.Sweep(time.Now().Add(48 * time.Hour)) // which leaves the file

	left := dead(t, o.Dir)
	for _, dir := range []string{o.Dir, left} {
		if err := os.Remove(filepath.Join(dir, ".exports.json.new")); err != nil {
			t.Fatal(err)
		}
	}
	b.d.Table.Sweep(time.Now())
	await.Until(t, "the copy", func() bool { return len(there.has()) == 1 })
	b.ns.Do(t, func() { start(t, roomOptions{Dir: left}) })
	await.Until(t, "the copy by the next one", func() bool { return len(there.has()) == 2 })
	if n := numberedPackets(t, there.content(s.Files[0].Name), 0); n != 10 {
		t.Errorf("the copy has %d packets", n)
	}
}

// One target that is away keeps no file from another.
func TestATargetThatIsAwayHoldsUpNoOther(t *testing.T) {
	b := newBed(t, roomOptions{Dir: t.TempDir()})
	away, there := newFakeTarget(t), newFakeTarget(t)
	away.target(b, "away")
	there.opens()
	for _, name := range []string{"one", "two", "three"} {
		b.mustStart(ask(name, capture.Options{}))
		if name == "two" {
			there.target(b, "there")
		}
		if _, err := b.d.StopCapture(roomtest.Admin, name); err != nil {
			t.Fatal(err)
		}
	}
	await.Until(t, "the copies to the other", func() bool { return len(there.has()) == 2 })
	away.mu.Lock()
	defer away.mu.Unlock()
	if away.puts != 1 {
		t.Errorf("the one that is away was asked %d times", away.puts)
	}
}

// What is appended to a file that was copied is copied too.
func TestAnAppendedFileIsCopiedAgain(t *testing.T) {
	b := newBed(t, roomOptions{Dir: t.TempDir()})
	there := newFakeTarget(t)
	there.opens()
	there.target(b, "there")
	for round := 1; round <= 2; round++ {
		b.mustStart(ask("mail", capture.Options{Mode: capture.Append}))
		b.sendNumbered((round-1)*10, round*10)
		if _, err := b.d.StopCapture(roomtest.Admin, "mail"); err != nil {
			t.Fatal(err)
		}
		await.Until(t, "the copy", func() bool { return len(there.has()) == round })
	}
	if n := numberedPackets(t, there.content(there.has()[0]), 0); n != 20 {
		t.Errorf("the copy has %d packets", n)
	}
}

// A file that waits for its copy is deleted by users only. When its target is given up, it may go.
func TestFilesThatWaitForTheirCopyStay(t *testing.T) {
	b := newBed(t, roomOptions{Dir: roomtest.Configure(t, t.TempDir(), "captures: {keepFor: 24h}")})
	target := capture.Target{Name: "away", URL: "https://127.0.0.1:1/x", Auto: true}
	if _, err := b.d.AddTarget(t.Context(), roomtest.Admin, target, ""); err != nil {
		t.Fatal(err)
	}
	file := b.filled("old", 1<<20, false)
	later := time.Now().Add(48 * time.Hour)
	b.d.Directory.Sweep(later) // also before the file is queued
	await.Until(t, "a try", func() bool {
		list := b.d.Exports()
		return len(list) == 1 && list[0].Tries > 0
	})
	b.d.Directory.Sweep(later)
	if _, err := b.d.StatFile(file); err != nil || !b.d.Waiting(file) {
		t.Fatalf("a file that waits for its copy is gone: %v", err)
	}
	if err := b.d.DeleteTarget(roomtest.Admin, "away"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.d.ExportPackets(roomtest.Admin, file, "away", false); menu.AsError(err).Code != menu.NotFound {
		t.Errorf("a copy to no target: %v", err)
	}
	// It is over for retention when the disk knows it too.
	await.Until(t, "the end of the copy", func() bool {
		return b.d.Exports()[0].State == capture.ExportFailed && !b.d.Waiting(file)
	})
	b.d.Directory.Sweep(later)
	_, err := b.d.StatFile(file)
	roomtest.WantCode(t, err, menu.NotFound)
}

// A capture that names a target has its files copied there, and only its own, at the place that it
// says. Its status tells why they are not there yet, and that they never will be.
func TestACaptureHasATargetOfItsOwn(t *testing.T) {
	b := newBed(t, roomOptions{Dir: t.TempDir()})
	there := newFakeTarget(t)
	there.add(b, "there", false)
	missing := ask("web", capture.Options{})
	missing.Delivery = capture.Delivery{Target: "their"}
	if _, err := b.start(roomtest.Admin, missing); menu.AsError(err).Argument != "target" || menu.AsError(err).Code != menu.NotFound {
		t.Errorf("a target that is not there: %v", err)
	}
	ring := ringOfTwo
	ring.Delivery = capture.Delivery{Target: "there", TargetPath: "2026/first.cap"}
	b.mustStart(ring)
	b.mustStart(ask("other", capture.Options{}))
	const packets = 3000
	b.sendNumbered(0, packets)
	await.Until(t, "all is written", func() bool { s, _ := b.d.Capture("ring"); return s.PacketsWritten == packets })
	for _, name := range []string{"ring", "other"} {
		if _, err := b.d.StopCapture(roomtest.Admin, name); err != nil {
			t.Fatal(err)
		}
	}
	var s capture.Status
	await.Until(t, "a try", func() bool { s, _ = b.d.Capture("ring"); return s.ExportError != "" })
	if s.FilesAwaitingExport != 5 || s.FilesFailedExport != 0 || s.Delivery != ring.Delivery {
		t.Errorf("while the target takes nothing it is %+v", s)
	}
	there.opens()
	b.d.Hurry()
	await.Until(t, "the ring is copied", func() bool { return len(there.has()) == 5 })
	there.mu.Lock()
	paths := slices.Sorted(slices.Values(there.paths))
	there.mu.Unlock()
	want := []string{"/2026/first-0002.cap", "/2026/first-0003.cap", "/2026/first-0004.cap", "/2026/first-0005.cap", "/2026/first.cap"}
	if !slices.Equal(paths, want) {
		t.Errorf("the files are at %q", paths)
	}
	await.Until(t, "the ring has as many files as it keeps", func() bool {
		s, _ = b.d.Capture("ring")
		return len(s.Files) == 2 && s.FilesAwaitingExport == 0
	})
	if s.ExportError != "" || s.FilesFailedExport != 0 {
		t.Errorf("when all is copied it is %+v", s)
	}
	if other, _ := b.d.Capture("other"); other.FilesAwaitingExport != 0 || len(other.Files) != 1 {
		t.Errorf("a capture without a target is %+v", other)
	}
}

// A copy that failed for good is told by the status of its capture.
func TestACaptureTellsOfCopiesThatFailed(t *testing.T) {
	b := newBed(t, roomOptions{Dir: t.TempDir()})
	newFakeTarget(t).target(b, "away")
	b.mustStart(ask("web", capture.Options{}))
	if _, err := b.d.StopCapture(roomtest.Admin, "web"); err != nil {
		t.Fatal(err)
	}
	if err := b.d.DeleteTarget(roomtest.Admin, "away"); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the end of the copy", func() bool {
		s, _ := b.d.Capture("web")
		return s.FilesFailedExport == 1 && s.FilesAwaitingExport == 0 && s.ExportError == "There is no target away any more"
	})
}
