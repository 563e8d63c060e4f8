// Package await waits in tests for what no event tells of: the state of another process, of the
// kernel, of a file.
package await

import (
	"testing"
	"time"
)

// Patience bounds every wait of a test. Only a test that fails uses it up.
const Patience = 45 * time.Second

// The time between two looks is a tenth of what was waited so far, within these bounds: who waits long
// does not take the processor from what is awaited.
const (
	shortest = 2 * time.Millisecond
	longest  = 20 * time.Millisecond
)

// Until returns when holds does, and ends the test if that takes longer than Patience. It must run
// in the goroutine of the test.
func Until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	if !Within(Patience, holds) {
		t.Fatalf("waited in vain for %s", what)
	}
}

// Within reports whether holds became true within a time.
func Within(limit time.Duration, holds func() bool) bool {
	for began := time.Now(); !holds(); {
		waited := time.Since(began)
		if waited > limit {
			return false
		}
		time.Sleep(min(max(waited/10, shortest), longest))
	}
	return true
}
