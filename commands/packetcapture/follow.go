package packetcapture

import (
	"context"
	"errors"
	"io"
	"time"

	"diagsh/capture"
	"diagsh/internal/menu"
)

// bounds are the limits at which follow ends; the zero value has none.
type bounds struct {
	packets  int64
	duration *time.Duration
	whole    bool // packets that came before the end of duration or ctx are still handed on
}

// followBatch is how many packets are handed on together at most.
const followBatch = 256

// follow hands packets on until a limit of b is reached, or the source or ctx ends. The end of ctx
// is no error: a user ends a look at packets so. follow returns how many packets it handed on.
func follow(ctx context.Context, source capture.Source, b bounds,
	hand func([]capture.Packet) error) (seen int64, err error) {
	defer context.AfterFunc(ctx, source.Wake)()
	var until time.Time
	if b.duration != nil {
		until = time.Now().Add(*b.duration)
	}
	batch := make([]capture.Packet, followBatch)
	finished := false
	for {
		if !finished && (ctx.Err() != nil || !until.IsZero() && !time.Now().Before(until)) {
			if !b.whole {
				return seen, nil
			}
			if err := source.Finish(); err != nil {
				return seen, err
			}
			finished, until = true, time.Time{}
		}
		n, err := source.Read(batch, until)
		if b.packets > 0 {
			n = int(min(int64(n), b.packets-seen))
		}
		if n > 0 {
			if err := hand(batch[:n]); err != nil {
				return seen, err
			}
			seen += int64(n)
		}
		var gone *capture.InterfaceGoneError
		switch {
		case b.packets > 0 && seen == b.packets, errors.Is(err, io.EOF):
			return seen, nil
		case errors.As(err, &gone) && gone.Left == 0 && !finished:
			return seen, menu.Errorf(menu.State, "The interface %s was removed", gone.Name)
		case err != nil && gone == nil:
			return seen, err
		}
	}
}

func total(counters []capture.Counters) (t capture.Counters) {
	for _, c := range counters {
		t.Received += c.Received
		t.Dropped += c.Dropped
	}
	return t
}
