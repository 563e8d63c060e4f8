package captures

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path"
	"slices"
	"strings"
	"testing"

	"diagsh/capture"
	"diagsh/internal/daemon/captures/deliveries"
	"diagsh/internal/test/await"
	"diagsh/internal/test/roomtest"
)

// After the files of a capture that has ended comes the list of them, with their sums and places;
// also for a user who asks for its copies. While one waits for its copy the list waits too.
func TestAListFollowsTheFilesOfACapture(t *testing.T) {
	b := newBed(t, roomOptions{Dir: t.TempDir(), Hostname: "mx1"})
	there := newFakeTarget(t)
	there.add(b, "there", false)
	if _, err := b.d.ChangeTarget(t.Context(), roomtest.Admin, "there", capture.TargetChange{Manifest: new(true)}); err != nil {
		t.Fatal(err)
	}
	ring := ringOfTwo
	ring.Filter, ring.CaseNumber, ring.Format = "ether proto 0x88b5", "4711", capture.PCAPNG
	ring.Delivery = capture.Delivery{Target: "there", TargetPath: "2026/first.cap"}
	b.mustStart(ring)
	const packets = 2000
	b.sendNumbered(0, packets)
	await.Until(t, "all is written", func() bool { s, _ := b.d.Capture("ring"); return s.PacketsWritten == packets })
	ended, err := b.d.StopCapture(roomtest.Admin, "ring")
	if err != nil {
		t.Fatal(err)
	}
	there.opens()
	b.d.Hurry()
	await.Until(t, "the list", func() bool { return slices.Contains(there.has(), "first.manifest.json") })
	order := there.has()
	if last := order[len(order)-1]; last != "first.manifest.json" || len(order) != 4 {
		t.Errorf("copied in the order %q", order)
	}
	var list deliveries.Manifest
	if err := json.Unmarshal(there.content("first.manifest.json"), &list); err != nil {
		t.Fatal(err)
	}
	if list.Host != "mx1" || list.Capture != "ring" || list.CaseNumber != "4711" || list.Operator != "admin" || list.Filter != ring.Filter ||
		list.PacketsWritten != packets || !list.EndTime.Equal(ended.EndTime) || list.StopReason != "StoppedByUser" || len(list.Files) != 3 {
		t.Errorf("the list is %+v", list)
	}
	sum := int64(0)
	for _, f := range list.Files {
		content := there.content(path.Base(f.Path))
		if digest := sha256.Sum256(content); f.SHA256 != hex.EncodeToString(digest[:]) || f.Bytes != int64(len(content)) || !f.Copied || !strings.HasPrefix(f.Path, "2026/first") {
			t.Errorf("%+v", f)
		}
		sum += *f.Packets
	}
	if sum != packets {
		t.Errorf("the files have %d packets", sum)
	}
	// A user who asks for them again gets another list.
	await.Until(t, "the queue is done", func() bool {
		return !slices.ContainsFunc(b.d.Exports(), func(e capture.Export) bool { return e.State != capture.ExportDone })
	})
	if _, err := b.d.ExportPackets(roomtest.Admin, "ring", "there", false); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the next list", func() bool { return slices.Contains(there.has(), "first.manifest-0002.json") })
}

// A capture that goes on after a restart has its list at its end, and not before.
func TestAPersistentCaptureIsListedAtItsEnd(t *testing.T) {
	o := roomOptions{Dir: t.TempDir()}
	b := newBed(t, o)
	there := newFakeTarget(t)
	there.opens()
	there.add(b, "there", true)
	if _, err := b.d.ChangeTarget(t.Context(), roomtest.Admin, "there", capture.TargetChange{Manifest: new(true)}); err != nil {
		t.Fatal(err)
	}
	b.mustStart(ask("long", capture.Options{Persistent: true, Interfaces: []string{"lo"}, Filter: "udp port 9"}))
	b.again(o)
	await.Until(t, "it goes on", func() bool { s, _ := b.d.Capture("long"); return s.State == capture.Running })
	if _, err := b.d.StopCapture(roomtest.Admin, "long"); err != nil {
		t.Fatal(err)
	}
	lists := func() (names []string) {
		for _, name := range there.has() {
			if strings.Contains(name, ".manifest") {
				names = append(names, name)
			}
		}
		return names
	}
	await.Until(t, "the list", func() bool { return len(lists()) > 0 })
	var list deliveries.Manifest
	if err := json.Unmarshal(there.content(lists()[0]), &list); err != nil || len(list.Files) == 0 || len(lists()) != 1 || list.StopReason != "StoppedByUser" {
		t.Errorf("%q: %+v, %v", lists(), list, err)
	}
}

