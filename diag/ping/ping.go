// Package ping sends ICMP echo requests (RFC 792, RFC 4443) and reports answers and errors of
// routers on the way.
package ping

import (
	"context"
	"math"
	"net/netip"
	"time"

	"diagsh/diag/icmp"
	"diagsh/diag/source"
)

// MaxSize is the largest data of an echo request in bytes: an IPv4 packet has at most 65535.
const MaxSize = 65535 - 20 - icmpHeader

// Fragments says how a request that is too big for the path is handled, in the words of ping(8) of
// iputils.
type Fragments string

const (
	Forbidden Fragments = "do"    // never fragmented; the kernel refuses what exceeds its known path MTU
	AsKnown   Fragments = "want"  // this host fragments to the kernel's known path MTU
	Allowed   Fragments = "dont"  // any hop may fragment
	Probing   Fragments = "probe" // never fragmented, and the kernel's known path MTU is ignored
)

// Options say what to send.
type Options struct {
	Target    netip.Addr
	Source    source.Source
	Size      int // data of each request in bytes
	TTL       int
	Count     int // of requests; 0: until the context ends
	Interval  time.Duration
	Wait      time.Duration // for answers to the last of Count requests
	Fragments Fragments     // empty: the kernel's setting
}

// An Answer is what came back for a request.
type Answer struct {
	From      netip.Addr
	Sequence  int
	Bytes     int           // of the ICMP message
	TTL       int           // 0: not known
	Time      time.Duration // 0 if not known, as for an error
	Duplicate bool
	Error     *Error // nil for an echo reply

	// Faults of an echo reply.
	Elsewhere   bool       // its source is not the target
	Truncated   bool       // it has less data than the request
	Wrong       *WrongByte // where its data differs from the request's; nil if equal
	BadChecksum bool       // its checksum is wrong, so it does not count as an answer
	Unsent      bool       // no such sequence number was sent, so it does not count as an answer
}

// An Error is what came instead of an answer: an ICMP error, or the kernel's reason for not
// sending.
type Error struct {
	icmp.Error
	Send error // if set, the other member is zero
}

// Statistics are the sums over all requests and answers.
type Statistics struct {
	Sent, Received, Duplicates, Errors int
	Corrupted                          int // answers with a wrong checksum
	Strays                             int // answers to requests that were not sent
	Min, Average, Max, Deviation       time.Duration
}

// Loss returns the share of requests without an answer in percent.
func (s Statistics) Loss() float64 {
	if s.Sent == 0 {
		return 0
	}
	return 100 * float64(s.Sent-s.Received) / float64(s.Sent)
}

// Run sends requests until Count of them were answered or failed, or the context ends, which is no
// error. If the first one cannot be sent it returns the reason. It calls each in the order of
// arrival.
func Run(ctx context.Context, o Options, each func(Answer) error) (Statistics, error) {
	s, err := open(o)
	if err != nil {
		return Statistics{}, err
	}
	defer s.close()
	heard := make(chan reply, 64)
	ended := make(chan struct{})
	listener, err := icmp.Listen(s.fd, s.v6, func(m icmp.Message) {
		if a, ok := s.understand(m, o.Target, o.Size); ok {
			select {
			case heard <- reply{a, m.Arrived}:
			case <-ended:
			}
		}
	})
	if err != nil {
		return Statistics{}, err
	}
	defer listener.Close()
	defer close(ended)
	r := &run{options: o, each: each, open: map[uint16]*request{},
		send: func(sequence uint16) error { return tooBig(s.send(sequence, o.Size), o) }}
	err = r.loop(ctx, heard)
	return r.stats, err
}

// A reply is an Answer and its arrival by the wall clock.
type reply struct {
	Answer
	arrived time.Time
}

// A run is the state of one Run.
type run struct {
	options Options
	each    func(Answer) error
	send    func(sequence uint16) error
	open    map[uint16]*request // the latest requests sent, by sequence number

	tried   int // requests that were sent or could not be
	done    int // of these, those with an answer or an error
	stats   Statistics
	mean    float64 // of the times, in seconds
	squares float64 // sum of the squared distances from the mean
}

