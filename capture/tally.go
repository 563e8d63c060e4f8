package capture

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"diagsh/capture/filter"
	"diagsh/capture/tuples"
)

// tallied is how many bytes of a packet a Tally looks at: more than the headers that filters in
// fields read, on any link that is captured from.
const tallied = 256

// A Tally counts how many packets each of the filters in fields matches, by the programs that the
// kernel runs for them. It does not allocate for a packet. Match is for one goroutine.
type Tally struct {
	filters tuples.List
	// programs compile those for a link when they are asked for first; nil: the filter rejects every packet
	programs map[LinkType]func() []*filter.Program
}

// NewTally returns a Tally. Filters that Spec.Check has not accepted match nothing.
func NewTally(filters tuples.List) *Tally {
	t := &Tally{filters: filters, programs: make(map[LinkType]func() []*filter.Program)}
	if len(filters) < 2 {
		return t // every packet of the capture matches the only one
	}
	set, err := tuples.Parse(filters)
	if err != nil {
		return t
	}
	for link, target := range map[LinkType]filter.LinkType{Ethernet: filter.EN10MB, Raw: filter.Raw} {
		t.programs[link] = sync.OnceValue(func() []*filter.Program { return compileEach(set.Expressions, target) })
	}
	return t
}

// compileEach compiles expressions for packets of a link, as many at a time as there are processors: there
// may be many, and long ones.
func compileEach(expressions []string, link filter.LinkType) []*filter.Program {
	programs := make([]*filter.Program, len(expressions))
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(expressions)) {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(expressions)); i = next.Add(1) - 1 {
				programs[i], _ = filter.Compile(expressions[i], filter.Target{LinkType: link, Kind: filter.Live})
			}
		})
	}
	all.Wait()
	return programs
}

// Prepare compiles what Match needs for packets of a link, so that the first of them does not wait. It may
// be called from any goroutine; of a nil Tally it does nothing.
func (t *Tally) Prepare(link LinkType) {
	if t != nil && t.programs[link] != nil {
		t.programs[link]()
	}
}

// Match returns which filters a packet of the capture matches, as bits.
func (t *Tally) Match(p *Packet, link LinkType) (bits uint64) {
	if len(t.filters) == 1 {
		return 1
	}
	data := p.Data
	if p.Tagged {
		data = data[tagLength:] // the kernel's filter has seen no tag there; the addresses before it are not looked at
	}
	compiled := t.programs[link]
	if compiled == nil {
		return 0
	}
	for i, program := range compiled() {
		if program != nil && program.Match(data, filter.Metadata{Length: p.Length}) != 0 {
			bits |= 1 << i
		}
	}
	return bits
}

const tagLength = 4

// Counts are how many packets each filter matched; nil if that is not known.
type Counts []uint64

// Add counts a packet by the bits of Match.
func (c Counts) Add(bits uint64) {
	for i := range c {
		c[i] += bits >> i & 1
	}
}

// Plus returns the sums, nil if one of both is not known.
func (c Counts) Plus(other Counts) Counts {
	if c == nil || len(c) != len(other) {
		return nil
	}
	sum := slices.Clone(c)
	for i := range sum {
		sum[i] += other[i]
	}
	return sum
}

// minus returns the differences, nil if one of both is not known.
func (c Counts) minus(other Counts) Counts {
	if c == nil || len(c) != len(other) {
		return nil
	}
	rest := slices.Clone(c)
	for i := range rest {
		rest[i] -= min(rest[i], other[i])
	}
	return rest
}

// CountsOf returns what the files of a capture count together, on top of a number; nil if one of them
// is not known.
func CountsOf(files []FileInfo, above Counts) Counts {
	for _, f := range files {
		above = above.Plus(f.FilterPackets)
	}
	return above
}

// RemovedCounts returns what files count that a capture has not any more.
func (s Status) RemovedCounts() Counts {
	return s.FilterPackets.minus(CountsOf(s.Files, make(Counts, len(s.Filters))))
}
