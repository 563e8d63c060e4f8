package digests

import (
	"fmt"
	"testing"
)

func TestDigestsAreBounded(t *testing.T) {
	t.Parallel()
	var d Digests
	for n := range most + 5 {
		d.Keep(fmt.Sprint(n), []byte{1})
		d.Keep(fmt.Sprint(n), []byte{2})
	}
	if _, known := d.Get("4"); known || len(d.known) != most || len(d.order) != most {
		t.Errorf("%d digests are kept", len(d.known))
	}
	if sum, known := d.Get("5"); !known || sum[0] != 2 {
		t.Error("a digest is not the last one")
	}
}