// A request is a request that was sent.
type request struct {
	sent           time.Time
	answered, done bool
}

// remembered is how many of the latest requests are known by sequence number: half of the number
// space.
const remembered = 1 << 15

// pause is how long to wait for the kernel to have room for a packet.
const pause = 10 * time.Millisecond

// loop sends requests when due and takes answers.
func (r *run) loop(ctx context.Context, heard <-chan reply) error {
	due := time.Now() // when to send the next request
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-heard:
			if err := r.take(a); err != nil {
				return err
			}
		case <-timer.C:
			if r.complete() {
				return nil // the time for the last answers is over
			}
			again, err := r.request(due)
			switch {
			case err != nil:
				return err
			case again:
				timer.Reset(min(pause, r.options.Interval))
				continue
			case r.complete():
				timer.Reset(r.patience())
			default:
				due = due.Add(r.options.Interval)
				if late := time.Since(due); late > 0 {
					due = due.Add(late) // a delay must not cause a burst
				}
				timer.Reset(time.Until(due))
			}
		}
		if r.complete() && r.done >= r.options.Count {
			return nil
		}
	}
}

// complete reports whether all requests were tried.
func (r *run) complete() bool { return r.options.Count > 0 && r.tried >= r.options.Count }

// patience returns how long to wait for answers to the last request: twice the slowest time so far,
// as ping(8) of iputils does, but at least Wait.
func (r *run) patience() time.Duration { return max(r.options.Wait, 2*r.stats.Max) }

// request sends the next request. again reports that the kernel had no room and the request must be
// repeated; after a whole interval that counts as an error. If nothing was sent yet, a refusal ends
// the run: the next request would be refused too.
func (r *run) request(due time.Time) (again bool, failed error) {
	number := uint16(r.tried)
	delete(r.open, number-remembered)
	sent := &request{sent: time.Now()}
	r.open[number] = sent // before sending: the answer may overtake this goroutine
	err := r.send(number)
	if err == nil {
		r.tried++
		r.stats.Sent++
		return false, nil
	}
	delete(r.open, number)
	if busy(err) && time.Since(due) < r.options.Interval {
		return true, nil
	}
	if r.stats.Sent == 0 && (!busy(err) || r.tried+1 == r.options.Count) {
		return false, err
	}
	r.tried++
	r.done++
	r.stats.Errors++
	return false, r.each(Answer{Sequence: int(number), Error: &Error{Send: err}})
}

// take counts an answer and reports it.
func (r *run) take(h reply) error {
	a := h.Answer
	asked := r.open[uint16(a.Sequence)]
	switch s := &r.stats; {
	case a.Error != nil && asked == nil:
		return nil // about a request that was never sent
	case a.Error != nil:
		s.Errors++
		r.finish(asked)
	case asked == nil:
		a.Unsent = true
		s.Strays++
	default:
		a.Time = asked.took(h.arrived)
		switch {
		case a.BadChecksum:
			s.Corrupted++
		case asked.answered:
			a.Duplicate = true
			s.Duplicates++
		default:
			asked.answered = true
			r.finish(asked)
			r.count(a.Time)
		}
	}
	return r.each(a)
}

// finish notes that an answer is no longer awaited.
func (r *run) finish(asked *request) {
	if !asked.done {
		asked.done = true
		r.done++
	}
}

// took returns how long an answer took. The kernel stamps arrivals with the wall clock, which may
// be set meanwhile; our own clock is monotonic.
func (q *request) took(arrived time.Time) time.Duration {
	passed := time.Since(q.sent)
	if d := arrived.Sub(q.sent.Round(0)); d >= 0 && d <= passed {
		return d
	}
	return passed
}

// count updates the statistics (Welford's method).
func (r *run) count(t time.Duration) {
	s := &r.stats
	s.Received++
	if s.Received == 1 || t < s.Min {
		s.Min = t
	}
	s.Max = max(s.Max, t)
	distance := t.Seconds() - r.mean
	r.mean += distance / float64(s.Received)
	r.squares += distance * (t.Seconds() - r.mean)
	s.Average = seconds(r.mean)
	s.Deviation = seconds(math.Sqrt(r.squares / float64(s.Received)))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
