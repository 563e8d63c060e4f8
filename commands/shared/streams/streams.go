// Package streams writes packets as they come, and among them those that the kernel drops meanwhile.
package streams

import (
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"diagsh/capture"
	"diagsh/capture/drops"
	"diagsh/capture/owners"
	"diagsh/capture/pcapfile"
	"diagsh/capture/replay"
	"diagsh/commands/shared/owned"
)

// Options are what a Writer writes.
type Options struct {
	Header  capture.FileHeader
	Source  capture.Source
	Present func() []capture.Interface // by Packet.Interface; called by Write
	Chosen  *replay.Filter             // filter of the packets; nil: all of them
	Joined  owned.Joined
	Blocks  bool   // say processes in blocks too
	Most    uint64 // packets of Source to write; 0: no limit

	// Drops are the packets that the kernel drops; nil: they are not wanted.
	Drops *drops.Feed
}

// A Writer writes the packets of a Source. One goroutine calls its methods.
type Writer struct {
	o        Options
	number   int              // of the interface of drops in the stream
	matching []capture.Packet // of one batch
	of       []owners.Owners  // theirs

	mu         sync.Mutex // guards what follows; held while something is written
	stream     *pcapfile.Stream
	interfaces []capture.Interface // of Source, that the stream has
	written    uint64
	dropped    uint64
	failed     error // of writing drops
}

// New begins a stream. The error is capture.ErrMixedLinkTypes, or from out.
func New(out io.Writer, o Options) (w *Writer, err error) {
	w = &Writer{o: o, number: len(o.Header.Interfaces), interfaces: o.Header.Interfaces}
	if o.Drops != nil {
		o.Header.Interfaces = append(slices.Clone(o.Header.Interfaces), drops.Interface)
	}
	w.stream, err = pcapfile.NewStream(out, o.Header)
	return w, err
}

// Written returns how many packets of Source were written.
func (w *Writer) Written() uint64 { return w.written }

// Dropped returns how many packets that the kernel dropped were written.
func (w *Writer) Dropped() uint64 { return w.dropped }

// Write writes the packets of a batch that are wanted, and before each those that the kernel dropped
// earlier. It reports whether the last one wanted is among them.
func (w *Writer) Write(batch []capture.Packet) (full bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.introduce(); err != nil {
		return false, err
	}
	w.matching, w.of = w.matching[:0], w.of[:0]
	for n := range batch {
		on := w.interfaces[batch[n].Interface]
		if w.o.Chosen != nil && !w.o.Chosen.Match(&batch[n], on) {
			continue
		}
		if of, wanted := w.o.Joined.Of(&batch[n], on); wanted {
			w.matching, w.of = append(w.matching, batch[n]), append(w.of, of)
		}
	}
	if left := w.o.Most - w.written; w.o.Most > 0 && uint64(len(w.matching)) > left {
		w.matching = w.matching[:left]
	}
	w.written += uint64(len(w.matching))
	full = w.o.Most > 0 && w.written == w.o.Most
	if w.o.Drops == nil || len(w.matching) == 0 {
		return full, w.say(w.matching, w.of)
	}
	return full, w.between(w.o.Drops.TakeDropped(time.Unix(0, w.matching[len(w.matching)-1].Time)))
}

// between writes the packets that match, and drops among them, by their times. Called with the lock
// held.
func (w *Writer) between(dropped []drops.Drop) error {
	from := 0
	for n := range dropped {
		at := dropped[n].Time.UnixNano()
		to := from
		for to < len(w.matching) && w.matching[to].Time < at {
			to++
		}
		if err := w.say(w.matching[from:to], w.of[from:to]); err != nil {
			return err
		}
		if from = to; w.failed == nil {
			w.failed = w.drop(&dropped[n])
		}
	}
	if w.failed != nil {
		return w.failed
	}
	return w.say(w.matching[from:], w.of[from:])
}

// say writes packets of Source with what is said of them. Called with the lock held.
func (w *Writer) say(packets []capture.Packet, of []owners.Owners) error {
	for n := range packets {
		packets[n].Interface = w.place(packets[n].Interface)
	}
	return w.stream.WriteSaying(packets, func(n int) pcapfile.Said { return of[n].Said(w.o.Blocks) })
}

// place is the number that an interface of Source has in the stream: one that joined stands behind
// that of drops.
func (w *Writer) place(n uint32) uint32 {
	if w.o.Drops != nil && n >= uint32(w.number) {
		return n + 1
	}
	return n
}

// drop writes a packet that the kernel dropped, if it is wanted. Called with the lock held.
func (w *Writer) drop(d *drops.Drop) error {
	if d.Interface != "" && !slices.ContainsFunc(w.interfaces, func(i capture.Interface) bool { return i.Name == d.Interface }) {
		return nil
	}
	p := d.Packet()
	if w.o.Chosen != nil && !w.o.Chosen.Match(&p, drops.Interface) {
		return nil
	}
	of, wanted := w.o.Joined.Of(&p, drops.Interface)
	if !wanted {
		return nil
	}
	said := of.Said(w.o.Blocks)
	said.Comments = append([]string{d.Comment()}, said.Comments...)
	p.Interface = uint32(w.number)
	w.dropped++
	return w.stream.WriteSaid(&p, said)
}

// introduce writes new interfaces, before their packets. Called with the lock held.
func (w *Writer) introduce() error {
	for present := w.o.Present(); len(w.interfaces) < len(present); {
		next := present[len(w.interfaces)]
		if err := w.stream.AddInterface(next); err != nil {
			return err
		}
		w.interfaces = append(slices.Clone(w.interfaces), next)
	}
	return nil
}

const (
	// every is how often drops are written while no packets come. late is how long they wait then:
	// whose they are is known a moment later.
	every = 250 * time.Millisecond
	late  = 500 * time.Millisecond
)

// WriteDrops writes the packets that the kernel drops while no others come, until stop is called. If
// that fails, it calls failed: the reader is gone.
func (w *Writer) WriteDrops(failed func()) (stop func()) {
	if w.o.Drops == nil {
		return func() {}
	}
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticks := time.NewTicker(every)
		defer ticks.Stop()
		for {
			select {
			case now := <-ticks.C:
				if w.flush(now.Add(-late)) != nil {
					failed()
					return
				}
			case <-over:
				return
			}
		}
	}()
	return func() {
		close(over)
		<-ended
	}
}

// flush writes the packets that were told until a time; zero is all.
func (w *Writer) flush(until time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.o.Drops.Take(until) {
		if w.failed == nil {
			w.failed = w.drop(&d)
		}
	}
	return w.failed
}

// End writes what was dropped until now, and the statistics, if they are known for each interface.
// It returns the counters of Source that it has written: those that are asked for later may be larger.
func (w *Writer) End(ctx context.Context) ([]capture.Counters, error) {
	w.mu.Lock()
	err := w.introduce()
	w.mu.Unlock()
	if w.o.Drops != nil && err == nil {
		w.o.Drops.Stop()
		w.o.Joined.Wait(ctx, []capture.Packet{{Time: time.Now().UnixNano()}})
		err = w.flush(time.Time{})
	}
	counters := w.o.Source.Counters()
	if err != nil || len(counters) != len(w.interfaces) {
		return counters, err
	}
	blocks := counters
	if w.o.Drops != nil {
		missed := w.o.Drops.Missed()
		blocks = slices.Insert(slices.Clone(counters), w.number, capture.Counters{Received: w.dropped, Dropped: missed})
	}
	return counters, w.stream.End(blocks)
}
