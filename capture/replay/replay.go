// Package replay reads packets of capture files as a capture.Source, in the same way as those of a
// live ring.
package replay

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"diagsh/capture"
	"diagsh/capture/pcapfile"
)

// Options say which packets are wanted.
type Options struct {
	// From is the time of the first packet, To the time after the last one; a zero time is no
	// bound. Files may not be in the order of time, so all are read.
	From, To time.Time

	// Match selects packets, as the filter program of the kernel does; nil selects all.
	Match func(*capture.Packet, capture.Interface) bool
}

// An Opener opens a file. It is called when the files before it have been read.
type Opener func() (io.ReadCloser, error)

// ErrGone is in an Opener's error if the file was deleted since it was listed, as a ring deletes
// its oldest.
var ErrGone = errors.New("the file was deleted since it was listed")

// ErrEmpty is an Opener's error if the file has just been made, and nothing is in it. It is left out.
var ErrEmpty = errors.New("nothing is in the file yet")

// Open starts to read files, one after the other, as one capture. It opens the first at once, and
// leaves out those before it that are gone. One that is gone later is an error, because packets in
// the middle would be missing. The error is the opener's, pcapfile.ErrNoCapture or a
// *pcapfile.CorruptError.
func (o Options) Open(files ...Opener) (*Source, error) {
	s := &Source{options: o, files: files, memory: make([]byte, 0, arena)}
	err := s.open()
	for errors.Is(err, ErrGone) && len(s.files) > 1 {
		s.files = s.files[1:]
		err = s.open()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return s, nil
}

// Source reads the packets of files. It is a capture.Source that never waits.
type Source struct {
	options Options
	files   []Opener // those not yet opened

	file   io.ReadCloser
	reader *pcapfile.Reader

	interfaces []capture.Interface // of the files read so far
	base       int                 // index of the first one of this file
	directed   bool                // see Directed

	memory []byte // of the packets of a batch
	held   capture.Packet
	holds  bool // held was not returned yet, because memory was full

	woken    atomic.Bool
	finished atomic.Bool
	torn     error // why the last file ended early

	mutex    sync.Mutex // guards what follows
	counters capture.Counters
	closed   bool
}

// arena is the memory for one batch: any packet fits.
const arena = 4 * capture.MaxSnapLength

// open opens the next file.
func (s *Source) open() error {
	if len(s.files) == 0 {
		return io.EOF
	}
	file, err := s.files[0]()
	if errors.Is(err, ErrEmpty) {
		s.files = s.files[1:]
		return s.open()
	}
	if err != nil {
		return err
	}
	reader, err := pcapfile.NewReader(file)
	if err != nil {
		file.Close()
		return err
	}
	s.files = s.files[1:]
	s.base = len(s.interfaces)
	s.file, s.reader = file, reader
	s.directed = s.directed || reader.Format() == capture.PCAPNG
	s.learn()
	return nil
}

// learn adds the interfaces that the file has brought.
func (s *Source) learn() {
	if seen := len(s.interfaces) - s.base; s.reader.NumInterfaces() > seen {
		s.interfaces = append(s.interfaces, s.reader.Interfaces()[seen:]...)
	}
}

// Interfaces returns those seen so far, in the order of capture.Packet.Interface. A pcapng file may
// bring more with any packet.
func (s *Source) Interfaces() []capture.Interface { return s.interfaces }

// Directed reports whether the format of any file read so far can record the direction of a packet.
func (s *Source) Directed() bool { return s.directed }

// Torn returns why a file could not be read to its end: io.ErrUnexpectedEOF if it ends in the
// middle of a packet, or a *pcapfile.CorruptError. The packets before that were read.
func (s *Source) Torn() error { return s.torn }

// Read implements capture.Source. Corrupt data ends its file but not the source, see Torn.
func (s *Source) Read(batch []capture.Packet, _ time.Time) (int, error) {
	s.memory = s.memory[:0]
	n := 0
	if s.holds && len(batch) > 0 {
		batch[0], s.holds = s.keep(s.held), false
		n = 1
	}
	for n < len(batch) {
		if s.woken.Swap(false) {
			return s.count(n), nil
		}
		var p capture.Packet
		switch err := s.next(&p); {
		case errors.Is(err, errWoken):
			return s.count(n), nil
		case errors.Is(err, io.EOF):
			if n > 0 {
				return s.count(n), nil
			}
			return 0, io.EOF
		case err != nil:
			return s.count(n), err
		}
		if len(p.Data) > cap(s.memory)-len(s.memory) {
			// The reader keeps the packet's data until its next read.
			s.held, s.holds = p, true
			break
		}
		batch[n] = s.keep(p)
		n++
	}
	return s.count(n), nil
}

// keep copies a packet's data to the memory of the batch.
func (s *Source) keep(p capture.Packet) capture.Packet {
	from := len(s.memory)
	s.memory = append(s.memory, p.Data...)
	p.Data = s.memory[from:len(s.memory):len(s.memory)]
	return p
}

func (s *Source) count(n int) int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.counters.Received += uint64(n)
	return n
}

// next finds the next packet that is wanted.
func (s *Source) next(p *capture.Packet) error {
	// A filter that selects nothing must not keep a reader from stopping, so Wake is checked
	// between packets.
	for skipped := 0; ; skipped++ {
		if s.finished.Load() || s.reader == nil {
			return io.EOF
		}
		if skipped%wakeStep == wakeStep-1 && s.woken.Swap(false) {
			return errWoken
		}
		err := s.reader.Next(p)
		if err != nil {
			s.learn() // interfaces without a packet
			if !errors.Is(err, io.EOF) {
				if s.torn = err; !tear(err) {
					return err
				}
			}
			s.file.Close()
			s.reader = nil
			if err := s.open(); err != nil {
				return err
			}
			continue
		}
		s.learn()
		p.Interface += uint32(s.base)
		if s.wanted(p) {
			return nil
		}
	}
}

const wakeStep = 4096

var errWoken = errors.New("woken")

// tear reports whether an error is about the file's content, not about reading it.
func tear(err error) bool {
	var corrupt *pcapfile.CorruptError
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &corrupt)
}

func (s *Source) wanted(p *capture.Packet) bool {
	switch {
	case !s.options.From.IsZero() && p.Time < s.options.From.UnixNano():
		return false
	case !s.options.To.IsZero() && p.Time >= s.options.To.UnixNano():
		return false
	}
	return s.options.Match == nil || s.options.Match(p, s.interfaces[p.Interface])
}

// Finish implements capture.Source. It does nothing, because no packet is pending.
func (s *Source) Finish() error {
	s.finished.Store(true)
	return nil
}

// Wake implements capture.Source.
func (s *Source) Wake() { s.woken.Store(true) }

// Counters implements capture.Source. They are sums over all interfaces: only the end of a file
// tells how many it has.
func (s *Source) Counters() []capture.Counters {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return []capture.Counters{s.counters}
}

// Close implements capture.Source.
func (s *Source) Close() error {
	s.finished.Store(true)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.closed || s.file == nil {
		return nil
	}
	s.closed = true
	return s.file.Close()
}
