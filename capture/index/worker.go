package index

import (
	"errors"
	"io"
	"math"
	"os"

	"diagsh/capture"
	"diagsh/capture/pcapfile"
	"diagsh/capture/replay"
)

// A worker reads one file on for one scan.
type worker struct {
	x       *indexed
	file    *os.File
	reader  *pcapfile.Reader // of the packets that are not in the index yet
	ended   bool
	readers map[*selection]*pcapfile.Reader // of the packets that a filter has not looked at yet
	chosen  [piece]bool
}

// own returns the file with a position of its own.
func (w *worker) own() io.ReadSeeker { return io.NewSectionReader(w.file, 0, math.MaxInt64) }

// step reads the file on by a step, and lets the filters follow. It reports whether there is more.
func (w *worker) step() (more bool, err error) {
	if !w.ended {
		if err := w.index(); err != nil {
			return false, err
		}
	}
	wanted, limit, layout := w.wanted()
	for key, s := range wanted {
		if err := w.follow(key, s, limit, layout); err != nil {
			return false, err
		}
	}
	if !w.ended {
		return true, nil
	}
	// A filter may have been asked for meanwhile.
	w.x.mu.Lock()
	defer w.x.mu.Unlock()
	for _, s := range w.x.filters {
		more = more || s.packets < w.x.places.packets
	}
	return more, nil
}

// wanted returns the filters that have packets to look at.
func (w *worker) wanted() (map[string]*selection, int64, pcapfile.Layout) {
	w.x.mu.Lock()
	defer w.x.mu.Unlock()
	list := map[string]*selection{}
	for key, s := range w.x.filters {
		if s.packets < w.x.places.packets {
			list[key] = s
		}
	}
	return list, w.x.places.packets, w.x.places.layout
}

// open makes the reader of what is not in the index yet.
func (w *worker) open() error {
	w.x.mu.Lock()
	accepted, layout, end := w.x.accepted, w.x.places.layout, w.x.places.end
	w.x.mu.Unlock()
	var err error
	if accepted {
		w.reader, err = layout.From(w.own(), end, nil)
		return err
	}
	if w.reader, err = pcapfile.NewReader(w.own()); err != nil {
		return err
	}
	w.x.mu.Lock()
	w.x.accepted = true
	w.learn()
	w.x.mu.Unlock()
	return nil
}

// learn notes how far the file was read. Called with the lock held.
func (w *worker) learn() {
	p := &w.x.places
	p.end = w.reader.Mark()
	p.layout = w.reader.Layout()
}

// index puts the packets of a step into the index.
func (w *worker) index() error {
	if w.reader == nil {
		if err := w.open(); err != nil {
			return err
		}
	}
	for n := 0; n < step && !w.ended; n += piece {
		if err := w.piece(); err != nil {
			return err
		}
	}
	if w.ended {
		return w.checksum()
	}
	return nil
}

// checksum notes what tells later whether the file only grew.
func (w *worker) checksum() error {
	w.x.mu.Lock()
	end, is := w.x.places.end.Offset, w.x.places.layout.Packed()
	w.x.mu.Unlock()
	if is {
		return nil
	}
	sum, err := checksum(w.file, end)
	w.x.mu.Lock()
	w.x.places.sum = sum
	w.x.mu.Unlock()
	return err
}

// piece indexes a piece of packets.
func (w *worker) piece() error {
	var marks [piece]pcapfile.Mark
	var times [piece]int64
	var p capture.Packet
	n := 0
	var fault error
	for n < piece {
		marks[n] = w.reader.Mark()
		if fault = w.reader.Next(&p); fault != nil {
			break
		}
		times[n] = p.Time
		n++
	}
	w.x.mu.Lock()
	defer w.x.mu.Unlock()
	for i := range n {
		w.x.places.add(marks[i], times[i])
	}
	w.learn()
	w.x.publish()
	var corrupt *pcapfile.CorruptError
	switch {
	case fault == nil:
		return nil
	case errors.Is(fault, io.EOF):
	case errors.Is(fault, io.ErrUnexpectedEOF), errors.As(fault, &corrupt):
		w.x.torn = fault
	default:
		return fault
	}
	w.ended = true
	return nil
}

// follow has a filter look at the packets before limit.
func (w *worker) follow(key string, s *selection, limit int64, layout pcapfile.Layout) error {
	reader := w.readers[s]
	if reader == nil {
		start := s.end
		if !s.begun {
			_, start, _ = w.x.place(0)
		}
		var err error
		if reader, err = layout.From(w.own(), start, nil); err != nil {
			return err
		}
		w.readers[s] = reader
	}
	for still := true; still && s.packets < limit && !w.x.library.ended(); {
		n, err := w.choose(reader, s.matcher, int(min(piece, limit-s.packets)))
		w.x.mu.Lock()
		s.add(w.chosen[:n])
		s.end, s.begun = reader.Mark(), true
		w.x.publish()
		_, still = w.x.filters[key]
		w.x.mu.Unlock()
		if err != nil {
			return err
		}
	}
	if f, is := s.matcher.(*replay.Filter); is {
		w.x.mu.Lock()
		s.left, s.fault = f.LeftOut(), f.Fault(layout.Interfaces(), layout.Format() == capture.PCAPNG)
		w.x.mu.Unlock()
	}
	return nil
}

// choose asks a filter about n packets.
func (w *worker) choose(r *pcapfile.Reader, m Matcher, n int) (int, error) {
	var p capture.Packet
	for i := range n {
		if err := r.Next(&p); err != nil {
			return i, err
		}
		w.chosen[i] = m.Match(&p, r.Interface(p.Interface))
	}
	return n, nil
}
