package capture

import (
	"errors"
	"slices"
	"time"
)

// LiveConfig says what a Live is of.
type LiveConfig struct {
	// Interfaces are those to begin with. Present lists those that may take part and that
	// there are at the moment; nil if none may join.
	Interfaces []Interface
	Present    func() ([]Interface, error)

	// Format is that of what is made of the packets: in pcap all have one link type.
	Format Format

	// Tap says which packets of an interface are taken.
	Tap func(Interface) (Tap, error)

	// Open begins to take packets. If Present is set, the source is an Adder, and one whose
	// Read returns ErrInterfacesChanged.
	Open func([]Tap) (Source, error)
}

// A Live is a Source that others may join as they appear, for somebody who looks at
// packets as they come and keeps no file. Interfaces that may join may also go: its Read
// returns no *InterfaceGoneError then.
type Live struct {
	Source
	config  LiveConfig
	roster  roster
	leftOut []Interface
}

// OpenLive begins to take packets. The error is what Tap or Open returned.
func OpenLive(c LiveConfig) (*Live, error) {
	taps := make([]Tap, len(c.Interfaces))
	for n, in := range c.Interfaces {
		var err error
		if taps[n], err = c.Tap(in); err != nil {
			return nil, err
		}
	}
	source, err := c.Open(taps)
	if err != nil {
		return nil, err
	}
	l := &Live{Source: source, config: c, roster: newRoster(c.Format, c.Interfaces)}
	if c.Present != nil {
		l.join() // what appeared since the interfaces were listed, and before the source listened
	}
	return l, nil
}

// Interfaces are those of the packets, in the order of Packet.Interface. It is called by
// the goroutine that reads.
func (l *Live) Interfaces() []Interface { return slices.Clone(l.roster.all) }

// LeftOut are those that appeared and could not join. It is called by the goroutine that
// reads.
func (l *Live) LeftOut() []Interface { return slices.Clone(l.leftOut) }

// Read implements Source.
func (l *Live) Read(batch []Packet, until time.Time) (int, error) {
	for {
		n, err := l.Source.Read(batch, until)
		var gone *InterfaceGoneError
		switch {
		case errors.Is(err, ErrInterfacesChanged):
			l.join()
		case errors.As(err, &gone) && l.config.Present != nil:
			l.roster.lose(gone.Name)
		default:
			return n, err
		}
	}
}

// join takes packets from the interfaces too that were not there before.
func (l *Live) join() {
	adder, able := l.Source.(Adder)
	if !able {
		return
	}
	present, err := l.config.Present()
	if err != nil {
		return // it is tried again with the next change
	}
	for _, in := range l.roster.newcomers(present) {
		if l.roster.fits(in) && l.add(adder, in) == nil {
			l.roster.join(in)
			l.leftOut = slices.DeleteFunc(l.leftOut, func(out Interface) bool { return out == in })
		} else if !slices.Contains(l.leftOut, in) {
			l.leftOut = append(l.leftOut, in)
		}
	}
}

func (l *Live) add(to Adder, in Interface) error {
	tap, err := l.config.Tap(in)
	if err != nil {
		return err
	}
	return to.Add(tap)
}
