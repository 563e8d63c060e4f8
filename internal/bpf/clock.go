package bpf

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// A Clock turns the kernel's time of events, CLOCK_MONOTONIC in nanoseconds, into that of the day. It is
// set again and again, since the time of the day is stepped and slewed.
type Clock struct {
	Read func(id int32) (nanoseconds int64, ok bool) // nil: clock_gettime(2)

	offset int64
	slept  uint64 // how much further CLOCK_BOOTTIME is
}

// readings is how often the clocks are compared: who is interrupted in between compares badly.
const readings = 8

// Set compares the clocks: the time of the day is read between two readings of the other.
func (c *Clock) Set() {
	read := c.Read
	if read == nil {
		read = readClock
	}
	least := int64(math.MaxInt64)
	for range readings {
		before, ok1 := read(unix.CLOCK_MONOTONIC)
		now, ok2 := read(unix.CLOCK_REALTIME)
		slept, ok3 := read(unix.CLOCK_BOOTTIME)
		after, ok4 := read(unix.CLOCK_MONOTONIC)
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

// Time returns the time of the day of an event, as the clocks were when Set compared them.
func (c *Clock) Time(monotonic uint64) time.Time { return time.Unix(0, int64(monotonic)+c.offset) }

// SinceBoot returns the time of an event by CLOCK_BOOTTIME, by which the starts of processes are.
func (c *Clock) SinceBoot(monotonic uint64) uint64 { return monotonic + c.slept }

// Monotonic returns CLOCK_MONOTONIC in nanoseconds.
func Monotonic() uint64 {
	now, _ := readClock(unix.CLOCK_MONOTONIC)
	return uint64(now)
}

func readClock(id int32) (nanoseconds int64, ok bool) {
	var now unix.Timespec
	err := unix.ClockGettime(id, &now)
	return now.Nano(), err == nil
}
