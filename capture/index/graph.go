package index

import (
	"context"
	"time"
)

// A Series is how many packets and bytes came in each of equal parts of a time.
type Series struct {
	Packets []int64
	Bytes   []int64 // on the wire
}

// Graph counts packets by their times, all of those of the last Wait, in one pass: those of each
// matcher in parts of an interval from a time on. A nil matcher counts all.
func (v *View) Graph(ctx context.Context, from time.Time, interval time.Duration, parts int,
	matchers []Matcher) ([]Series, error) {
	list := make([]Series, len(matchers))
	for i := range list {
		list[i] = Series{make([]int64, parts), make([]int64, parts)}
	}
	begin, end := from.UnixNano(), from.Add(time.Duration(parts)*interval).UnixNano()
	c := v.cursor()
	defer c.close()
	for at, p := range v.parts {
		if p.packets == 0 || p.to < begin || p.from >= end {
			continue
		}
		for number := p.near(begin); number < p.packets; number++ {
			if number%piece == 0 && ctx.Err() != nil {
				return nil, ctx.Err()
			}
			packet, err := c.read(at, number)
			if err != nil {
				return nil, err
			}
			if packet.Time < begin || packet.Time >= end {
				continue
			}
			n := (packet.Time - begin) / int64(interval)
			for i, m := range matchers {
				if m == nil || m.Match(&packet.Packet, packet.On) {
					list[i].Packets[n]++
					list[i].Bytes[n] += int64(packet.Length)
				}
			}
		}
	}
	return list, nil
}
