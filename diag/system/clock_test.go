package system

import "testing"

// A clock that nothing disciplines may be wrong by any amount; the kernel says so with a large error.
func TestReadClock(t *testing.T) {
	c, err := ReadClock()
	if err != nil {
		t.Fatal(err)
	}
	if c.Error < 0 || c.Synchronised && c.Error > 20_000_000_000 {
		t.Errorf("%+v", c)
	}
}
