package ports

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// A clock turns the kernel's time of events, CLOCK_MONOTONIC, into that of the day. It is set again
// and again, since the time of the day is stepped and slewed.
type clock struct {
	read   func(id int32) (nanoseconds int64, ok bool) // clock_gettime(2)
	offset int64
	slept  uint64 // how much further CLOCK_BOOTTIME is, in which the starts of processes are
}

// readings is how often the clocks are compared: who is interrupted in between compares badly.
const readings = 8

// set measures the offset: the time of the day is read between two readings of the other.
func (c *clock) set() {
	least := int64(math.MaxInt64)
	for range readings {
		before, ok1 := c.read(unix.CLOCK_MONOTONIC)
		now, ok2 := c.read(unix.CLOCK_REALTIME)
		slept, ok3 := c.read(unix.CLOCK_BOOTTIME)
		after, ok4 := c.read(unix.CLOCK_MONOTONIC)
		if !ok1 || !ok2 || !ok3 || !ok4 {
			return
		}
		if apart := after - before; apart < least {
			least = apart
			c.offset = now - before - apart/2
			c.slept = uint64(max(0, slept-before-apart/2))
		}
	}
}

func readClock(id int32) (nanoseconds int64, ok bool) {
	var now unix.Timespec
	err := unix.ClockGettime(id, &now)
	return now.Nano(), err == nil
}

func (c *clock) time(monotonic uint64) time.Time { return time.Unix(0, int64(monotonic)+c.offset) }

// startedBefore reports whether a process was there at a time of CLOCK_MONOTONIC.
func (c *clock) startedBefore(k processKey, monotonic uint64) bool {
	return k.start <= monotonic+c.slept
}

func monotonic() uint64 {
	now, _ := readClock(unix.CLOCK_MONOTONIC)
	return uint64(now)
}
