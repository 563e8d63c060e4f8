package objects

import (
	"bytes"
	"testing"

	"diagsh/internal/daemon/exports/sending"
)

// sparse is a file of zeros, but for the number of each MiB at its beginning.
type sparse struct{}

func (sparse) ReadAt(p []byte, at int64) (int, error) {
	const mark = 1 << 20
	clear(p)
	for begin := at / mark * mark; begin < at+int64(len(p)); begin += mark {
		if i := begin - at; i >= 0 {
			p[i] = byte(begin>>20) | 1
		}
	}
	return len(p), nil
}

// A large file breaks off in its middle, and goes on there. Azurite alone takes a minute for 2 GiB.
func TestLargeFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	both(t, func(t *testing.T, b *bed) {
		f := sending.File{Name: name, Content: sparse{}, Bytes: 2 << 30}
		if b.peer.Scheme == "azblob" {
			f.Bytes = 300<<20 + 1
		}
		var err error
		if f.Sum, err = sending.SumOf(t.Context(), sparse{}, f.Bytes); err != nil {
			t.Fatal(err)
		}
		b.front.BreakAfter(f.Bytes / 2)
		b.fails(t, "a copy that broke off", f, false, "broke off")
		b.front.BreakAfter(-1)
		if _, last, err := b.send(t.Context(), f); err != nil || last != f.Bytes {
			t.Fatalf("%d bytes are safe: %v", last, err)
		}
		if taken := b.front.Taken(); taken > f.Bytes/2+2*piece {
			t.Errorf("%d bytes were sent again of a file that half was there of", taken)
		}
		b.check(t, f, object)
	})
}

func TestSparse(t *testing.T) {
	whole := make([]byte, 3<<20)
	(sparse{}).ReadAt(whole, 0)
	part := make([]byte, 1<<20)
	for _, at := range []int64{0, 1, 1<<20 - 1, 1 << 20, 1<<20 + 1} {
		if (sparse{}).ReadAt(part, at); !bytes.Equal(part, whole[at:at+1<<20]) {
			t.Errorf("at %d it is another file", at)
		}
	}
}
