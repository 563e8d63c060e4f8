package summary

import (
	"slices"
	"time"
)

// clock counts packets and bytes over time. Its parts become longer as the whole does, so that
// their number is bounded and each packet is counted once.
type clock struct {
	begin int64 // of the first part
	part  int64 // nanoseconds
	count [parts]tally
	last  int // the last part in use
	some  bool
}

const (
	parts = 512

	// columns is how many parts a Rate has at most: enough for a wide terminal.
	columns = 128
)

// A span is a duration that is easily named.
type span struct {
	time.Duration
	part bool // it may be the length of a part: a multiple of the previous one that may
}

var spans = []span{
	{time.Microsecond, true}, {2 * time.Microsecond, true}, {5 * time.Microsecond, false},
	{10 * time.Microsecond, true}, {20 * time.Microsecond, true}, {50 * time.Microsecond, false},
	{100 * time.Microsecond, true}, {200 * time.Microsecond, true}, {500 * time.Microsecond, false},
	{time.Millisecond, true}, {2 * time.Millisecond, true}, {5 * time.Millisecond, false},
	{10 * time.Millisecond, true}, {20 * time.Millisecond, true}, {50 * time.Millisecond, false},
	{100 * time.Millisecond, true}, {200 * time.Millisecond, true}, {500 * time.Millisecond, false},
	{time.Second, true}, {2 * time.Second, true}, {5 * time.Second, false}, {10 * time.Second, true},
	{20 * time.Second, true}, {30 * time.Second, false},
	{time.Minute, true}, {2 * time.Minute, true}, {5 * time.Minute, false}, {10 * time.Minute, true},
	{20 * time.Minute, true}, {30 * time.Minute, false},
	{time.Hour, true}, {2 * time.Hour, true}, {4 * time.Hour, false}, {6 * time.Hour, true}, {12 * time.Hour, true},
	{24 * time.Hour, true}, {48 * time.Hour, true}, {5 * 24 * time.Hour, false}, {10 * 24 * time.Hour, true},
}

func (c *clock) add(at, length int64) {
	if !c.some {
		c.begin, c.part, c.some = at, int64(spans[0].Duration), true
	}
	// Packets before the first are rare and only a little earlier: they come from several
	// interfaces.
	n := max(at-c.begin, 0) / c.part
	for n >= parts {
		c.lengthen()
		n = max(at-c.begin, 0) / c.part
	}
	c.last = max(c.last, int(n))
	c.count[n].packets++
	c.count[n].bytes += length
}

// lengthen joins parts to longer ones.
func (c *clock) lengthen() {
	factor := int64(2) // after all that have a name
	for _, s := range spans {
		if s.part && int64(s.Duration) > c.part {
			factor = int64(s.Duration) / c.part
			break
		}
	}
	var longer [parts]tally
	for i, t := range c.count {
		longer[int64(i)/factor].add(t)
	}
	c.count, c.part, c.last = longer, c.part*factor, c.last/int(factor)
}

func (t *tally) add(other tally) {
	t.packets += other.packets
	t.bytes += other.bytes
}

// rate returns the counts in at most columns parts.
func (c *clock) rate() Rate {
	r := Rate{Packets: []int64{}, Bytes: []int64{}}
	if !c.some {
		return r
	}
	for _, t := range c.count[:c.last+1] {
		r.Packets, r.Bytes = append(r.Packets, t.packets), append(r.Bytes, t.bytes)
	}
	r.IntervalSeconds = time.Duration(c.part).Seconds()
	return r.Within(columns)
}

// Interval returns the length of each part.
func (r Rate) Interval() time.Duration {
	return time.Duration(r.IntervalSeconds * float64(time.Second)).Round(spans[0].Duration)
}

// Within returns the same in at most most parts of an easily named length.
func (r Rate) Within(most int) Rate {
	if len(r.Packets) <= most {
		return r
	}
	interval := r.Interval()
	factor := (len(r.Packets) + most - 1) / most
	if i := slices.IndexFunc(spans,
		func(s span) bool { return s.Duration%interval == 0 && int(s.Duration/interval) >= factor }); i >= 0 {
		factor = int(spans[i].Duration / interval)
	}
	return Rate{(interval * time.Duration(factor)).Seconds(), together(r.Packets, factor), together(r.Bytes, factor)}
}

// together adds up counts in groups of factor.
func together(counts []int64, factor int) []int64 {
	sums := make([]int64, (len(counts)+factor-1)/factor)
	for i, n := range counts {
		sums[i/factor] += n
	}
	return sums
}

// Parts returns in how many equal parts a time is cut, at most most, and how long each is: a
// duration that is easily named, if there is one.
func Parts(whole time.Duration, most int) (interval time.Duration, count int) {
	interval = (whole + time.Duration(most) - 1) / time.Duration(most)
	if i := slices.IndexFunc(spans, func(s span) bool { return s.Duration >= interval }); i >= 0 {
		interval = spans[i].Duration
	}
	return interval, int((whole + interval - 1) / interval)
}
