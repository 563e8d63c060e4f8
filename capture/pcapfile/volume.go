package pcapfile

import "sync"

// A Volume is the disk that the files of several captures are on. What each has in memory on
// its way there is no room for the others, who would else all take the same last bytes. The
// zero Volume is one without files.
//
// It is asked between packets, as rarely as the kernel is asked for the free disk.
type Volume struct {
	mutex sync.Mutex
	open  map[*disk]struct{}
}

func (v *Volume) add(d *disk) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if v.open == nil {
		v.open = make(map[*disk]struct{})
	}
	v.open[d] = struct{}{}
}

func (v *Volume) remove(d *disk) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	delete(v.open, d)
}

// coming is how much more of the disk all files will have taken when each has what it may get
// until its capture asks again. It is negative where more is allocated, which they give back.
func (v *Volume) coming() (bytes int64) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	for d := range v.open {
		bytes += d.promised.Load() - d.taken()
	}
	return bytes
}
