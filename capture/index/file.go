package index

import (
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"sort"
	"sync"
	"syscall"
	"time"

	"diagsh/capture/pcapfile"
	"diagsh/capture/replay"
)

const (
	// firstStride is how many packets are between two places that an index keeps. It doubles when
	// the file has more than maxEntries of them, so that an index has at most 8 MB.
	firstStride = 64
	maxEntries  = 1 << 19

	// step is how many packets a file is read on before its filters follow, and files take turns.
	step = 1 << 18

	// piece is how many packets become visible together.
	piece = 4096

	// abandoned is how long a scan goes on without being asked for.
	abandoned = 30 * time.Second

	// checked is how many bytes at the end of what was read tell whether a file only grew.
	checked = 4096

	// maxFilters is how many filters of one file are kept.
	maxFilters = 16
)

// An entry is the place before a packet.
type entry struct {
	offset int64
	until  int64 // the latest time of the packets up to this one
}

// A turn is where a file of several sections changes how it is read.
type turn struct {
	entry int // the first one of it
	mark  pcapfile.Mark
}

// An identity is a file, whatever its name is.
type identity struct{ device, inode uint64 }

// A stamp is the state of a file that a scan has read.
type stamp struct {
	bytes    int64
	modified time.Time
}

func stampOf(info fs.FileInfo) stamp { return stamp{info.Size(), info.ModTime()} }

func identityOf(info fs.FileInfo) identity {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return identity{s.Dev, s.Ino}
	}
	return identity{}
}

// places are where the packets of a file are.
type places struct {
	layout   pcapfile.Layout
	entries  []entry
	turns    []turn
	stride   int64
	packets  int64
	end      pcapfile.Mark // after the last packet
	from, to int64         // the earliest and the latest time
	sum      uint32        // of the bytes before the end, if the file is not packed
}

// A selection is the packets that a filter selects, as far as they were looked at.
type selection struct {
	bitmap
	matcher Matcher       // of the goroutine that scans
	end     pcapfile.Mark // after the last packet that was looked at
	asked   time.Time
	fault   error // why the filter applied to no packet, so far
	left    []replay.Left
	begun   bool
}

// An indexed is the index of one file. It is scanned by at most one goroutine at a time.
type indexed struct {
	library *Library
	id      identity

	mu       sync.Mutex // guards what follows
	running  bool
	changed  chan struct{} // closed when there is more, or the scan ends
	asked    time.Time
	scanned  stamp // the file as the last scan to its end found it
	places   places
	filters  map[string]*selection
	version  int   // counts how often all was forgotten because the file is another one now
	torn     error // why the packets end before the file
	failed   error // why the file cannot be read
	accepted bool  // it is a capture file
}

func newIndexed(l *Library, id identity) *indexed {
	return &indexed{library: l, id: id, changed: make(chan struct{}), filters: map[string]*selection{},
		places: places{stride: firstStride}}
}

// begin starts a scan if the file has changed since the last one, or the filter has not looked at
// all packets.
func (x *indexed) begin(source Source, now stamp, f *Filter) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.asked = time.Now()
	behind := false
	if f != nil {
		s, err := x.selection(f)
		if err != nil {
			return err
		}
		behind = s.packets < x.places.packets
	}
	if x.running || x.scanned == now && !behind {
		return nil
	}
	if !x.library.start() {
		return ErrClosed
	}
	x.running = true
	go x.scan(source)
	return nil
}

// selection returns the selection of a filter. The one that was not asked for the longest makes
// room for a new one. Called with the lock held.
func (x *indexed) selection(f *Filter) (*selection, error) {
	s := x.filters[f.Key]
	if s == nil {
		matcher, err := f.New()
		if err != nil {
			return nil, err
		}
		if len(x.filters) >= maxFilters {
			x.forget()
		}
		s = &selection{matcher: matcher}
		x.filters[f.Key] = s
	}
	s.asked = time.Now()
	return s, nil
}

// forget drops the filter that was not asked for the longest, and returns its memory in bytes; 0 if
// there is none. Called with the lock held.
func (x *indexed) forget() int64 {
	oldest := ""
	for key, s := range x.filters {
		if oldest == "" || s.asked.Before(x.filters[oldest].asked) {
			oldest = key
		}
	}
	if oldest == "" {
		return 0
	}
	size := x.filters[oldest].size()
	delete(x.filters, oldest)
	return size
}

