package capture

import "slices"

// The interfaces of a job: others may join while it runs, and some may go.

// tap returns how packets are taken from an interface. The error is that of Config.Compile.
func (c Config) tap(in Interface) (Tap, error) {
	t := Tap{Interface: in, SnapLength: max(c.Spec.snapLength(), c.Spec.LooksAt()), Direction: c.Spec.Direction}
	if c.Compile == nil {
		return t, nil
	}
	var err error
	t.Filter, err = c.Compile(in)
	return t, err
}

// joins reports whether an interface that appears after the start of the capture belongs to it.
func (s Spec) joins(in Interface) bool {
	return s.AllInterfaces() || s.OnInterfaceGone == GoneWaits && slices.Contains(s.Interfaces, in.Name)
}

// follow takes new interfaces into the capture, and those that were renamed under their new names.
// A capture that waits for names drops an interface that has another name now: otherwise the next
// one of that name would be mistaken for it. follow returns a reason if no file has room for
// another interface.
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
			continue // it is not ready yet, or gone again
		}
		j.interfaces.join(taps[n].Interface)
		if reason, err := j.introduce(taps[n].Interface); reason != "" || err != nil {
			return reason, err
		}
	}
	return "", nil
}

// introduce makes the last interface of the roster known to the file and to other goroutines.
func (j *Job) introduce(in Interface) (StopReason, error) {
	if len(j.base) < len(j.interfaces.all) { // not if the file was begun when the source had it already
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
