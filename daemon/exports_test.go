package daemon

import (
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/menu"
)

// A file that waits for its copy is nobody's to delete but a user's; when its target is given up, it may go.
func TestFilesThatWaitForTheirCopyStay(t *testing.T) {
	b := newCaptureBed(t, Options{Dir: configured(t, prepare(t), "captures: {keepFor: 24h}")})
	target := capture.Target{Name: "away", URL: "https://127.0.0.1:1/x", Auto: true}
	if _, err := b.d.AddTarget(t.Context(), adminCaller, target, ""); err != nil {
		t.Fatal(err)
	}
	file := b.filled("old", 1<<20, false)
	until := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("waited in vain for %s: %+v", what, b.d.Exports())
			}
		}
	}
	later := time.Now().Add(48 * time.Hour)
	b.d.deleteOld(later) // also before the file is queued
	until("a try", func() bool { list := b.d.Exports(); return len(list) == 1 && list[0].Tries > 0 })
	b.d.deleteOld(later)
	if _, err := b.d.StatFile(file); err != nil || !b.d.AwaitsExport(file) {
		t.Fatalf("a file that waits for its copy is gone: %v", err)
	}
	if err := b.d.DeleteTarget(adminCaller, "away"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.d.ExportPackets(adminCaller, file, "away"); menu.AsError(err).Kind != menu.NotFound {
		t.Errorf("a copy to no target: %v", err)
	}
	until("the end of the copy", func() bool { return b.d.Exports()[0].State == capture.ExportFailed })
	b.d.deleteOld(later)
	_, err := b.d.StatFile(file)
	wantKind(t, err, menu.NotFound)
}
