// Package packets reads the packets of a source for commands: until a limit, until enough were seen, or
// until the user ends it.
package packets

import (
	"context"
	"errors"
	"io"
	"time"

	"diagsh/capture"
	"diagsh/capture/pcapfile"
	"diagsh/internal/menu"
)

// Bounds are the limits at which Follow ends; the zero value has none.
type Bounds struct {
	Packets  int64
	Duration *time.Duration
	Whole    bool // packets that came before the end of Duration or ctx are still handed on
}

// ErrEnough ends reading before the packets end.
var ErrEnough = errors.New("enough packets")

// followBatch is how many packets are handed on together at most.
const followBatch = 256

// Follow hands packets on until a limit of b is reached, or the source or ctx ends. The end of ctx
// is no error: a user ends a look at packets so. Follow returns how many packets it handed on.
func Follow(ctx context.Context, source capture.Source, b Bounds,
	hand func([]capture.Packet) error) (seen int64, err error) {
	defer context.AfterFunc(ctx, source.Wake)()
	var until time.Time
	if b.Duration != nil {
		until = time.Now().Add(*b.Duration)
	}
	batch := make([]capture.Packet, followBatch)
	finished := false
	for {
		if !finished && (ctx.Err() != nil || !until.IsZero() && !time.Now().Before(until)) {
			if !b.Whole {
				return seen, nil
			}
			if err := source.Finish(); err != nil {
				return seen, err
			}
			finished, until = true, time.Time{}
		}
		n, err := source.Read(batch, until)
		if b.Packets > 0 {
			n = int(min(int64(n), b.Packets-seen))
		}
		if n > 0 {
			if err := hand(batch[:n]); err != nil {
				return seen, err
			}
			seen += int64(n)
		}
		var gone *capture.InterfaceGoneError
		switch {
		case b.Packets > 0 && seen == b.Packets, errors.Is(err, io.EOF):
			return seen, nil
		case errors.As(err, &gone) && gone.Left == 0 && !finished:
			return seen, menu.Errorf(menu.State, "The interface %s was removed", gone.Name)
		case err != nil && gone == nil:
			return seen, err
		}
	}
}

// Total adds up the counters of interfaces.
func Total(counters []capture.Counters) (t capture.Counters) {
	for _, c := range counters {
		t.Received += c.Received
		t.Dropped += c.Dropped
	}
	return t
}

// NotAFile returns an error for users if a file, or one of a capture, has no packets that can be read.
// Other errors stay as they are.
func NotAFile(name menu.Packets, err error) error {
	var corrupt *pcapfile.CorruptError
	var packed *pcapfile.PackedError
	if errors.As(err, &packed) {
		return (&menu.Error{Code: menu.Failed, Argument: "name", Message: string(name) + " is packed by " + packed.By}).
			WithHint("Unpack it first; what gzip has packed can be read as it is")
	}
	if errors.Is(err, pcapfile.ErrNoCapture) || errors.As(err, &corrupt) {
		return &menu.Error{Code: menu.Failed, Argument: "name", Message: string(name) + " is not a pcap or pcapng file"}
	}
	return err
}
