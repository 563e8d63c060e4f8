package capture

import (
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A View shows the packets of a running Job to somebody else, as they are written. It
// is a Source. Whoever reads it can be as slow as they like: what finds no room is not
// shown, and counted as dropped. The capture never waits for a view and loses nothing
// for it.
type View struct {
	job  *Job
	wake chan struct{} // there is something to look at

	mutex    sync.Mutex // the job only ever tries it
	filling  viewBatch
	ended    bool
	finished bool

	reading viewBatch // the reader's own
	next    int       // of reading: what has not been handed out

	shown  atomic.Uint64
	missed atomic.Uint64
}

// viewBatch is packets with the memory that their data are in.
type viewBatch struct {
	packets []Packet
	memory  []byte
}

const (
	// What a view has room for. It is filled while its reader works through as much.
	viewPackets = 1024
	viewBytes   = 1 << 20
)

func newViewBatch() viewBatch {
	return viewBatch{make([]Packet, 0, viewPackets), make([]byte, 0, viewBytes)}
}

// Watch begins a view of the capture's packets from now on. A capture that has ended
// shows none. The view's reader closes it.
func (j *Job) Watch() *View {
	v := &View{job: j, wake: make(chan struct{}, 1), filling: newViewBatch(), reading: newViewBatch()}
	j.views.add(v)
	return v
}

// Interfaces are those of the capture at this moment, in the order of Packet.Interface:
// whoever reads a packet of one that joined finds it here.
func (j *Job) Interfaces() []Interface { return slices.Clone(*j.known.Load()) }

// offer puts packets where the reader will find them, as far as there is room.
func (v *View) offer(batch []Packet) {
	if !v.mutex.TryLock() {
		v.miss(len(batch))
		return
	}
	b := &v.filling
	first := len(b.packets)
	for i := range batch {
		p := batch[i]
		if len(b.packets) == cap(b.packets) || len(p.Data) > cap(b.memory)-len(b.memory) {
			v.miss(len(batch) - i)
			break
		}
		from := len(b.memory)
		b.memory = append(b.memory, p.Data...)
		p.Data = b.memory[from:len(b.memory):len(b.memory)]
		b.packets = append(b.packets, p)
	}
	added := len(b.packets) - first
	v.mutex.Unlock()
	if added > 0 {
		v.Wake()
	}
}

// miss counts packets that are left out.
func (v *View) miss(packets int) {
	v.missed.Add(uint64(packets))
	v.job.views.missed.Add(uint64(packets))
}

// Read implements Source.
func (v *View) Read(batch []Packet, until time.Time) (int, error) {
	if n, err := v.take(batch); n > 0 || err != nil {
		return n, err
	}
	var late <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-v.wake:
	case <-late:
	}
	return v.take(batch)
}

// take hands out what is there.
func (v *View) take(batch []Packet) (int, error) {
	if v.next == len(v.reading.packets) {
		v.mutex.Lock()
		v.reading, v.filling = v.filling, v.reading
		v.filling.packets, v.filling.memory = v.filling.packets[:0], v.filling.memory[:0]
		over := v.ended || v.finished
		v.mutex.Unlock()
		v.next = 0
		if over && len(v.reading.packets) == 0 {
			return 0, io.EOF
		}
	}
	n := copy(batch, v.reading.packets[v.next:])
	v.next += n
	v.shown.Add(uint64(n))
	return n, nil
}

// Finish implements Source.
func (v *View) Finish() error {
	v.job.views.remove(v)
	v.mutex.Lock()
	v.finished = true
	v.mutex.Unlock()
	v.Wake()
	return nil
}

// Wake implements Source.
func (v *View) Wake() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// Counters are one for all interfaces: what was shown, and what found no room.
func (v *View) Counters() []Counters {
	return []Counters{{Received: v.shown.Load(), Dropped: v.missed.Load()}}
}

// Close implements Source.
func (v *View) Close() error { return v.Finish() }

// views are those of one Job. The list is replaced and never changed, so that the job
// looks at it without a lock, and at nothing more while there are none.
type views struct {
	mutex sync.Mutex
	ended bool
	list  atomic.Pointer[[]*View]

	missed atomic.Uint64 // packets that were left out for any of them
}

func (s *views) add(v *View) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.ended {
		v.end()
		return
	}
	s.set(append(s.all(), v))
}

func (s *views) remove(v *View) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.set(slices.DeleteFunc(s.all(), func(other *View) bool { return other == v }))
}

func (s *views) all() []*View {
	if list := s.list.Load(); list != nil {
		return slices.Clone(*list)
	}
	return nil
}

func (s *views) set(list []*View) {
	if len(list) == 0 {
		s.list.Store(nil)
		return
	}
	s.list.Store(&list)
}

// show is called by the job for what it has written.
func (s *views) show(batch []Packet) {
	if list := s.list.Load(); list != nil {
		for _, v := range *list {
			v.offer(batch)
		}
	}
}

// end tells every view that nothing more comes.
func (s *views) end() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.ended = true
	for _, v := range s.all() {
		v.end()
	}
	s.set(nil)
}

func (v *View) end() {
	v.mutex.Lock()
	v.ended = true
	v.mutex.Unlock()
	v.Wake()
}
