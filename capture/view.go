package capture

import (
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A View is a Source that shows the packets of a running Job as they are written. Its reader may be
// as slow as it likes: packets that find no room are not shown, and count as dropped. The capture
// never waits for a view and loses nothing for it.
type View struct {
	job  *Job
	wake chan struct{} // there are packets, or the end

	mutex    sync.Mutex // guards what follows; the job never waits for it
	filling  viewBatch
	ended    bool
	finished bool

	reading viewBatch // of the reader's goroutine
	next    int       // first packet of reading that is not handed out yet

	shown  atomic.Uint64
	missed atomic.Uint64
}

// A viewBatch is a batch of packets with the memory of their data.
type viewBatch struct {
	packets []Packet
	memory  []byte
}

const (
	// The room of one batch. A view has two: one is filled while the reader works on the other.
	viewPackets = 1024
	viewBytes   = 1 << 20
)

func newViewBatch() viewBatch {
	return viewBatch{make([]Packet, 0, viewPackets), make([]byte, 0, viewBytes)}
}

// Watch returns a view of the capture's packets from now on. A capture that has ended shows none.
// The caller must close the view.
func (j *Job) Watch() *View {
	v := &View{job: j, wake: make(chan struct{}, 1), filling: newViewBatch(), reading: newViewBatch()}
	j.views.add(v)
	return v
}

// Interfaces returns the interfaces of the capture at this moment, in the order of
// Packet.Interface. An interface is in it before the first of its packets is in a view.
func (j *Job) Interfaces() []Interface { return slices.Clone(*j.known.Load()) }

// offer copies packets for the reader, as far as there is room. It never waits.
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

// miss counts packets that are not shown.
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

// take hands out the packets that are there, or io.EOF when all are and no more will come.
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

// Counters returns one element for all interfaces: what was shown, and what found no room.
func (v *View) Counters() []Counters {
	return []Counters{{Received: v.shown.Load(), Dropped: v.missed.Load()}}
}

// Close implements Source.
func (v *View) Close() error { return v.Finish() }

// views are the views of one Job. The list is replaced and never changed, so the job reads it
// without a lock, and reads nothing more while there are none.
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

// show offers packets that the job has written to every view.
func (s *views) show(batch []Packet) {
	if list := s.list.Load(); list != nil {
		for _, v := range *list {
			v.offer(batch)
		}
	}
}

// end tells every view that no more packets come.
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
