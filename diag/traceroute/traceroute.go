// Package traceroute finds the routers on the way to a host. It probes many hops at a time. All
// probes of a trace are equal in what routers choose a path by (Paris traceroute, Augustin et al.,
// IMC 2006), so that they take one path where routers balance by flow.
//
// Answers come through the error queue of the socket, IP_RECVERR (ip(7)). So it needs no socket
// that receives all ICMP, and gets only what is about packets to the target.
package traceroute

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"diagsh/diag/icmp"
	"diagsh/diag/source"
)

// A Protocol is the protocol of probes.
type Protocol string

const (
	UDP  Protocol = "udp"
	ICMP Protocol = "icmp"
	TCP  Protocol = "tcp"
)

// Options are what to send.
type Options struct {
	Target       netip.Addr
	Source       source.Source
	Protocol     Protocol
	Port         uint16 // of UDP and TCP
	Hops         int    // the longest way to try
	Probes       int    // of each hop
	Size         int    // of the packet with its headers; 0: the smallest usual one
	DontFragment bool
	Wait         time.Duration // for answers if the target does not answer

	// Heard, if set, is called with each router at its first answer, before the hop is complete.
	Heard func(netip.Addr)
}

// A Hop is one step of the way.
type Hop struct {
	Number  int
	Answers []Answer // one for each probe
}

// An Answer is the result of a probe.
type Answer struct {
	From  netip.Addr // invalid: nothing came
	Time  time.Duration
	TTL   int         // as received; 0: not known
	Error *icmp.Error // nil for an echo reply, a TCP segment or a datagram of the target
}

// Came reports whether there is an answer.
func (a Answer) Came() bool { return a.From.IsValid() }

// Reached reports whether it is the target's answer, which completes a trace.
func (a Answer) Reached() bool { return a.Came() && (a.Error == nil || a.Error.PortUnreachable()) }

// refused reports whether a router said that it cannot deliver the probe.
func (a Answer) refused() bool { return a.final() && a.Letter() != "" }

// final reports whether no probe gets further than this answer's hop.
func (a Answer) final() bool { return a.Came() && (a.Error == nil || !a.Error.Exceeded()) }

// Letter returns the annotation of the answer. It is empty for an ordinary hop and for the target.
func (a Answer) Letter() string {
	if a.Error == nil {
		return ""
	}
	return a.Error.Letter()
}

const (
	pace = 3 * time.Millisecond // between hops; rate limits of routers drop bursts first
	// grace is how long to wait for more after the last answer once the target has answered. A full
	// trace may take a second longer than its slowest answer.
	grace = 800 * time.Millisecond
	// Silent hops right before the target are probed again when no answer has come for doubt. Then
	// doubtGrace is the rest of that second.
	doubt      = 200 * time.Millisecond
	doubtGrace = 700 * time.Millisecond
	// linuxLimit is how long a Linux target that has often reported an unreachable port stays
	// silent (icmp_ratelimit, ip-sysctl.rst), with some time for the way.
	linuxLimit = 1200 * time.Millisecond
)

// Run traces and yields the hops in order, each as soon as it is known. When the context ends it
// yields what is known.
func Run(ctx context.Context, o Options, each func(Hop) error) error {
	p, err := newProber(o)
	if err != nil {
		return err
	}
	defer p.close()
	t := &trace{options: o, each: each, last: o.Hops, next: 1, heard: map[netip.Addr]bool{}}
	for range o.Hops {
		t.hops = append(t.hops, make([]Answer, o.Probes))
	}
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	deadline := time.NewTimer(o.Wait)
	defer deadline.Stop()
	for ttl := 1; ; {
		select {
		case <-ctx.Done():
			t.last = t.answered() // nothing is known of the others
			return errors.Join(t.flush(), ctx.Err())
		case <-ticker.C:
			if ttl > t.last {
				ticker.Stop()
				break
			}
			if !p.room(time.Time{}) {
				break
			}
			if err := p.sendAll(ttl, o.Probes); err != nil {
				return err
			}
			ttl++
			deadline.Reset(o.Wait)
		case a := <-p.answers:
			if t.take(a); t.reached && ttl > t.last {
				deadline.Reset(min(t.patience(), o.Wait))
			}
		case <-deadline.C:
			hops, probes := t.doubtful()
			if len(hops) == 0 {
				return t.flush()
			}
			if probes == 0 {
				deadline.Reset(linuxLimit - doubt - doubtGrace)
				break
			}
			for _, hop := range hops {
				if err := p.sendAll(hop, probes); err != nil {
					return err
				}
			}
			deadline.Reset(min(t.patience(), o.Wait))
		}
		if err := t.yield(); err != nil || t.next > t.last {
			return err
		}
	}
}

