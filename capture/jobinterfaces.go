package capture

import (
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

// join takes the interfaces into the capture that were not there before. There is a
// reason if no file has room for one.
func (j *Job) join() (StopReason, error) {
	adder, able := j.source.(Adder)
	if !able || j.config.Present == nil {
		return "", nil
	}
	present, err := j.config.Present()
	if err != nil {
		return "", nil // it is tried again with the next change
	}
	for _, in := range j.interfaces.newcomers(present) {
		if !j.interfaces.fits(in) {
			continue
		}
		tap, err := j.config.tap(in)
		if err != nil || adder.Add(tap) != nil {
			continue // as likely as not it is gone again
		}
		j.interfaces.join(in)
		j.base = append(j.base, Counters{})
		now := slices.Clone(j.interfaces.all)
		j.known.Store(&now)
		if err := j.file.AddInterface(in); err != nil {
			if !j.config.Spec.Rotates() {
				return SizeExceeded, nil
			}
			// The next file begins with all interfaces.
			if reason, err := j.turn(); reason != "" || err != nil {
				return reason, err
			}
		}
		j.mutex.Lock()
		if !slices.Contains(j.status.Interfaces, in.Name) {
			j.status.Interfaces = append(slices.Clone(j.status.Interfaces), in.Name)
		}
		j.mutex.Unlock()
	}
	return "", nil
}
