// Package dropped writes the files beside captures that hold packets which the kernel dropped
// meanwhile: each with the reason and the place as a comment, and the processes at its ends where
// they are known.
package dropped

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"diagsh/capture"
	"diagsh/capture/drops"
	"diagsh/capture/pcapfile"
	"diagsh/internal/daemon/captures/beside"
	"diagsh/internal/menu"
)

// A Recorder writes such files.
type Recorder struct {
	Engine *drops.Engine

	// Owners begins to follow who has which conversation in this network namespace. What it returns
	// says so of packets that begin with the header of IP, in comments, until stop was called and
	// after; one goroutine calls it. It may fail, and may be nil: then no processes are known.
	Owners func() (of func(*capture.Packet) []string, stop func(), err error)

	Machine, System, Application string // as files say them
}

const (
	// late is how long a packet waits until who had its conversation is asked: it is known a moment
	// later than the packet.
	late = 500 * time.Millisecond

	// every is how often packets are written. countEvery is how often they are counted.
	every      = 250 * time.Millisecond
	countEvery = time.Second
)

// Kind implements beside.Recorder.
func (Recorder) Kind() beside.Kind { return beside.Drops }

// Wanted implements beside.Recorder.
func (Recorder) Wanted(o capture.Options) bool { return o.Drops }

// Begin implements beside.Recorder.
func (r Recorder) Begin(c beside.Capture, out *beside.File) (end func(), err error) {
	w := &writer{engine: r.Engine, out: out, capture: c, recorded: map[string]uint64{}, earlier: out.Reasons()}
	selection, unfit := drops.Select(context.Background(), c.Options, c.Filter)
	w.feed, err = r.Engine.Feed(selection)
	var unavailable *drops.UnavailableError
	if errors.As(err, &unavailable) {
		return nil, &menu.Error{Code: menu.Unsupported, Argument: "drops", Message: unavailable.Reason,
			Hint: "Start the capture without drops"}
	}
	if err != nil {
		return nil, err
	}
	forget := func() {}
	if r.Owners != nil {
		if of, stop, err := r.Owners(); err == nil {
			w.owners, forget = of, stop
		}
	}
	if w.before, err = w.count(); err == nil {
		err = w.begin(r, unfit != nil)
	}
	if err != nil {
		w.feed.Stop()
		forget()
		return nil, err
	}
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		w.run(over)
	}()
	return func() {
		close(over)
		<-ended
		w.look()
		w.feed.Stop()
		forget()
		w.write(time.Time{})
		w.tell()
	}, nil
}

// A writer writes one file.
type writer struct {
	engine  *drops.Engine
	out     *beside.File
	capture beside.Capture
	feed    *drops.Feed

	owners func(*capture.Packet) []string // nil: no processes are known
	stream *pcapfile.Stream
	buffer bytes.Buffer // what the stream writes, until it is whole

	earlier  []capture.DropReason // of parts of the capture before this one
	before   map[reason]uint64    // when this part began
	now      map[reason]uint64
	recorded map[string]uint64 // by reason
}

// A reason is what is counted together.
type reason struct {
	name  string
	noise bool
}

// begin writes the beginning of the file, or of its next part. unfit reports that the filter asks for
// what is before the header of IP.
func (w *writer) begin(r Recorder, unfit bool) (err error) {
	lines := []string{"Packets that the kernel dropped during the capture " + w.capture.Name}
	blind, _ := w.engine.Running()
	lines = append(lines, blind...)
	if unfit {
		lines = append(lines, "The filter of the capture asks for more than IP, so packets are here that do not match it")
	}
	if w.capture.Options.Process != "" {
		lines = append(lines, "They are of all processes, also of others than those of the capture")
	}
	w.stream, err = pcapfile.NewStream(&w.buffer, capture.FileHeader{
		Format: capture.PCAPNG, Interfaces: []capture.Interface{drops.Interface}, SnapLength: drops.SnapLength,
		Filter: w.capture.Filter, Comments: lines, MaxBytes: capture.Unlimited, Start: time.Now(),
		Machine: r.Machine, System: r.System, Application: r.Application,
	})
	if err != nil {
		return err
	}
	w.flush()
	return nil
}

// flush writes what is whole. A file that takes no more says so in its status.
func (w *writer) flush() {
	w.out.Write(w.buffer.Bytes())
	w.buffer.Reset()
}

func (w *writer) run(over <-chan struct{}) {
	write, count := time.NewTicker(every), time.NewTicker(countEvery)
	defer write.Stop()
	defer count.Stop()
	for {
		select {
		case now := <-write.C:
			w.write(now.Add(-late))
		case <-count.C:
			w.look()
			w.tell()
		case <-over:
			return
		}
	}
}

// write writes the packets that were told before a time; zero is all.
func (w *writer) write(before time.Time) {
	for _, d := range w.feed.Take(before) {
		p := d.Packet()
		w.stream.WriteCommented(&p, append([]string{d.Comment()}, w.processes(&p)...)...)
		size := w.buffer.Len()
		if written, _ := w.out.Write(w.buffer.Bytes()); written == size {
			w.recorded[d.Reason]++
		}
		w.buffer.Reset()
	}
}

// processes returns what is said of the processes at the ends of a packet.
func (w *writer) processes(p *capture.Packet) []string {
	if w.owners == nil {
		return nil
	}
	return w.owners(p)
}

// count returns what was dropped since the engine runs.
func (w *writer) count() (map[reason]uint64, error) {
	counts, _, err := w.engine.Counts()
	sums := map[reason]uint64{}
	for _, c := range counts {
		sums[reason{c.Reason, c.Noise}] += c.Packets
	}
	return sums, err
}

// look counts. What cannot be counted stays as it was.
func (w *writer) look() {
	if now, err := w.count(); err == nil {
		w.now = now
	}
}

// tell brings what the status says up to date, the reason of most packets first.
func (w *writer) tell() {
	list := slices.Clone(w.earlier)
	for r, n := range w.now {
		if n <= w.before[r] {
			continue
		}
		i := slices.IndexFunc(list, func(c capture.DropReason) bool { return c.Reason == r.name && c.Noise == r.noise })
		if i < 0 {
			i, list = len(list), append(list, capture.DropReason{Reason: r.name, Noise: r.noise})
		}
		list[i].Packets += n - w.before[r]
		if !r.noise {
			list[i].Recorded += w.recorded[r.name]
		}
	}
	slices.SortFunc(list, func(a, b capture.DropReason) int {
		return cmp.Or(cmp.Compare(b.Packets, a.Packets), strings.Compare(a.Reason, b.Reason))
	})
	w.out.SetReasons(list)
}
