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
	for _, in := range present {
		known := slices.ContainsFunc(j.interfaces, func(k Interface) bool { return k.Index == in.Index && !j.gone[k.Index] })
		if known || j.format == PCAP && in.LinkType != j.interfaces[0].LinkType {
			continue
		}
		tap, err := j.config.tap(in)
		if err != nil || adder.Add(tap) != nil {
			continue // as likely as not it is gone again
		}
		delete(j.gone, in.Index)
		j.interfaces = append(j.interfaces, in)
		j.base = append(j.base, Counters{})
		now := slices.Clone(j.interfaces)
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

// lose notes that an interface was removed.
func (j *Job) lose(name string) {
	for _, i := range j.interfaces {
		if i.Name == name {
			j.gone[i.Index] = true
		}
	}
}
