package await_test

import (
	"testing"
	"time"

	"diagsh/internal/test/await"
)

func TestWithin(t *testing.T) {
	t.Parallel()
	asked := 0
	if !await.Within(await.Patience, func() bool { asked++; return asked == 3 }) || asked != 3 {
		t.Errorf("what is true at the third look was waited for %d times", asked)
	}
	if await.Within(20*time.Millisecond, func() bool { return false }) {
		t.Error("what never becomes true did")
	}
}
