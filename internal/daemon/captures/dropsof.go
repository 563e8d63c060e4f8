package captures

import (
	"os"
	"slices"

	"diagsh/capture"
	"diagsh/internal/daemon/captures/beside"
)

// dropsOf opens the packets that the kernel dropped during the capture that has a file, nil if nobody
// kept them. wanted reports whether one belongs to this file by its time: the first file of a capture
// has what was before its packets too, the others begin with their first packet.
func (t *Table) dropsOf(name string) (drops *os.File, wanted func(nanoseconds int64) bool) {
	t.mu.Lock()
	i := slices.IndexFunc(t.entries, func(r *entry) bool { return r.Spec.Drops && r.has(name) })
	if i < 0 {
		t.mu.Unlock()
		return nil, nil
	}
	file, status := beside.Name(t.entries[i].File, beside.Drops), t.entries[i].status()
	t.mu.Unlock()
	at := slices.IndexFunc(status.Files, func(f capture.FileInfo) bool { return f.Name == name })
	if at < 0 {
		return nil, nil
	}
	first := at == 0 && status.FilesRemoved == 0
	from, until := status.Files[at].First, int64(1<<63-1)
	if !first && from.IsZero() {
		return nil, nil // it has no packets
	}
	if next := status.Files[at+1:]; len(next) > 0 && !next[0].First.IsZero() {
		until = next[0].First.UnixNano()
	}
	drops, err := t.openWritten(file)
	if err != nil {
		return nil, nil // it was deleted, or nothing is in it yet
	}
	return drops, func(ns int64) bool { return (first || ns >= from.UnixNano()) && ns < until }
}
