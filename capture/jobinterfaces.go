package capture

import (
	"iter"
	"slices"
)

// The interfaces of a job, of which others may join and some may go.

func (c Config) tap(in Interface) (Tap, error) {
	t := Tap{Interface: in, SnapLength: c.Spec.snapLength(), Direction: c.Spec.Direction}
	if c.Compile == nil {
		return t, nil
	}
	var err error
	t.Filter, err = c.Compile(in)
	return t, err
}

// joins tells whether an interface that was not there when the capture began belongs to it.
func (s Spec) joins(in Interface) bool {
	return s.AllInterfaces() || s.OnInterfaceGone == GoneWaits && slices.Contains(s.Interfaces, in.Name)
}

// follow takes the interfaces into the capture that were not there before, and those with
// another name under that. A capture that waits for names lets go what has another one: the
// next of that name would else be mistaken for it. There is a reason if no file has room.
func (j *Job) follow() (StopReason, error) {
	source, able := j.source.(Follower)
	if !able || j.config.Present == nil {
		return "", nil
	}
	present, err := j.config.Present()
	if err != nil {
		return "", nil // it is tried again with the next change
	}
	spec := j.config.Spec
	changes := j.interfaces.compare(present, spec.joins, !spec.AllInterfaces() && spec.OnInterfaceGone == GoneWaits)
	for _, position := range changes.left {
		source.Drop(position)
	}
	for position, in := range changes.renamed {
		source.Rename(position, in)
		j.interfaces.rename(position, in)
		if reason, err := j.introduce(in); reason != "" || err != nil {
			return reason, err
		}
	}
	var taps []Tap
	for _, in := range changes.newcomers {
		if tap, err := j.config.tap(in); err == nil && j.interfaces.fits(in) {
			taps = append(taps, tap)
		}
	}
	for in, err := range addSome(source, taps) {
		if err != nil {
			continue // as likely as not it is gone again
		}
		j.interfaces.join(in)
		if reason, err := j.introduce(in); reason != "" || err != nil {
			return reason, err
		}
	}
	return "", nil
}

// addStep is how many interfaces are added at a time: while the kernel makes them ready the
// rings of the others fill, whose thinnest traffic finds room for 0.3 s.
const addStep = 4

// addSome adds some interfaces to a source, and yields each with what became of it. When it
// took one of a step, the others have time: the source says again that there may be more.
func addSome(source Follower, taps []Tap) iter.Seq2[Interface, error] {
	return func(yield func(Interface, error) bool) {
		for some := range slices.Chunk(taps, addStep) {
			added := false
			for n, err := range source.Add(some) {
				added = added || err == nil
				if !yield(some[n].Interface, err) {
					return
				}
			}
			if added {
				return
			}
		}
	}
}

// introduce makes the last interface of the roster known to the file and to others.
func (j *Job) introduce(in Interface) (StopReason, error) {
	j.base = append(j.base, Counters{SeenKnown: true})
	now := slices.Clone(j.interfaces.all)
	j.known.Store(&now)
	j.mutex.Lock()
	j.status.Interfaces = j.interfaces.names()
	j.mutex.Unlock()
	if err := j.file.AddInterface(in); err != nil {
		if !j.config.Spec.Rotates() {
			return SizeExceeded, nil
		}
		return j.turn() // the next file begins with all interfaces
	}
	return "", nil
}
