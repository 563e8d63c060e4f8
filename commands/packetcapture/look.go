package packetcapture

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"diagsh/capture/index"
	"diagsh/capture/pcapfile"
	"diagsh/capture/replay"
	"diagsh/commands/shared/captures"
	"diagsh/commands/shared/owned"
	"diagsh/commands/shared/packets"
	"diagsh/internal/menu"
)

// A look is what a command wants to know of the packets of a capture or a file, by their positions.
type look struct {
	name     menu.Packets
	filter   string
	joined   owned.Joined
	wait     *time.Duration            // nil: until all is known
	enough   func(index.Progress) bool // may be nil
	progress func(string, ...any)
}

// open returns the packets, as far as they are known when the look ends.
func (l look) open(ctx context.Context, s indexService, caller menu.Caller) (*index.View, index.Progress, error) {
	v, err := s.OpenPackets(caller, string(l.name))
	if err != nil {
		return nil, index.Progress{}, l.failed(err)
	}
	var chosen *index.Filter
	if expression := captures.Cleared(l.filter); expression != "" {
		if chosen, err = s.PacketsFilter(ctx, caller, v, expression); err != nil {
			return nil, index.Progress{}, err
		}
	}
	known, err := l.again(ctx, v, l.joined.Filter(chosen))
	return v, known, err
}

// again brings the packets up to date, with another filter.
func (l look) again(ctx context.Context, v *index.View, chosen *index.Filter) (index.Progress, error) {
	limit := time.Duration(-1)
	if l.wait != nil {
		limit = *l.wait
	}
	said := time.Now()
	known, err := v.Wait(ctx, chosen, limit, func(p index.Progress) bool {
		if time.Since(said) > progressEvery {
			said = time.Now()
			l.progress("%d packets", p.Packets)
		}
		return l.enough != nil && l.enough(p)
	})
	if err != nil {
		return known, l.failed(err)
	}
	return known, nil
}

// progressEvery is the time between two reports of progress.
const progressEvery = 300 * time.Millisecond

// failed returns the error for users.
func (l look) failed(err error) error {
	switch {
	case errors.Is(err, index.ErrChanged), errors.Is(err, replay.ErrGone):
		return menu.Errorf(menu.State, "A file of %s was replaced or deleted meanwhile", menu.Quoted(string(l.name))).
			WithHint("Try again")
	case errors.Is(err, index.ErrClosed):
		return menu.Errorf(menu.State, "The appliance is being stopped")
	}
	return packets.NotAFile(l.name, err)
}

// damaged returns the files that were not read to their ends.
func damaged(v *index.View) (list []damagedFile) {
	torn := v.Torn()
	for _, name := range slices.Sorted(maps.Keys(torn)) {
		d := damagedFile{Name: name, Reason: "it ends in the middle of a packet"}
		var corrupt *pcapfile.CorruptError
		if errors.As(torn[name], &corrupt) {
			d.Offset = &corrupt.Offset
			d.Reason = fmt.Sprintf("it is corrupt at byte %d; what follows is not read", corrupt.Offset)
		}
		list = append(list, d)
	}
	return list
}

// packetAt returns the packet at a position, or an error for users.
func (l look) packetAt(v *index.View, known index.Progress, position int64) (*index.Packet, error) {
	p, err := v.Packet(position)
	if err != nil {
		return nil, l.failed(err)
	}
	if p != nil {
		return p, nil
	}
	e := &menu.Error{Code: menu.NotFound, Argument: "position",
		Message: fmt.Sprintf("%s has no packet %d", menu.Quoted(string(l.name)), position)}
	switch {
	case known.Packets == 0:
		return nil, e.WithHint("It has no packets")
	case position <= v.Removed():
		return nil, e.WithHint("It was in a file that the ring has deleted; the first one is %d", v.Removed()+1)
	}
	return nil, e.WithHint("The last one is %d", v.Removed()+known.Packets)
}
