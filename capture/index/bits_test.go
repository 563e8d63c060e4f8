package index

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// A bitmap answers as a list of its packets does, whatever is in its chunks.
func TestBitmapIsTheList(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var b bitmap
	var all []bool
	var chosen []int64
	for _, share := range []float64{0, 1, 0.001, 0.5, 1, 1, 0} {
		for range 100_000 {
			is := random.Float64() < share
			if is {
				chosen = append(chosen, int64(len(all)))
			}
			all = append(all, is)
		}
	}
	for rest := all; len(rest) > 0; {
		n := min(1+random.IntN(9000), len(rest))
		b.add(rest[:n])
		rest = rest[n:]
	}
	if b.packets != int64(len(all)) || b.selected != int64(len(chosen)) {
		t.Fatalf("%d of %d packets, want %d of %d", b.selected, b.packets, len(chosen), len(all))
	}
	for range 2000 {
		first, count := random.IntN(len(chosen)+10), random.IntN(300)
		want := chosen[min(first, len(chosen)):min(first+count, len(chosen))]
		if got := b.list(int64(first), count); !slices.Equal(got, want) {
			t.Fatalf("list(%d, %d) is %v, want %v", first, count, got, want)
		}
		number := random.Int64N(int64(len(all)) + 5)
		at, _ := slices.BinarySearch(chosen, number)
		if got := b.rank(number); got != int64(at) {
			t.Fatalf("rank(%d) is %d, want %d", number, got, at)
		}
	}
	if most := int64(len(all)/8) * 2 / 3; b.size() > most {
		t.Errorf("%d bytes; chunks of one kind take memory", b.size())
	}
}
