package index

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"diagsh/capture/replay"
)

// A View is the packets of files at one moment: Wait brings it up to date. One goroutine uses it.
type View struct {
	// HeadersOnly cuts every packet after its headers.
	HeadersOnly bool

	library *Library
	parts   []*part
	removed int64
	growing bool

	filter *Filter // of the last Wait
}

// A part is one file of a view.
type part struct {
	source  Source
	indexed *indexed
	stamp   stamp
	begun   bool // it is being read, as far as that is necessary
	gone    bool // the file was deleted

	// what the view knows
	packets  int64
	selected int64 // by the filter; all if there is none
	version  int
	whole    bool // all that is in the file is known
	from, to int64
	torn     error
	left     []replay.Left
	fault    error
}

// A Progress is what is known of the packets of a view.
type Progress struct {
	Packets          int64
	Selected         int64 // by the filter; all if there is none
	Complete         bool  // all is known, and no more packets will come
	Growing          bool  // a file is still being written
	Earliest, Latest int64 // times of packets; 0 if there is none
}

// Wait reads the files on. It returns when all that is in them is known, after limit (negative is
// no limit), or when enough reports true. filter may be nil. The error is ctx's, replay.ErrGone,
// pcapfile.ErrNoCapture, a *pcapfile.PackedError or *pcapfile.CorruptError, or from a file.
func (v *View) Wait(ctx context.Context, filter *Filter, limit time.Duration,
	enough func(Progress) bool) (Progress, error) {
	var late <-chan time.Time
	if limit >= 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		late = timer.C
	}
	v.filter = filter
	for _, p := range v.parts {
		p.begun, p.whole = false, false
	}
	var err error
	for n, p := range v.parts {
		for tries := 0; err == nil && !p.whole && tries < maxTries; tries++ {
			if err = v.begin(p); err == nil && n+1 < len(v.parts) && !v.parts[n+1].begun {
				err = v.begin(v.parts[n+1]) // it is read beside this one
			}
			if err == nil {
				err = v.wait(ctx, p, late, enough)
			}
		}
	}
	if err == nil || errors.Is(err, errLate) {
		err = v.take()
	}
	return v.Progress(), err
}

// maxTries is how often a file is read on that changes while it is read.
const maxTries = 8

// errLate ends waiting: the time is up, or enough is known.
var errLate = errors.New("no more waiting")

// begin has a file read on, if there is more in it than is known.
func (v *View) begin(p *part) error {
	p.begun, p.whole = true, false
	info, err := p.source.Stat()
	if errors.Is(err, replay.ErrGone) || errors.Is(err, replay.ErrEmpty) {
		p.gone, p.whole = true, true
		return nil
	}
	if err != nil {
		return err
	}
	p.stamp = stampOf(info)
	return p.indexed.begin(p.source, p.stamp, v.filter)
}

// wait waits until a file is read.
func (v *View) wait(ctx context.Context, p *part, late <-chan time.Time, enough func(Progress) bool) error {
	for {
		changed, err := p.look(v.filter)
		if err != nil || changed == nil {
			return err
		}
		if enough != nil {
			if err := v.take(); err != nil {
				return err
			}
			if enough(v.Progress()) {
				return errLate
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-v.library.over:
			return ErrClosed
		case <-late:
			return errLate
		case <-changed:
		}
	}
}

// take takes over what is known of all files. After one that is not known to its end there is
// nothing: the positions of the packets that follow are not known.
func (v *View) take() error {
	whole := true
	for _, p := range v.parts {
		if _, err := p.look(v.filter); err != nil {
			return err
		}
		if !whole {
			p.packets, p.selected, p.whole = 0, 0, false
		}
		whole = whole && p.whole
	}
	return nil
}

// look takes over what is known of the file. It returns a channel that is closed when there is
// more, or nil if the file is not being read.
func (p *part) look(filter *Filter) (<-chan struct{}, error) {
	if p.gone {
		p.packets, p.selected = 0, 0
		return nil, nil
	}
	x := p.indexed
	x.mu.Lock()
	defer x.mu.Unlock()
	x.asked = time.Now()
	p.packets, p.version, p.torn, p.from, p.to = x.places.packets, x.version, x.torn, x.places.from, x.places.to
	p.selected, p.left, p.fault = p.packets, nil, nil
	behind := false
	if filter != nil {
		s, err := x.selection(filter)
		if err != nil {
			return nil, err
		}
		p.selected, p.left, p.fault = s.selected, s.left, s.fault
		behind = s.packets < p.packets
	}
	if x.running {
		return x.changed, nil
	}
	if errors.Is(x.failed, replay.ErrGone) {
		p.gone, p.packets, p.selected = true, 0, 0
	} else if x.failed != nil {
		return nil, x.failed
	}
	p.whole = p.gone || p.begun && !behind && (p.source.Growing || x.scanned == p.stamp)
	return nil, nil
}

// Progress returns what the last Wait has found.
func (v *View) Progress() Progress {
	s := Progress{Complete: !v.growing, Growing: v.growing}
	for _, p := range v.parts {
		s.Packets += p.packets
		s.Selected += p.selected
		s.Complete = s.Complete && p.whole
		if p.packets == 0 {
			continue
		}
		if s.Earliest == 0 || p.from < s.Earliest {
			s.Earliest = p.from
		}
		s.Latest = max(s.Latest, p.to)
	}
	return s
}

// Removed returns how many packets of the capture are before the first of the view.
func (v *View) Removed() int64 { return v.removed }

// Torn returns why the packets of a file end before the file does, by the names of the files:
// io.ErrUnexpectedEOF, or a *pcapfile.CorruptError. The file that is being written may always end
// so.
func (v *View) Torn() map[string]error {
	list := map[string]error{}
	for _, p := range v.parts {
		if p.torn != nil && !p.source.Growing {
			list[p.source.Name] = p.torn
		}
	}
	return list
}

// LeftOut returns the packets that the filter does not apply to, by reason. If it applies to no
// packet at all, fault says why.
func (v *View) LeftOut() (list []replay.Left, fault error) {
	applied := false
	for _, p := range v.parts {
		applied = applied || p.packets > 0 && p.fault == nil
		fault = cmp.Or(fault, p.fault)
		for _, l := range p.left {
			i := slices.IndexFunc(list, func(o replay.Left) bool { return o.Err.Error() == l.Err.Error() })
			if i < 0 {
				list = append(list, l)
			} else {
				list[i].Packets += l.Packets
			}
		}
	}
	if applied {
		fault = nil
	}
	return list, fault
}

// FileNames returns the names of the files.
func (v *View) FileNames() (names []string) {
	for _, p := range v.parts {
		names = append(names, p.source.Name)
	}
	return names
}

// PositionOf returns the position of a packet by the name of its file and its number there, from 1.
// It returns 0 if the packet is not known.
func (v *View) PositionOf(file string, inFile int64) int64 {
	for at, p := range v.parts {
		if p.source.Name == file && inFile <= p.packets {
			return v.before(at) + inFile
		}
	}
	return 0
}

// FileName returns the name of a file, by its number in a Packet.
func (v *View) FileName(file int) string { return v.parts[file].source.Name }
