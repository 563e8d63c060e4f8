package traceroute

import (
	"context"
	"math"
	"net/netip"
	"slices"
	"time"
)

// A Watched is what all probes of a hop have shown so far.
type Watched struct {
	Number               int
	Routers              []netip.Addr // in the order of their first answers
	Sent, Received, Lost int          // the difference is still on its way
	Last, Best, Worst    time.Duration
	Average, Deviation   time.Duration
	Letter               string // of the last answer, if it has one
	mean, squares        float64
}

// Loss returns the share of probes without an answer in percent. It does not count probes whose
// answer may still come.
func (w Watched) Loss() float64 {
	if w.Received+w.Lost == 0 {
		return 0
	}
	return 100 * float64(w.Lost) / float64(w.Received+w.Lost)
}

// Watch probes each hop once per interval, and reports after each round what is known of all hops
// up to the target. show is called while answers come, too. It ends after rounds rounds; if 0, when
// the context ends, which is no error.
func Watch(ctx context.Context, o Options, interval time.Duration, rounds int, show func(round int, hops []Watched),
	each func(round int, hops []Watched) error) error {
	p, err := newProber(o)
	if err != nil {
		return err
	}
	defer p.close()
	w := &watch{trace: trace{options: o, heard: map[netip.Addr]bool{}}, prober: p, hops: make([]Watched, o.Hops),
		expired: map[netip.Addr]int{}}
	w.look()
	next := time.NewTicker(interval)
	defer next.Stop()
	for round := 1; ; round++ {
		w.show = func() { show(round, w.known()) }
		due := next.C
		if round == rounds {
			due = nil
		}
		if err := w.round(ctx, due); err != nil {
			return err
		}
		last := w.last
		for _, m := range p.forget(time.Now().Add(-o.Wait)) {
			if m.hop <= last {
				w.lose(m.hop)
			}
		}
		if err := each(round, w.known()); err != nil || ctx.Err() != nil || round == rounds {
			return err
		}
	}
}

// A watch is the state of one Watch.
type watch struct {
	trace
	prober  *prober
	silent  int // how many of the last probes of the target's hop were not answered
	hops    []Watched
	expired map[netip.Addr]int // by router: the hop where it let a hop limit run out
	show    func()

	// Hops from doubted on are not probed before resume, see doubt.
	doubted int
	resume  time.Time
}

// look restarts the search for the target after its last known hop, and forgets the hops there.
func (w *watch) look() {
	w.prober.drop(w.last)
	for i := w.last; i < len(w.hops); i++ {
		w.hops[i] = Watched{Number: i + 1}
	}
	w.last, w.silent = len(w.hops), 0
	w.resume = time.Time{}
}

// doubt delays the next probes of the silent hops before the target's, and of its own. A Linux
// target says once a second that a port is closed (linuxLimit). If that answered a probe of a
// larger hop limit than needed, it would do so again in each round of a second. After the delay the
// target answers the lowest hop limit that reaches it.
func (w *watch) doubt(h heard) {
	if !h.Reached() || h.Error == nil || h.TTL > 0 && passed(h.TTL) >= h.hop {
		return
	}
	silent := h.hop
	for silent > 1 && w.hops[silent-2].Received == 0 {
		silent--
	}
	if silent < h.hop {
		w.doubted, w.resume = silent, time.Now().Add(linuxLimit)
	}
}

// gone is after how many lost probes in a row the target is searched further away. The way to it
// may have become longer, with a silent router in its place.
const gone = 3

// lose counts a probe without an answer.
func (w *watch) lose(hop int) {
	w.hops[hop-1].Lost++
	if hop != w.last || hop == len(w.hops) {
		return
	}
	if w.silent++; w.silent == gone {
		w.look()
	}
}

// showEvery is the shortest time between two calls of show.
const showEvery = 100 * time.Millisecond

// round probes each hop once and takes answers until the next round is due. The last round ends
// when all answers have come or timed out.
func (w *watch) round(ctx context.Context, due <-chan time.Time) error {
	began := time.Now()
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	var end <-chan time.Time
	shows := time.NewTicker(showEvery)
	defer shows.Stop()
	changed := false
	for ttl := 1; due != nil || ttl <= w.last || w.waiting(); {
		select {
		case <-ctx.Done():
			return nil
		case <-due:
			return nil
		case h := <-w.prober.answers:
			last := w.last
			if w.take(h); w.last > last {
				ticker.Reset(pace)
				end = nil
			}
			changed = true
		case <-shows.C:
			if changed {
				w.show()
				changed = false
			}
		case <-end:
			return nil
		case <-ticker.C:
			if ttl > w.last {
				ticker.Stop()
				if due == nil {
					end = time.After(w.options.Wait)
				}
				break
			}
			if !w.prober.room(began) || ttl >= w.doubted && time.Now().Before(w.resume) {
				break
			}
			if err := w.prober.send(mark{ttl, 0}); err != nil {
				return err
			}
			w.hops[ttl-1].Sent++
			ttl++
		}
	}
	return nil
}

func (w *watch) waiting() bool {
	return slices.ContainsFunc(w.hops[:w.last], func(h Watched) bool { return h.Sent > h.Received+h.Lost })
}

func (w *watch) take(h heard) {
	if h.probe == anyProbe {
		h.hop = w.last
	}
	if !h.final() {
		w.expired[h.From] = h.hop
	}
	// A router's refusal belongs to the hop after it, whichever probe it answers, see settle. The
	// next round probes that hop.
	if known, ok := w.expired[h.From]; ok && h.refused() && known+1 < h.hop {
		w.last = min(w.last, known+1)
		return
	}
	switch {
	case h.hop > w.last:
		return // sent before the target's place was known
	case h.hop < w.last && h.final():
		w.last = h.hop
		w.prober.drop(w.last)
		w.silent = 0
		w.doubt(h)
	case h.hop == w.last && h.final():
		w.silent = 0
	case h.hop == w.last && w.last < len(w.hops):
		w.look() // a router at the target's place: the way has become longer
	}
	hop := &w.hops[h.hop-1]
	if !slices.Contains(hop.Routers, h.From) {
		hop.Routers = append(hop.Routers, h.From)
		if w.options.Heard != nil && !w.heard[h.From] {
			w.heard[h.From] = true
			w.options.Heard(h.From)
		}
	}
	hop.Received++
	hop.Last, hop.Letter = h.Time, h.Letter()
	if hop.Received == 1 || h.Time < hop.Best {
		hop.Best = h.Time
	}
	hop.Worst = max(hop.Worst, h.Time)
	distance := h.Time.Seconds() - hop.mean
	hop.mean += distance / float64(hop.Received)
	hop.squares += distance * (h.Time.Seconds() - hop.mean)
	hop.Average = time.Duration(hop.mean * float64(time.Second))
	hop.Deviation = time.Duration(math.Sqrt(hop.squares/float64(hop.Received)) * float64(time.Second))
}

// known returns the hops up to the target. While the target has not answered, it returns those up
// to the last one that did, and one more.
func (w *watch) known() []Watched {
	last := w.last
	if last == len(w.hops) {
		for last > 1 && w.hops[last-1].Received == 0 && w.hops[last-2].Received == 0 {
			last--
		}
	}
	return slices.Clone(w.hops[:last])
}
