// Package traceroute finds the routers on the way to a host. It probes many hops at a time, and keeps what routers choose a path by the same
// in all probes of a trace (Paris traceroute, Augustin et al., IMC 2006), so that all probes take one path where routers balance by flow.
//
// The answers come as the kernel reports errors for a socket, IP_RECVERR (ip(7)): so it needs no socket that hears all ICMP, and what it
// hears is about packets to the target.
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

// A Protocol is what probes are.
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
	Hops         int    // the longest way to look at
	Probes       int    // of each hop
	Size         int    // of the packet, its headers counted; 0: the smallest usual one
	DontFragment bool
	Wait         time.Duration // for answers when the target does not answer

	// Heard, if set, is told of each router when its first answer comes, before the hop is complete.
	Heard func(netip.Addr)
}

// A Hop is one step of the way.
type Hop struct {
	Number  int
	Answers []Answer // as many as there were probes
}

// An Answer is what a probe got.
type Answer struct {
	From  netip.Addr // invalid: nothing came
	Time  time.Duration
	TTL   int         // that the answer arrived with; 0: not known
	Error *icmp.Error // nil for an echo reply, a TCP segment or a datagram of the target
}

// Came says that there is an answer.
func (a Answer) Came() bool { return a.From.IsValid() }

// Reached says that it is the target's answer, by which a trace ends as it should.
func (a Answer) Reached() bool { return a.Came() && (a.Error == nil || a.Error.PortUnreachable()) }

// refused says that it is a router's word that it cannot deliver the probe.
func (a Answer) refused() bool { return a.final() && a.Letter() != "" }

// final says that no probe gets further than this answer's hop.
func (a Answer) final() bool { return a.Came() && (a.Error == nil || !a.Error.Exceeded()) }

// Letter is the annotation of the answer, empty where it is a hop as meant or the target.
func (a Answer) Letter() string {
	if a.Error == nil {
		return ""
	}
	return a.Error.Letter()
}

const (
	pace = 3 * time.Millisecond // between hops; a burst is what rate limits of routers drop first
	// grace is how long a trace that has reached its target waits for more, counted from the last answer: within the second that a
	// full trace may take longer than its slowest answer.
	grace = 800 * time.Millisecond
	// Silent hops right before the target are asked once more when no answer has come for doubt; then doubtGrace is the rest of that second.
	doubt      = 200 * time.Millisecond
	doubtGrace = 700 * time.Millisecond
	// linuxLimit is how often a Linux target says that a port is unreachable when it has said so often (icmp_ratelimit, ip-sysctl.rst), with
	// some time for the way.
	linuxLimit = 1200 * time.Millisecond
)

// Run traces and yields the hops in their order, each as soon as it is known. When the context ends it yields what is known.
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
			t.last = t.answered() // of the others nothing is known
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

// sendAll sends so many probes of a hop.
func (p *prober) sendAll(hop, probes int) error {
	for n := range probes {
		if err := p.send(mark{hop, n}); err != nil {
			return err
		}
	}
	return nil
}

// A trace is one Run.
type trace struct {
	options Options
	each    func(Hop) error
	hops    [][]Answer
	next    int // the hop to yield next
	last    int // the hop of the target, as far as is known
	reached bool
	heard   map[netip.Addr]bool

	doubts int // how far the silent hops before the target have been asked again: see doubtful
	asked  int // the lowest hop that was asked again, 0 if none
}

// take notes an answer.
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

// patience is how long more answers are waited for when the target has answered.
func (t *trace) patience() time.Duration {
	switch {
	case t.doubts > 0:
		return doubtGrace
	case t.silence() < t.last && t.arrived():
		return doubt
	}
	return grace
}

// arrived says that the last hop is the target's, and not that of a router which refuses.
func (t *trace) arrived() bool { return slices.ContainsFunc(t.hops[t.last-1], Answer.Reached) }

// silence is the first of the silent hops right before the last one; the last one if there is none.
func (t *trace) silence() int {
	hop := t.last
	for hop > 1 && !slices.ContainsFunc(t.hops[hop-2], Answer.Came) {
		hop--
	}
	return hop
}

// doubtful is which hops are to be asked again, and how often, before it is said that the target is behind silent hops: the smallest hop limit
// that reaches it is its distance, and packets with a smaller one may have been lost where a router had to learn an address first. They are
// asked twice: at once, and, where the answer's own way was shorter than that, when the target may have had a limit for what it says;
// probes is 0 while that is waited for.
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
		probes = 1 // in their order: what may be said once shall be said of the lowest
	}
	t.asked = first
	return hops, probes
}

// asFar says that the target's answer has come as far as the target's hop is away.
func (t *trace) asFar() bool {
	return slices.ContainsFunc(t.hops[t.last-1], func(a Answer) bool { return a.Reached() && a.TTL > 0 && passed(a.TTL) >= t.last })
}

// unanswered is the probe that an answer which does not say its probe belongs to: the first without an answer behind the last hop that
// let a probe's hop limit be reached, since probes arrive in about the order of their hops.
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

// yield yields the next hops for which all answers are there.
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

// complement gives the target's hop, where it was asked again, the answers that the target gave to probes of higher hops, in place of those
// that got none.
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

// settle moves the answers of a router that refuses over the silent hops before them. A router that waits for the link-layer address of the
// target keeps few packets meanwhile, on Linux the latest (neigh/default/unres_qlen_bytes), and those are of the highest hops, because
// all hops are probed at once. traceroute(8) of Debian places such answers by the same rules.
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

// routed is the last hop at which a router let a probe's hop limit be reached, 0 if none: what it refuses is of the next hop.
func (t *trace) routed(router netip.Addr) int {
	for hop := t.last; hop > 0; hop-- {
		if slices.ContainsFunc(t.hops[hop-1], func(a Answer) bool { return a.From == router && !a.final() }) {
			return hop
		}
	}
	return 0
}

// distance guesses from the TTL how many hops away an answer is from. A router before the silent hops, whose distance is known, shows how
// much longer the way back is than the way there. An answer without a TTL stays where it is.
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

// passed is how many links a packet with a TTL has passed: systems begin with 64, 128 or 255.
func passed(ttl int) int {
	for _, first := range []int{64, 128} {
		if ttl <= first {
			return first - ttl + 1
		}
	}
	return 255 - ttl + 1
}

// answered is the last hop that answered.
func (t *trace) answered() int {
	for hop := t.last; hop > 0; hop-- {
		if slices.ContainsFunc(t.hops[hop-1], Answer.Came) {
			return hop
		}
	}
	return 0
}
