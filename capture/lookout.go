package capture

import (
	"maps"
	"slices"
	"sync/atomic"
)

// A lookout finds out for a source's reader what there is to follow, beside it: the kernel
// lists interfaces under a lock that whoever changes one may hold for long, and to compile a
// filter may mean to ask for the addresses of names. It is of the goroutine that reads.
type lookout struct {
	present func() ([]Interface, error)
	joins   func(Interface) bool
	tap     func(Interface) (Tap, error)

	looking bool
	again   bool // something changed meanwhile
	found   atomic.Pointer[sight]
	taps    map[Interface]answer // of the sight before
}

// A sight is what interfaces the machine has, and how those are tapped that a roster does not have.
type sight struct {
	present []Interface
	taps    map[Interface]answer
	err     error
}

// An answer is how an interface is tapped, or why it cannot be.
type answer struct {
	tap Tap
	err error
}

// look is called each time that Read says that there are other interfaces than before, as it does
// when a sight is there. It returns that, or nil if there is none yet.
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
		return nil // after an error it is tried again with the next change
	}
	return found
}

// see looks at the machine. What was compiled before is not compiled again.
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

// clone is the roster as it is now, for another goroutine.
func (r *roster) clone() roster {
	return roster{r.format, slices.Clone(r.all), maps.Clone(r.gone)}
}