// scan reads the file to its end, and has its filters look at all packets.
func (x *indexed) scan(source Source) {
	defer x.library.done()
	err := x.read(source)
	x.mu.Lock()
	x.running, x.failed = false, err
	x.publish()
	x.mu.Unlock()
	x.library.trim(x)
}

// publish wakes those who wait for more. Called with the lock held.
func (x *indexed) publish() {
	close(x.changed)
	x.changed = make(chan struct{})
}

func (x *indexed) read(source Source) error {
	file, err := source.Open()
	if err != nil {
		if errors.Is(err, replay.ErrEmpty) {
			return nil
		}
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	x.resume(file, info)
	w := worker{x: x, file: file, readers: map[*selection]*pcapfile.Reader{}}
	for more := true; more; {
		if x.library.ended() || x.leftAlone() {
			return nil
		}
		release := x.library.turn()
		more, err = w.step()
		release()
		if err != nil {
			return err
		}
	}
	x.mu.Lock()
	x.scanned = stampOf(info)
	x.mu.Unlock()
	return nil
}

// leftAlone reports whether the scan has not been asked for lately.
func (x *indexed) leftAlone() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return time.Since(x.asked) > abandoned
}

// resume forgets all if the file does not continue what was read of it.
func (x *indexed) resume(file *os.File, info fs.FileInfo) {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := &x.places
	x.torn = nil
	switch {
	case !x.accepted, x.scanned == stampOf(info):
		return
	case !p.layout.Packed() && info.Size() >= p.end.Offset:
		if sum, err := checksum(file, p.end.Offset); err == nil && sum == p.sum {
			return
		}
	}
	*p = places{stride: firstStride}
	x.accepted, x.scanned = false, stamp{}
	x.version++
	clear(x.filters)
}

// checksum sums up the beginning of a file and the bytes before an offset.
func checksum(file io.ReaderAt, end int64) (uint32, error) {
	b := make([]byte, min(checked, end))
	if _, err := file.ReadAt(b, end-int64(len(b))); err != nil {
		return 0, err
	}
	sum := crc32.ChecksumIEEE(b)
	head := b[:min(len(b), 64)]
	if _, err := file.ReadAt(head, 0); err != nil {
		return 0, err
	}
	return crc32.Update(sum, crc32.IEEETable, head), nil
}

// place returns how to read on from the last entry before a packet, and how many packets are
// between them.
func (x *indexed) place(number int64) (pcapfile.Layout, pcapfile.Mark, int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := &x.places
	n := min(int(number/p.stride), len(p.entries)-1)
	if n < 0 {
		return p.layout, pcapfile.Mark{}, -1
	}
	return p.layout, p.mark(n), number - int64(n)*p.stride
}

// mark returns the mark of an entry.
func (p *places) mark(n int) pcapfile.Mark {
	after := sort.Search(len(p.turns), func(i int) bool { return p.turns[i].entry > n })
	m := p.turns[after-1].mark
	m.Offset = p.entries[n].offset
	return m
}

// add adds a packet; before is the place before it.
func (p *places) add(before pcapfile.Mark, time int64) {
	if p.packets == 0 {
		p.from, p.to = time, time
	}
	p.from, p.to = min(p.from, time), max(p.to, time)
	if p.packets%p.stride == 0 {
		if len(p.entries) == maxEntries {
			p.thin()
		}
		if p.packets%p.stride == 0 {
			if len(p.turns) == 0 || !p.turns[len(p.turns)-1].mark.Same(before) {
				p.turns = append(p.turns, turn{len(p.entries), before})
			}
			p.entries = append(p.entries, entry{before.Offset, p.to})
		}
	}
	p.packets++
}

// thin keeps every second entry. None moves to a place after its own, so mark still reads those to
// come as they were.
func (p *places) thin() {
	kept := p.entries[:0:len(p.entries)]
	var turns []turn
	for n := 0; n < len(p.entries); n += 2 {
		m := p.mark(n)
		if len(turns) == 0 || !turns[len(turns)-1].mark.Same(m) {
			turns = append(turns, turn{len(kept), m})
		}
		kept = append(kept, p.entries[n])
	}
	p.entries, p.turns, p.stride = kept, turns, 2*p.stride
}

// size returns how many bytes of memory the index takes.
func (x *indexed) size() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	const fixed, ofTurn = 1024, 32
	size := fixed + int64(cap(x.places.entries))*16 + int64(cap(x.places.turns))*ofTurn + x.places.layout.Size()
	for _, s := range x.filters {
		size += s.size()
	}
	return size
}
