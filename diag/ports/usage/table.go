package usage

import (
	"cmp"
	"slices"
)

// A table has groups by their keys, a bounded number of them.
type table[K comparable] struct {
	most    int
	groups  map[K]*group
	dropped uint64
}

// A group is what the records of one key are.
type group struct {
	Use
	first *moment // of tables that keep it
}

func newTable[K comparable](most int) *table[K] {
	return &table[K]{most: most, groups: map[K]*group{}}
}

// at returns the group of a key. A table that is full drops the half of its groups that has the
// fewest records.
func (t *table[K]) at(key K) *group {
	g := t.groups[key]
	if g != nil {
		return g
	}
	if len(t.groups) >= t.most {
		t.prune()
	}
	g = &group{}
	g.AtLeast = t.dropped > 0 // it may be one that was dropped
	t.groups[key] = g
	return g
}

func (t *table[K]) prune() {
	counts := make([]uint64, 0, len(t.groups))
	for _, g := range t.groups {
		counts = append(counts, g.Records)
	}
	slices.Sort(counts)
	limit, left := counts[len(counts)/2], len(counts)/2+1
	for key, g := range t.groups {
		if left > 0 && g.Records <= limit {
			delete(t.groups, key)
			t.dropped++
			left--
		}
	}
}

// list returns the first top rows of a table in an order. A row that make does not want is none.
func list[K comparable, R any](t *table[K], top int, order func(a, b R) int, row func(K, *group) (R, bool)) List[R] {
	l := List[R]{Rows: []R{}, Dropped: t.dropped}
	for key, g := range t.groups {
		if r, wanted := row(key, g); wanted {
			l.Rows = append(l.Rows, r)
		}
	}
	slices.SortFunc(l.Rows, order)
	l.More = max(0, len(l.Rows)-top)
	l.Rows = l.Rows[:len(l.Rows)-l.More]
	return l
}

// busier orders uses by connections and failures, then by records and bytes.
func busier(a, b Use) int {
	return cmp.Or(cmp.Compare(b.Connections+b.Failures, a.Connections+a.Failures), cmp.Compare(b.Records, a.Records),
		cmp.Compare(b.bytes(), a.bytes()), a.First.Compare(b.First))
}
