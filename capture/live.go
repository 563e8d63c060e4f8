package capture

import (
	"errors"
	"slices"
	"time"
)

// LiveConfig says which packets a Live shows.
type LiveConfig struct {
	// Interfaces are those to begin with. Present returns all that the machine has at the moment,
	// on any goroutine. Joins reports whether one that appears later takes part; nil if none does.
	Interfaces []Interface
	Present    func() ([]Interface, error)
	Joins      func(Interface) bool

	// Options are what was asked for, which Live.Options returns.
	Options Options

	// Format is the format that the packets will have: in pcap all have one link type.
	Format Format

	// Tap returns which packets of an interface are taken. It is called on any goroutine.
	Tap func(Interface) (Tap, error)

	// Open begins to take packets. If Joins is set, it must return a Follower.
	Open func([]Tap) (Source, error)
}

// A Live is a Source for a user who watches packets and keeps no file. New interfaces may join it.
// If they may, interfaces may also go: then its Read returns no *InterfaceGoneError.
type Live struct {
	Source
	config  LiveConfig
	roster  roster
	lookout lookout
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
	l := &Live{
		Source: source, config: c, roster: newRoster(c.Format, c.Interfaces),
		lookout: lookout{present: c.Present, joins: c.Joins, tap: c.Tap},
	}
	if c.Joins != nil {
		l.follow() // interfaces that appeared after the list and before the source was open
	}
	return l, nil
}

// Options returns what was asked for.
func (l *Live) Options() Options { return l.config.Options }

// Interfaces returns the interfaces in the order of Packet.Interface. Only the goroutine that reads
// may call it.
func (l *Live) Interfaces() []Interface { return slices.Clone(l.roster.all) }

// LeftOut returns the interfaces that appeared and could not join. Only the goroutine that reads
// may call it.
func (l *Live) LeftOut() []Interface { return slices.Clone(l.leftOut) }

// Read implements Source.
func (l *Live) Read(batch []Packet, until time.Time) (int, error) {
	for {
		n, err := l.Source.Read(batch, until)
		var gone *InterfaceGoneError
		switch {
		case errors.Is(err, ErrInterfacesChanged):
			l.follow()
		case errors.As(err, &gone) && l.config.Joins != nil:
			l.roster.lose(gone.Position)
		default:
			return n, err
		}
	}
}

// follow begins to take packets from new interfaces, and gives renamed ones their new names.
func (l *Live) follow() {
	source, able := l.Source.(Follower)
	if !able || l.config.Present == nil {
		return
	}
	found := l.lookout.look(source, l.roster)
	if found == nil {
		return
	}
	changes := l.roster.compare(found.present, l.config.Joins, false)
	for position, in := range changes.renamed {
		source.Rename(position, in)
		l.roster.rename(position, in)
	}
	var taps []Tap
	for _, in := range changes.newcomers {
		switch a, ok := found.taps[in]; {
		case !ok: // it was in the roster when they were looked at
		case a.err == nil && l.roster.fits(in):
			taps = append(taps, a.tap)
		default:
			l.leaveOut(in)
		}
	}
	for n, err := range source.Add(taps) {
		in := taps[n].Interface
		switch {
		case err == nil:
			l.roster.join(in)
			l.leftOut = slices.DeleteFunc(l.leftOut, func(out Interface) bool { return out == in })
		case !errors.Is(err, ErrNotReady):
			l.leaveOut(in)
		}
	}
}

// leaveOut notes that an interface could not join.
func (l *Live) leaveOut(in Interface) {
	if !slices.Contains(l.leftOut, in) {
		l.leftOut = append(l.leftOut, in)
	}
}
