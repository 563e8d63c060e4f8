package objects

import (
	"slices"
	"testing"

	"diagsh/internal/test/storage"
)

// What another appliance has begun of an object stays, whether it begins as ours or not. What this one
// began of another file ends.
func TestUploadsOfOthersStay(t *testing.T) {
	b := newBed(t, "s3", storage.Options{})
	f, content := randomFile(1, 3*piece)
	theirs := []string{b.peer.Begin(t, object, content[:piece]), b.peer.Begin(t, object, []byte("another file"))}
	slices.Sort(theirs)
	before, _ := randomFile(2, 3*piece)
	b.front.BreakAfter(piece + piece/2)
	b.fails(t, "a copy that broke off", before, false)
	b.front.BreakAfter(-1)
	if now := b.peer.Uploads(t, object); len(now) != 3 {
		t.Fatalf("begun are %q", now)
	}
	if _, _, err := b.send(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	b.check(t, f, object)
	if now := b.peer.Uploads(t, object); !slices.Equal(now, theirs) {
		t.Errorf("others had begun %q; there are %q", theirs, now)
	}
}
