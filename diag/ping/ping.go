// Package ping sends ICMP echo requests (RFC 792, RFC 4443) and tells what comes back: answers, and errors of routers on the way.
package ping

import (
	"context"
	"errors"
	"math"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	probing "github.com/prometheus-community/pro-bing"

	"diagsh/diag/icmp"
	"diagsh/diag/source"
)

// Limits of the data in an echo request: pro-bing marks its packets with 24 bytes; a packet of IPv4 has at most 65535.
const (
	MinSize = 24
	MaxSize = 65535 - 20 - icmpHeader
)

const icmpHeader = 8

// Options are what to send.
type Options struct {
	Target       netip.Addr
	Source       source.Source
	Size         int // bytes of data in each request
	TTL          int
	Count        int // of requests; 0: until the context ends
	Interval     time.Duration
	Wait         time.Duration // for answers to the last of Count requests
	DontFragment bool
}

// An Answer is what came back for a request.
type Answer struct {
	From     netip.Addr
	Sequence int
	Bytes    int // of the ICMP message
	// TTL is 0 where it is not known: when an interface is given, pro-bing asks for one more control message just before it sends the
	// first request, and a read that has begun already has no room for both.
	TTL       int
	Time      time.Duration
	Duplicate bool
	Error     *Error // nil for an echo reply
}

// An Error is what came instead of an answer: an ICMP error, or why the kernel did not send the request.
type Error struct {
	icmp.Error
	Send error // the other member is zero then
}

// Statistics are the sums over all requests and answers.
type Statistics struct {
	Sent, Received, Duplicates, Errors int
	Min, Average, Max, Deviation       time.Duration
}

// Loss is the share of requests without an answer, in percent.
func (s Statistics) Loss() float64 {
	if s.Sent == 0 {
		return 0
	}
	return 100 * float64(s.Sent-s.Received) / float64(s.Sent)
}

// Run sends requests until Count of them have got an answer or an error, or the context ends, which is no error, or each fails. It tells what comes back in
// the order in which it comes, from one goroutine at a time.
func Run(ctx context.Context, o Options, each func(Answer) error) (Statistics, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r := &run{options: o, each: each, stop: stop, events: make(chan event, 16), began: map[int]time.Time{}}
	pinger := r.pinger()
	errorSocket, err := listenErrors(o.Target, o.Source)
	if err != nil {
		return Statistics{}, err
	}
	var reading sync.WaitGroup
	defer reading.Wait()
	defer errorSocket.Close()
	reading.Go(func() {
		errorSocket.read(o.Target, pinger.ID(), func(a Answer) {
			select {
			case r.events <- event{answer: a}:
			case <-ctx.Done():
			}
		})
	})
	done := make(chan error, 1)
	go func() { done <- pinger.RunWithContext(ctx) }()
	err = r.collect(done)
	switch {
	case r.failed != nil:
		err = r.failed
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		err = nil
	}
	stop()
	return r.stats, err
}

// A run is one Run. Its members belong to the goroutine that runs collect, but began.
type run struct {
	options Options
	each    func(Answer) error
	stop    context.CancelFunc
	events  chan event
	began   map[int]time.Time // when a request was sent, for pro-bing's goroutine
	failed  error             // of each

	tried   int // requests that were sent or could not be
	stats   Statistics
	mean    float64 // of the times, in seconds
	squares float64 // sum of the squares of their distances from the mean
}

// An event is that a request was sent, or an answer.
type event struct {
	sent   bool
	answer Answer
}

// pinger is a pro-bing Pinger that reports to r.events. It is told to send for ever: left to itself it ends when Count requests are
// answered, and waits for ever when one is lost.
func (r *run) pinger() *probing.Pinger {
	o := r.options
	p := probing.New("")
	p.SetIPAddr(&net.IPAddr{IP: o.Target.AsSlice(), Zone: o.Target.Zone()})
	p.SetPrivileged(true)
	p.SetLogger(probing.NoopLogger{}) // it would log what strangers send
	p.SetDoNotFragment(o.DontFragment)
	p.RecordRtts, p.RecordTTLs = false, false
	p.Size, p.TTL, p.Interval = o.Size, o.TTL, o.Interval
	p.InterfaceName = o.Source.Interface
	if o.Source.Address.IsValid() {
		p.Source = o.Source.Address.WithZone("").String()
	}
	p.OnSend = func(sent *probing.Packet) {
		r.began[sent.Seq] = time.Now()
		delete(r.began, sent.Seq-remembered)
		r.events <- event{sent: true}
	}
	p.OnSendError = func(sent *probing.Packet, err error) {
		if !errors.Is(err, syscall.ENOBUFS) { // with that one, pro-bing sends again
			r.events <- event{answer: Answer{Sequence: sent.Seq, Error: &Error{Send: err}}}
		}
	}
	p.OnRecv = func(got *probing.Packet) { r.events <- event{answer: r.reply(got, false)} }
	p.OnDuplicateRecv = func(got *probing.Packet) { r.events <- event{answer: r.reply(got, true)} }
	return p
}

// remembered is for how many of the last requests the time of sending is known.
const remembered = 1024

// reply is the Answer for an echo reply.
func (r *run) reply(got *probing.Packet, duplicate bool) Answer {
	from, _ := netip.AddrFromSlice(got.IPAddr.IP)
	a := Answer{From: from.Unmap().WithZone(got.IPAddr.Zone), Sequence: got.Seq, Bytes: got.Nbytes, TTL: got.TTL, Time: got.Rtt, Duplicate: duplicate}
	// pro-bing reads the time of sending from the reply, where a stranger may have changed it.
	if began, ok := r.began[got.Seq]; ok {
		if passed := time.Since(began); a.Time < 0 || a.Time > passed+time.Second {
			a.Time = passed
		}
	}
	a.Time = max(a.Time, 0)
	return a
}

// collect tells what comes until the pinger has ended.
func (r *run) collect(done <-chan error) error {
	var patience *time.Timer
	for {
		select {
		case e := <-r.events:
			r.take(e)
			switch count := r.options.Count; {
			case count == 0:
			case r.stats.Received+r.stats.Errors >= count:
				r.stop()
			case r.tried >= count && patience == nil:
				patience = time.AfterFunc(r.patience(), r.stop)
				defer patience.Stop()
			}
		case err := <-done:
			return err
		}
	}
}

// patience is how long answers to the last request are waited for: twice the slowest so far, as ping(8) of iputils does, but at least
// Wait.
func (r *run) patience() time.Duration { return max(r.options.Wait, 2*r.stats.Max) }

// take counts an event and tells an answer.
func (r *run) take(e event) {
	a, s := e.answer, &r.stats
	limit := r.options.Count
	switch {
	case e.sent:
		if r.tried++; limit == 0 || r.tried <= limit {
			s.Sent++
		}
		return
	case limit > 0 && r.tried > limit && a.Sequence >= limit:
		return // pro-bing goes on sending while the answers to the last request are waited for
	case a.Error != nil && a.Error.Send != nil && s.Sent == 0:
		return // pro-bing gives up, and Run says why
	case a.Error != nil:
		if a.Error.Send != nil {
			r.tried++
		}
		s.Errors++
	case a.Duplicate:
		s.Duplicates++
	default:
		r.count(a.Time)
	}
	if err := r.each(a); err != nil && r.failed == nil {
		r.failed = err
		r.stop()
	}
}

// count brings the statistics up to date (Welford's method).
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
