package loglimit

import (
	"testing"
	"time"
)

// A flood gets its burst and then a line an interval. The first line after a gap says how many are
// missing.
func TestLimiter(t *testing.T) {
	t.Parallel()
	const burst, every = 60, 2 * time.Second
	l, now, told := New(burst, every), time.Now(), 0
	for range 1000 {
		if leftOut, ok := l.Due(now); ok {
			told++
			if leftOut != 0 {
				t.Errorf("line %d says that %d were left out", told, leftOut)
			}
		}
	}
	if told != burst {
		t.Errorf("%d lines at once, want %d", told, burst)
	}
	if _, ok := l.Due(now.Add(every / 2)); ok {
		t.Error("a line after half of the interval")
	}
	if leftOut, ok := l.Due(now.Add(every)); !ok || leftOut != 1000-burst+1 {
		t.Errorf("after the interval: %v, with %d left out", ok, leftOut)
	}
	if leftOut, ok := l.Due(now.Add(2 * every)); !ok || leftOut != 0 {
		t.Errorf("the line after it: %v, with %d left out", ok, leftOut)
	}
}