// sendAll sends that many probes of a hop.
func (p *prober) sendAll(hop, probes int) error {
	for n := range probes {
		if err := p.send(mark{hop, n}); err != nil {
			return err
		}
	}
	return nil
}

// A trace is the state of one Run.
type trace struct {
	options Options
	each    func(Hop) error
	hops    [][]Answer
	next    int // the hop to yield next
	last    int // the hop of the target, as far as is known
	reached bool
	heard   map[netip.Addr]bool

	doubts int // how far the silent hops before the target have been probed again: see doubtful
	asked  int // the lowest hop that was probed again; 0: none
}

// take records an answer.
func (t *trace) take(h heard) {
	if h.probe == anyProbe {
		h.mark = t.unanswered()
	}
	if h.hop == 0 || t.hops[h.hop-1][h.probe].Came() {
		return
	}
	t.hops[h.hop-1][h.probe] = h.Answer
	if t.options.Heard != nil && !t.heard[h.From] {
		t.heard[h.From] = true
		t.options.Heard(h.From)
	}
	if h.final() {
		t.last, t.reached = min(t.last, h.hop), true
	}
}

// patience returns how long to wait for more answers once the target has answered.
func (t *trace) patience() time.Duration {
	switch {
	case t.doubts > 0:
		return doubtGrace
	case t.silence() < t.last && t.arrived():
		return doubt
	}
	return grace
}

// arrived reports whether the last hop is the target's, not that of a router that refuses.
func (t *trace) arrived() bool { return slices.ContainsFunc(t.hops[t.last-1], Answer.Reached) }

// silence returns the first of the silent hops right before the last hop, or the last hop if there
// is none.
func (t *trace) silence() int {
	hop := t.last
	for hop > 1 && !slices.ContainsFunc(t.hops[hop-2], Answer.Came) {
		hop--
	}
	return hop
}

// doubtful returns which hops to probe again, and how often, before concluding that the target is
// behind silent hops. The target's distance is the smallest hop limit that reaches it. Packets with
// a smaller one may have been lost while a router learnt an address. Hops are probed twice: at
// once, and again after linuxLimit if the answer's own way was shorter, because the target may
// limit its answers. probes is 0 while that time passes.
func (t *trace) doubtful() (hops []int, probes int) {
	first := t.silence()
	if !t.reached || !t.arrived() || first == t.last || t.doubts == 3 {
		return nil, 0
	}
	for hop := first; hop < t.last; hop++ {
		hops = append(hops, hop)
	}
	t.doubts++
	switch t.doubts {
	case 1:
		probes = t.options.Probes
	case 2:
		if t.asFar() {
			return nil, 0
		}
		return hops, 0
	case 3:
		probes = 1 // in order: what may be answered once is to be answered for the lowest
	}
	t.asked = first
	return hops, probes
}

// asFar reports whether the target's answer came over as many hops as the target's hop is away.
func (t *trace) asFar() bool {
	return slices.ContainsFunc(t.hops[t.last-1],
		func(a Answer) bool { return a.Reached() && a.TTL > 0 && passed(a.TTL) >= t.last })
}

