package summary

import "time"

// clock counts packets and bytes by time, in parts that become longer as the whole does,
// so that their number is bounded and no packet is looked at twice.
type clock struct {
	begin int64 // of the first part
	part  int64 // nanoseconds; a power of two times the first
	count [parts]tally
	last  int // the last part that was used
	some  bool
}

const (
	parts     = 512
	firstPart = int64(time.Millisecond)

	// graph is how many parts a Rate has at most.
	graph = 64
)

func (c *clock) add(at, length int64) {
	if !c.some {
		c.begin, c.part, c.some = at, firstPart, true
	}
	// Packets before the first are rare, and come soon before it: of several interfaces.
	n := max(at-c.begin, 0) / c.part
	for n >= parts {
		for i := range parts / 2 {
			c.count[i] = tally{c.count[2*i].packets + c.count[2*i+1].packets, c.count[2*i].bytes + c.count[2*i+1].bytes}
		}
		clear(c.count[parts/2:])
		c.part, c.last = c.part*2, c.last/2
		n = max(at-c.begin, 0) / c.part
	}
	c.last = max(c.last, int(n))
	c.count[n].packets++
	c.count[n].bytes += length
}

// rate is the count in at most graph parts.
func (c *clock) rate() Rate {
	r := Rate{Packets: []int64{}, Bytes: []int64{}}
	if !c.some {
		return r
	}
	step := (c.last + graph) / graph
	for from := 0; from <= c.last; from += step {
		var t tally
		for _, part := range c.count[from:min(from+step, parts)] {
			t.packets += part.packets
			t.bytes += part.bytes
		}
		r.Packets, r.Bytes = append(r.Packets, t.packets), append(r.Bytes, t.bytes)
	}
	r.IntervalSeconds = (time.Duration(c.part) * time.Duration(step)).Seconds()
	return r
}
