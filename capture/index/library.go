// Package index finds packets of capture files by their number: of one file, or of the files of a
// ring, whose packets are numbered in one series.
//
// A file is read once. Of every 64th packet its place is kept, 16 bytes, so that any packet is a
// seek and at most 63 records away. Of each filter that was asked for, one bit a packet is kept. A
// file that grows is read on from where it ended. So a page of a file of a million packets costs a
// few hundred records, and not a million.
//
// What is kept belongs to a Library, which all readers share. Its memory is bounded, and nothing is
// written to the disk: a file is read again faster than a second file would be kept right.
package index

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"

	"diagsh/capture"
	"diagsh/capture/replay"
)

// A Source is one file of packets.
type Source struct {
	Name string

	// Stat describes the file as it is now. Open opens it. Their error is replay.ErrGone if the
	// file was deleted since it was listed, and replay.ErrEmpty if nothing is in it yet.
	Stat func() (fs.FileInfo, error)
	Open func() (*os.File, error)

	// Growing says that the file is still being written.
	Growing bool
}

// A Filter selects packets.
type Filter struct {
	// Key is what the selection depends on: filters with the same Key select the same packets.
	Key string

	// New returns a Matcher, which one goroutine uses.
	New func() (Matcher, error)
}

// A Matcher reports whether a packet is selected. It may be a *replay.Filter.
type Matcher interface {
	Match(*capture.Packet, capture.Interface) bool
}

// ErrClosed reports that the library was closed.
var ErrClosed = errors.New("the index was closed")

// A Library keeps the indexes of files.
type Library struct {
	limit int64
	turns chan struct{} // who reads

	mu     sync.Mutex
	files  map[identity]*indexed
	order  []*indexed // the one that was asked for the longest ago first
	closed bool
	scans  sync.WaitGroup
	over   chan struct{}
}

// readers is how many files are read at a time.
const readers = 2

// NewLibrary returns an empty Library, which keeps about limit bytes in memory.
func NewLibrary(limit int64) *Library {
	return &Library{limit: limit, turns: make(chan struct{}, readers), files: map[identity]*indexed{},
		over: make(chan struct{})}
}

// Close ends what is being read, and waits for that.
func (l *Library) Close() {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.over)
	}
	l.mu.Unlock()
	l.scans.Wait()
}

// start notes that a scan begins. It reports false if the library is closed.
func (l *Library) start() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.scans.Add(1)
	}
	return !l.closed
}

func (l *Library) done() { l.scans.Done() }

func (l *Library) ended() bool {
	select {
	case <-l.over:
		return true
	default:
		return false
	}
}

// turn waits until a file may be read. The caller must call release.
func (l *Library) turn() (release func()) {
	l.turns <- struct{}{}
	return func() { <-l.turns }
}

// find returns the index of a file, which becomes the newest.
func (l *Library) find(id identity) *indexed {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.files[id]
	if x == nil {
		x = newIndexed(l, id)
		l.files[id] = x
	} else {
		l.order = slices.DeleteFunc(l.order, func(o *indexed) bool { return o == x })
	}
	l.order = append(l.order, x)
	return x
}

// trim forgets filters and files until what is kept is within the limit, those that were asked for
// the longest ago first. It keeps the index of one file, for which it is called.
func (l *Library) trim(keep *indexed) {
	l.mu.Lock()
	list := slices.Clone(l.order)
	l.mu.Unlock()
	sum := int64(0)
	for _, x := range list {
		sum += x.size()
	}
	for _, x := range list {
		x.mu.Lock()
		for sum > l.limit && (x != keep || len(x.filters) > 1) {
			freed := x.forget()
			if freed == 0 {
				break
			}
			sum -= freed
		}
		x.mu.Unlock()
		if sum > l.limit && x != keep {
			sum -= x.size()
			l.drop(x)
		}
	}
}

// drop forgets a file. Whoever reads it keeps what is known so far.
func (l *Library) drop(x *indexed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.files, x.id)
	l.order = slices.DeleteFunc(l.order, func(o *indexed) bool { return o == x })
}

// Bytes returns how much memory the indexes take.
func (l *Library) Bytes() (sum int64) {
	l.mu.Lock()
	list := slices.Clone(l.order)
	l.mu.Unlock()
	for _, x := range list {
		sum += x.size()
	}
	return sum
}

// Open looks at files as one capture. The packets have positions from removed + 1 on; removed is
// how many packets were in files that are deleted. growing says that more files may come. Files
// that are gone are left out, and so are those after one that is still being written: the positions
// of their packets are not known yet.
func (l *Library) Open(removed int64, growing bool, files ...Source) (*View, error) {
	v := &View{library: l, removed: removed, growing: growing}
	var gone error
	for _, f := range files {
		info, err := f.Stat()
		switch {
		case errors.Is(err, replay.ErrGone):
			gone = cmp.Or(gone, err)
			continue
		case errors.Is(err, replay.ErrEmpty):
			continue
		case err != nil:
			return nil, err
		}
		v.parts = append(v.parts, &part{source: f, indexed: l.find(identityOf(info))})
		if v.growing = v.growing || f.Growing; f.Growing {
			break
		}
	}
	if len(v.parts) == 0 && gone != nil {
		return nil, gone
	}
	return v, nil
}
