package daemon

import (
	"context"
	"errors"
	"slices"
	"time"

	"diagsh/internal/menu"
)

// A room is a part of the appliance with a state of its own. Daemon.rooms lists the rooms from the
// ground up: they are opened in that order and closed in reverse, so that a room can use those
// below it until its end. What else a room can do it says by having a method of the interfaces
// below.
type room interface {
	// Close brings on the disk what is not there yet. It waits for that until ctx ends.
	Close(ctx context.Context) error
}

// A recoverer puts right what the death of the appliance before left. All do that, from the ground
// up, when all rooms are open and before the first one starts.
type recoverer interface{ Recover() }

// A starter has work of its own, which begins when all rooms are open.
type starter interface{ Start() }

// A stopper lets nothing begin any more. All are stopped, from the ground up, before the first is
// closed: sessions first, so that no user begins what then has to be ended.
type stopper interface{ Stop() }

// A sweeper does what is due, every sweepEvery. The audit log is at the ground and comes last, so
// that it has what the others record.
type sweeper interface{ Sweep(now time.Time) }

// A noticer returns what a user who logs in must know, in full sentences; empty if nothing. The
// first room that has something says it.
type noticer interface {
	Notice(caller menu.Caller) string
}

// opened adds a room to those that are closed at the end.
func (d *Daemon) opened(r room) { d.rooms = append(d.rooms, r) }

// startRooms lets all rooms recover, and then start.
func (d *Daemon) startRooms() {
	for _, r := range d.rooms {
		if r, ok := r.(recoverer); ok {
			r.Recover()
		}
	}
	for _, r := range d.rooms {
		if r, ok := r.(starter); ok {
			r.Start()
		}
	}
}

func (d *Daemon) stopRooms() {
	for _, r := range d.rooms {
		if r, ok := r.(stopper); ok {
			r.Stop()
		}
	}
}

func (d *Daemon) sweepRooms(now time.Time) {
	for _, r := range slices.Backward(d.rooms) {
		if r, ok := r.(sweeper); ok {
			r.Sweep(now)
		}
	}
}

// notice returns the first notice that a room has for the caller.
func (d *Daemon) notice(caller menu.Caller) string {
	for _, r := range d.rooms {
		if r, ok := r.(noticer); ok {
			if text := r.Notice(caller); text != "" {
				return text
			}
		}
	}
	return ""
}

func (d *Daemon) closeRooms(ctx context.Context) error {
	var errs []error
	for _, r := range slices.Backward(d.rooms) {
		errs = append(errs, r.Close(ctx))
	}
	return errors.Join(errs...)
}
