package capture

import "slices"

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
	found := j.lookout.look(source, j.interfaces)
	if found == nil {
		return "", nil
	}
	spec := j.config.Spec
	changes := j.interfaces.compare(found.present, spec.joins,
		!spec.AllInterfaces() && spec.OnInterfaceGone == GoneWaits)
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
		if a, ok := found.taps[in]; ok && a.err == nil && j.interfaces.fits(in) {
			taps = append(taps, a.tap)
		}
	}
	for n, err := range source.Add(taps) {
		if err != nil {
			continue // it is not ready yet, or as likely as not gone again
		}
		j.interfaces.join(taps[n].Interface)
		if reason, err := j.introduce(taps[n].Interface); reason != "" || err != nil {
			return reason, err
		}
	}
	return "", nil
}

// introduce makes the last interface of the roster known to the file and to others.
func (j *Job) introduce(in Interface) (StopReason, error) {
	if len(j.base) < len(j.interfaces.all) { // else the file was begun when the source had it already
		j.base = append(j.base, Counters{SeenKnown: true})
	}
	now := slices.Clone(j.interfaces.all)
	j.known.Store(&now)
	j.mutex.Lock()
	j.status.Interfaces = j.interfaces.names()
	j.mutex.Unlock()
	if err := j.file.AddInterface(in); err != nil {
		if !j.config.Spec.Rotates() {
			return SizeExceeded, nil
		}
		return j.rotate() // the next file begins with all interfaces
	}
	return "", nil
}
