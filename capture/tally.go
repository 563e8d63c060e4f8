package capture

import (
	"slices"

	"diagsh/capture/filter"
	"diagsh/capture/tuples"
)

// tallied is how many bytes of a packet a Tally looks at: more than the headers that filters in
// fields read, on any link that is captured from.
const tallied = 256

// A Tally counts how many packets each of the filters in fields matches, by the programs that the
// kernel runs for them. It does not allocate for a packet. It is for one goroutine.
type Tally struct {
	filters  tuples.List
	programs map[LinkType][]*filter.Program // nil: the filter rejects every packet
}

// NewTally returns a Tally. Filters that Spec.Check has not accepted match nothing.
func NewTally(filters tuples.List) *Tally {
	t := &Tally{filters: filters, programs: make(map[LinkType][]*filter.Program)}
	if len(filters) < 2 {
		return t // every packet of the capture matches the only one
	}
	set, err := tuples.Parse(filters)
	if err != nil {
		return t
	}
	for link, target := range map[LinkType]filter.LinkType{Ethernet: filter.EN10MB, Raw: filter.Raw} {
		programs := make([]*filter.Program, len(filters))
		for i, expression := range set.Expressions {
			programs[i], _ = filter.Compile(expression, filter.Target{LinkType: target, Kind: filter.Live})
		}
		t.programs[link] = programs
	}
	return t
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
	for i, program := range t.programs[link] {
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
