package capture

import (
	"maps"
	"slices"
	"sync/atomic"
)

// A lookout finds the changes of the machine's interfaces for a source's reader, on a goroutine of
// its own. Both parts of that may take long. The kernel lists interfaces under a lock (rtnl) that
// another process may hold to change one. A filter with host names needs the name servers. Only the
// goroutine that reads may use it.
type lookout struct {
	present func() ([]Interface, error)
	joins   func(Interface) bool
	tap     func(Interface) (Tap, error)

	looking bool
	again   bool // there was another change meanwhile
	found   atomic.Pointer[sight]
	taps    map[Interface]answer // of the last sight
}

// A sight is the list of the machine's interfaces, with the taps of those that a roster lacks.
type sight struct {
	present []Interface
	taps    map[Interface]answer
	err     error
}

// An answer is the tap of an interface, or why it has none.
type answer struct {
	tap Tap
	err error
}

// look starts a look at the machine and returns the result of the one before, or nil if there is
// none. The caller calls it each time that Read returns ErrInterfacesChanged; Read also does so
// when a look is finished.
func (l *lookout) look(source Follower, r roster) *sight {
	found := l.found.Swap(nil)
	switch {
	case found != nil:
		l.looking, l.taps = false, found.taps
		if !l.again {
			break
		}
		fallthrough
	case !l.looking:
		l.looking, l.again = true, false
		known, before := r.clone(), l.taps
		source.Beside(func() { l.found.Store(l.see(known, before)) })
	default:
		l.again = true
	}
	if found == nil || found.err != nil {
		return nil // after an error the next change tries again
	}
	return found
}

// see lists the machine's interfaces and makes the taps that known lacks. It takes those of before
// without compiling them again, unless they had an error.
func (l *lookout) see(known roster, before map[Interface]answer) *sight {
	s := &sight{taps: make(map[Interface]answer)}
	if s.present, s.err = l.present(); s.err != nil {
		s.taps = before
		return s
	}
	for _, in := range known.compare(s.present, l.joins, false).newcomers {
		a, ok := before[in]
		if !ok || a.err != nil {
			a.tap, a.err = l.tap(in)
		}
		s.taps[in] = a
	}
	return s
}

// clone returns a copy of the roster for another goroutine.
func (r *roster) clone() roster {
	return roster{r.format, slices.Clone(r.all), maps.Clone(r.gone)}
}
