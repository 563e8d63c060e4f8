package system

import (
	"time"

	"golang.org/x/sys/unix"
)

// A Clock is what the kernel knows of its clock (adjtimex(2)).
type Clock struct {
	Synchronised bool          // a time service disciplines it
	Error        time.Duration // how wrong it may be at most, if Synchronised
}

// ReadClock asks the kernel.
func ReadClock() (Clock, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return Clock{}, err
	}
	return Clock{Synchronised: state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0,
		Error: time.Duration(t.Maxerror) * time.Microsecond}, nil
}
