package bpf

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestClock: who reads the clocks and is interrupted has the right time all the same, as long as one of
// its readings is not.
func TestClock(t *testing.T) {
	day := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	now, reads := time.Duration(0), 0
	c := Clock{Read: func(id int32) (int64, bool) {
		now += 100 // nanoseconds that a reading takes
		if reads++; reads != 2 && reads%4 == 2 || reads == 6 {
			now += 50 * time.Millisecond // the processor is another one's
		}
		switch id {
		case unix.CLOCK_REALTIME:
			return day.Add(now).UnixNano(), true
		case unix.CLOCK_BOOTTIME:
			return int64(now + time.Hour), true
		}
		return int64(now), true
	}}
	c.Set()
	if got := c.Time(uint64(time.Second)); got.Sub(day.Add(time.Second)).Abs() > time.Microsecond {
		t.Errorf("a second after noon is %s", got.UTC())
	}
	if got := time.Duration(c.SinceBoot(uint64(time.Second))); (got - time.Hour - time.Second).Abs() > time.Microsecond {
		t.Errorf("a second is %s since the start of the machine", got)
	}
	var real Clock
	real.Set()
	if apart := time.Since(real.Time(Monotonic())).Abs(); apart > time.Minute {
		t.Errorf("now is %s apart", apart)
	}
}
