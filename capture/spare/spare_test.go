package spare

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var freed []string
		s := New[int](100, time.Minute, func(name string) { freed = append(freed, name) })
		gone := func(want ...string) {
			t.Helper()
			if !slices.Equal(freed, want) {
				t.Errorf("freed are %q, not %q", freed, want)
			}
			freed = nil
		}
		s.Give(1, 40, "a")
		s.Give(2, 40, "b")
		s.Give(1, 20, "c")
		if _, ok := s.Take(3); ok {
			t.Error("there is a piece of a kind that nobody gave")
		}
		if got, ok := s.Take(1); !ok || got != "c" || s.Bytes() != 80 {
			t.Errorf("%q, %v; %d bytes are left", got, ok, s.Bytes())
		}
		gone()
		s.Give(1, 70, "d") // no room beside a and b
		gone("a", "b")
		s.Give(1, 101, "too large")
		gone("too large")

		time.Sleep(30 * time.Second)
		s.Give(1, 10, "e")
		time.Sleep(29 * time.Second)
		gone()
		time.Sleep(time.Second)
		synctest.Wait()
		gone("d")
		time.Sleep(30 * time.Second)
		synctest.Wait()
		gone("e")
		if s.Bytes() != 0 {
			t.Errorf("%d bytes are left", s.Bytes())
		}
		s.Give(1, 10, "f")
		s.Give(2, 10, "g")
		s.Clear()
		gone("f", "g")
	})
}

func TestStoreThatKeepsNothing(t *testing.T) {
	freed := 0
	s := New[int](100, 0, func(string) { freed++ })
	s.Give(1, 10, "a")
	if _, ok := s.Take(1); ok || freed != 1 {
		t.Errorf("it keeps something: %v; %d are freed", ok, freed)
	}
}