// A list that was made when copies were cancelled is followed by another when they are begun anew, which
// tells the last state.
func TestAListTellsOfCopiesThatWereBegunAnew(t *testing.T) {
	b := newBed(t, roomOptions{Dir: t.TempDir()})
	there := newFakeTarget(t)
	there.add(b, "there", true)
	if _, err := b.d.ChangeTarget(t.Context(), roomtest.Admin, "there", capture.TargetChange{Manifest: new(true)}); err != nil {
		t.Fatal(err)
	}
	b.mustStart(ask("short", capture.Options{Interfaces: []string{"lo"}, Filter: "udp port 9"}))
	ended, err := b.d.StopCapture(roomtest.Admin, "short")
	if err != nil {
		t.Fatal(err)
	}
	file := ended.Files[0].Name
	await.Until(t, "the file is queued", func() bool { return b.d.Waiting(file) })
	if _, err := b.d.CancelCopies(roomtest.Admin, capture.Copies{Target: "there", File: file}); err != nil {
		t.Fatal(err)
	}
	there.opens()
	b.d.Hurry()
	copied := func(number int) (found bool, list deliveries.Manifest) {
		content := there.content(deliveries.ManifestName(file, number))
		if content == nil {
			return false, list
		}
		if err := json.Unmarshal(content, &list); err != nil || len(list.Files) == 0 || list.Files[0].Name != file {
			t.Fatalf("the list is %s: %v", content, err)
		}
		return true, list
	}
	await.Until(t, "the list", func() bool { found, _ := copied(1); return found })
	if _, list := copied(1); list.Files[0].Copied {
		t.Errorf("a copy that was cancelled is told as %+v", list.Files[0])
	}
	await.Until(t, "the queue is done", func() bool {
		return !slices.ContainsFunc(b.d.Exports(), func(e capture.Export) bool {
			return e.State == capture.ExportWaiting || e.State == capture.ExportSending
		})
	})
	if _, err := b.d.RetryCopies(roomtest.Admin, capture.Copies{Target: "there", File: file}); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the next list", func() bool { found, _ := copied(2); return found })
	if _, list := copied(2); !list.Files[0].Copied || list.Files[0].Error != "" {
		t.Errorf("a copy that was begun anew is told as %+v", list.Files[0])
	}
}

// The copies of a capture that is deleted end at once, while their target is away.
func TestCopiesOfACaptureThatIsDeletedEnd(t *testing.T) {
	b := newBed(t, roomOptions{Dir: t.TempDir()})
	there := newFakeTarget(t)
	there.add(b, "there", true)
	b.mustStart(ask("short", capture.Options{Interfaces: []string{"lo"}, Filter: "udp port 9"}))
	if _, err := b.d.StopCapture(roomtest.Admin, "short"); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "a try", func() bool {
		return slices.ContainsFunc(b.d.Exports(), func(e capture.Export) bool { return e.Tries > 0 && e.State == capture.ExportWaiting })
	})
	if err := b.d.DeleteCapture(roomtest.Admin, "short"); err != nil {
		t.Fatal(err)
	}
	for _, e := range b.d.Exports() {
		if e.State != capture.ExportFailed || e.Held || !strings.Contains(e.Error, "There is no file") {
			t.Errorf("it is %+v", e)
		}
	}
}
