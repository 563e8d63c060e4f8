package beside

import (
	"bufio"
	"encoding/json"
	"hash/maphash"
	"io"
	"math"
	"slices"
	"time"

	"diagsh/capture/owners"
)

// keepEnded is how long before the oldest packet a flow must have ended to be left out: packets come
// after the end of theirs, and are not quite in the order of their times.
const keepEnded = 2 * time.Minute

// shortenFlows copies a file of flows, for packets from a time on: without the flows that were over
// before, without what was told again later, and with one line for each stretch that says up to when
// all is known. The copy knows nothing of the time before. It reads the file twice.
func shortenFlows(to io.Writer, from io.ReadSeeker, oldest time.Time) error {
	w := &winnow{before: math.MinInt64, seed: maphash.MakeSeed(), flows: map[uint64]lastTold{}}
	if !oldest.IsZero() {
		w.before = oldest.Add(-keepEnded).UnixNano()
	}
	if err := eachLine(from, w.read); err != nil {
		return err
	}
	keep := w.kept()
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return eachLine(from, func(n int, line []byte) error {
		if !keep[n] {
			return nil
		}
		if first := w.stretches[0]; n == first.line && first.from < w.before {
			line = owners.AppendLine(nil, owners.Line{Event: owners.Began, Time: time.Unix(0, w.before), NetNS: first.netns})
		}
		_, err := to.Write(line)
		return err
	})
}

// eachLine calls do with each line of a file, by its number from 0, with its end.
func eachLine(from io.Reader, do func(n int, line []byte) error) error {
	in := bufio.NewReaderSize(from, 256<<10) // more than a line has
	for n := 0; ; n++ {
		line, err := in.ReadSlice('\n')
		switch {
		case err == io.EOF && len(line) == 0:
			return nil
		case err != nil:
			return err
		}
		if err := do(n, line); err != nil {
			return err
		}
	}
}

// A winnow finds which lines of a file of flows are still needed.
type winnow struct {
	before    int64 // nanoseconds since 1970
	lines     int
	stretches []stretch
	flows     map[uint64]lastTold // by the hash of what stays the same of a flow
	seed      maphash.Seed
	addresses []int // lines of them, from the last that held when before came
	others    []int // lines that are kept if their stretch is
}

// A stretch is what a file tells without a pause.
type stretch struct {
	line, known int // that begins it, and that says up to when all is known
	from, until int64
	netns       uint64
}

// A lastTold is what was told last of a flow.
type lastTold struct {
	line  int
	until int64
}

func (w *winnow) read(n int, text []byte) error {
	var l struct {
		Event owners.Event `json:"event"`
		Time  time.Time    `json:"time"`
		owners.Flow
	}
	if json.Unmarshal(text, &l) != nil || n == 0 && l.Event != owners.Began {
		return owners.ErrNoFlows
	}
	w.lines = n + 1
	at := l.Time.UnixNano()
	switch l.Event {
	case owners.Began:
		w.begin(stretch{line: n, known: n, from: at, until: at, netns: l.NetNS})
	case owners.Known:
		if s := &w.stretches[len(w.stretches)-1]; at >= s.until {
			s.known, s.until = n, at
		}
	case owners.Told:
		told := lastTold{n, math.MaxInt64}
		if !l.Until.IsZero() {
			told.until = l.Until.UnixNano()
		}
		w.flows[w.hash(&l.Flow)] = told
	case owners.Addressed:
		if at <= w.before {
			w.addresses = w.addresses[:0]
		}
		w.addresses = append(w.addresses, n)
	default:
		if l.Event == owners.Ended {
			s := &w.stretches[len(w.stretches)-1]
			s.until = max(s.until, at)
		}
		if l.Event != owners.Lost || at >= w.before {
			w.others = append(w.others, n)
		}
	}
	return nil
}

// begin begins a stretch. Flows that went on in the one before are over, as far as it is known.
func (w *winnow) begin(s stretch) {
	if n := len(w.stretches); n > 0 {
		for id, told := range w.flows {
			if told.until == math.MaxInt64 {
				told.until = w.stretches[n-1].until
				w.flows[id] = told
			}
		}
	}
	w.stretches = append(w.stretches, s)
}

// hash returns a number of what stays the same of a flow that is told again. Two flows have the same
// one so rarely that the worst of it, a packet without a process, does not matter.
func (w *winnow) hash(f *owners.Flow) uint64 {
	return maphash.Comparable(w.seed, struct {
		flowID
		netns uint64
	}{idOf(f), f.NetNS})
}

// kept returns which lines are kept, and forgets the stretches that are not.
func (w *winnow) kept() []bool {
	keep := make([]bool, w.lines)
	for len(w.stretches) > 1 && w.stretches[0].until < w.before {
		w.stretches = w.stretches[1:]
	}
	first := w.stretches[0].line
	for _, s := range w.stretches {
		keep[s.line], keep[s.known] = true, true
	}
	for _, n := range slices.Concat(w.addresses, w.others) {
		keep[n] = n >= first
	}
	for _, told := range w.flows {
		keep[told.line] = told.line >= first && told.until >= w.before
	}
	return keep
}