// unanswered returns the probe for an answer that does not say its probe. It is the first
// unanswered one after the last hop where a hop limit ran out, because probes arrive roughly in the
// order of their hops.
func (t *trace) unanswered() mark {
	first := mark{}
	for hop := t.last; hop > 0; hop-- {
		for n := len(t.hops[hop-1]) - 1; n >= 0; n-- {
			switch a := t.hops[hop-1][n]; {
			case !a.Came():
				first = mark{hop, n}
			case !a.final():
				return first
			}
		}
	}
	return first
}

// yield yields the next hops that have all answers.
func (t *trace) yield() error {
	for ; t.next <= t.last && complete(t.hops[t.next-1]); t.next++ {
		if err := t.each(Hop{t.next, t.hops[t.next-1]}); err != nil {
			return err
		}
	}
	return nil
}

// flush yields the rest with what is known.
func (t *trace) flush() error {
	t.settle()
	t.complement()
	for ; t.next <= t.last; t.next++ {
		if err := t.each(Hop{t.next, t.hops[t.next-1]}); err != nil {
			return err
		}
	}
	return nil
}

func complete(answers []Answer) bool {
	return !slices.ContainsFunc(answers, func(a Answer) bool { return !a.Came() })
}

// complement fills the unanswered probes of the target's hop, if it was probed again, with the
// target's answers to probes of higher hops.
func (t *trace) complement() {
	if t.asked == 0 || t.last < t.asked || !t.arrived() {
		return
	}
	var more []Answer
	for _, answers := range t.hops[t.last:] {
		for _, a := range answers {
			if a.Reached() {
				more = append(more, a)
			}
		}
	}
	for n, a := range t.hops[t.last-1] {
		if !a.Came() && len(more) > 0 {
			t.hops[t.last-1][n], more = more[0], more[1:]
		}
	}
}

// settle moves the answers of a router that refuses over the silent hops before them. A router that
// waits for the target's link-layer address queues few packets, on Linux the latest
// (neigh/default/unres_qlen_bytes). Those are of the highest hops, because all hops are probed at
// once. traceroute(8) of Debian places such answers by the same rules.
func (t *trace) settle() {
	if !t.reached || slices.ContainsFunc(t.hops[t.last-1], func(a Answer) bool { return a.Came() && !a.refused() }) {
		return
	}
	var refusals []Answer
	for _, answers := range t.hops[t.last-1:] {
		for _, a := range answers {
			if a.refused() {
				refusals = append(refusals, a)
			}
		}
	}
	hop := t.silence()
	if from := refusals[0]; t.routed(from.From) == 0 {
		hop = min(max(hop, t.distance(from, hop)), t.last)
	}
	t.hops[hop-1] = make([]Answer, t.options.Probes)
	copy(t.hops[hop-1], refusals)
	t.last = hop
}

// routed returns the last hop where this router let the hop limit run out, or 0. What it refuses
// belongs to the next hop.
func (t *trace) routed(router netip.Addr) int {
	for hop := t.last; hop > 0; hop-- {
		if slices.ContainsFunc(t.hops[hop-1], func(a Answer) bool { return a.From == router && !a.final() }) {
			return hop
		}
	}
	return 0
}

// distance estimates from the TTL how many hops away an answer's sender is. A router before the
// silent hops, whose distance is known, shows how much longer the way back is. An answer without a
// TTL keeps its place.
func (t *trace) distance(a Answer, silent int) int {
	if a.TTL == 0 {
		return t.last
	}
	back := passed(a.TTL)
	for hop := silent - 1; hop > 0; hop-- {
		for _, known := range t.hops[hop-1] {
			if known.TTL > 0 && passed(known.TTL) < back {
				return hop + back - passed(known.TTL)
			}
		}
	}
	return back
}

// passed returns how many links a packet with that TTL has passed. Systems start with 64, 128 or
// 255.
func passed(ttl int) int {
	for _, first := range []int{64, 128} {
		if ttl <= first {
			return first - ttl + 1
		}
	}
	return 255 - ttl + 1
}

// answered returns the last hop that answered.
func (t *trace) answered() int {
	for hop := t.last; hop > 0; hop-- {
		if slices.ContainsFunc(t.hops[hop-1], Answer.Came) {
			return hop
		}
	}
	return 0
}
