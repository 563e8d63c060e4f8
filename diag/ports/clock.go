package ports

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// A clock turns the kernel's time of events, CLOCK_MONOTONIC, into that of the day. It is set again
// and again, since the time of the day is stepped and slewed.
type clock struct {
	offset int64
	slept  uint64 // how much further CLOCK_BOOTTIME is, in which the starts of processes are
}

// readings is how often the clocks are compared: who is interrupted in between compares badly.
const readings = 8

// set measures the offset: the time of the day is read between two readings of the other.
func (c *clock) set() {
	least := int64(math.MaxInt64)
	for range readings {
		var before, now, slept, after unix.Timespec
		if unix.ClockGettime(unix.CLOCK_MONOTONIC, &before) != nil || unix.ClockGettime(unix.CLOCK_REALTIME, &now) != nil ||
			unix.ClockGettime(unix.CLOCK_BOOTTIME, &slept) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &after) != nil {
			return
		}
		if apart := after.Nano() - before.Nano(); apart < least {
			least = apart
			c.offset = now.Nano() - before.Nano() - apart/2
			c.slept = uint64(max(0, slept.Nano()-before.Nano()-apart/2))
		}
	}
}

func (c *clock) time(monotonic uint64) time.Time { return time.Unix(0, int64(monotonic)+c.offset) }

// startedBefore reports whether a process was there at a time of CLOCK_MONOTONIC.
func (c *clock) startedBefore(k processKey, monotonic uint64) bool {
	return k.start <= monotonic+c.slept
}

func monotonic() uint64 {
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return uint64(now.Nano())
}
