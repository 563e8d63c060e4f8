package notes

import (
	"path/filepath"
	"slices"
	"testing"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/roomtest"
)

// A file has so many notes and no more, in the order of its packets, and who listens is told of it.
func TestBook(t *testing.T) {
	t.Parallel()
	var told []string
	path := filepath.Join(t.TempDir(), "notes.json")
	b, err := Open(path, func(names ...string) { told = append(told, names...) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	// The bound is met without a thousand writes.
	full := make([]access.Note, maxOfFile)
	for n := range full {
		full[n] = access.Note{File: "a.pcap", InFile: int64(n+1) * 2}
	}
	b.now.Files = map[string][]access.Note{"a.pcap": full}
	roomtest.WantCode(t, b.Set(access.Note{File: "a.pcap", InFile: 3}), menu.State)
	if err := b.Set(access.Note{File: "a.pcap", InFile: 4, Text: "again"}); err != nil { // in the place of another
		t.Error(err)
	}
	if err := b.Set(access.Note{File: "b.pcap", InFile: 9}); err != nil {
		t.Error(err)
	}
	if err := b.Set(access.Note{File: "b.pcap", InFile: 1}); err != nil {
		t.Error(err)
	}
	if want := []string{"a.pcap", "b.pcap", "b.pcap"}; !slices.Equal(told, want) {
		t.Errorf("told of %q", told)
	}
	if b, err = Open(path, nil, nil); err != nil || b.Count() != maxOfFile+2 || b.Of("a.pcap")[1].Text != "again" {
		t.Fatalf("the file has %d notes, %v", b.Count(), err)
	}
	if list := b.Of("b.pcap", "none"); len(list) != 2 || list[0].InFile != 1 {
		t.Errorf("the order is %v", list)
	}
	for file := 'c'; b.count() < maxNotes; file++ {
		b.now.Files[string(file)] = full
		if extra := b.count() - maxNotes; extra > 0 {
			b.now.Files[string(file)] = full[extra:]
		}
	}
	roomtest.WantCode(t, b.Set(access.Note{File: "b.pcap", InFile: 5}), menu.State)
}
