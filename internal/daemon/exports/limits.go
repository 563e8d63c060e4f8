package exports

import (
	"context"
	"io"
	"sync"
	"time"
)

// A bucket lets bytes pass at a rate (a token bucket). Its methods may be called from any goroutine.
type bucket struct {
	mu     sync.Mutex
	rate   int64 // bytes a second; 0: no limit
	tokens float64
	at     time.Time // when tokens was right
}

// setRate changes the rate. Who waits already waits as long as before.
func (b *bucket) setRate(rate int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate != rate {
		b.rate, b.tokens, b.at = rate, 0, time.Now()
	}
}

// share returns how many bytes may be asked for at a time: an eighth of a second's, or all of most.
func (b *bucket) share(most int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate == 0 {
		return most
	}
	return min(most, max(int(b.rate/8), 128))
}

// take takes tokens for n bytes, and returns how long to wait before the next ones: the bytes were
// read already. What nobody took is kept for a quarter of a second.
func (b *bucket) take(n int, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate == 0 {
		return 0
	}
	b.tokens = min(b.tokens+now.Sub(b.at).Seconds()*float64(b.rate), float64(b.rate)/4)
	b.at = now
	if b.tokens -= float64(n); b.tokens >= 0 {
		return 0
	}
	return time.Duration(-b.tokens / float64(b.rate) * float64(time.Second))
}

// A limited reader reads no faster than its buckets let bytes pass, and tells what it read. It ends
// with its context.
type limited struct {
	ctx     context.Context
	r       io.Reader
	buckets []*bucket
	passes  func(n int)
}

func (l *limited) Read(p []byte) (int, error) {
	for _, b := range l.buckets {
		p = p[:b.share(len(p))]
	}
	n, err := l.r.Read(p)
	l.passes(n)
	wait := time.Duration(0)
	for _, b := range l.buckets {
		wait = max(wait, b.take(n, time.Now()))
	}
	if wait == 0 {
		return n, err
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return n, err
	case <-l.ctx.Done():
		return n, l.ctx.Err()
	}
}

// meterSpan is the time over which a meter measures, meterStep the least between two of its marks.
const (
	meterSpan = 10 * time.Second
	meterStep = 250 * time.Millisecond
)

// A mark says how much was sent at a time.
type mark struct {
	at    time.Time
	bytes int64
}

// A meter measures how fast a copy goes.
type meter struct{ marks []mark }

// add notes how much was sent until now. Less than before begins anew.
func (m *meter) add(now time.Time, bytes int64) {
	if n := len(m.marks); n > 0 {
		switch last := &m.marks[n-1]; {
		case bytes < last.bytes:
			m.marks = m.marks[:0]
		case n > 1 && now.Sub(m.marks[n-2].at) < meterStep:
			last.bytes = bytes
			return
		}
	}
	for len(m.marks) > 2 && now.Sub(m.marks[1].at) > meterSpan {
		m.marks = m.marks[1:]
	}
	m.marks = append(m.marks, mark{now, bytes})
}

// rate returns how many bytes a second were sent lately; 0 if that is not known yet. It falls while
// nothing is sent.
func (m *meter) rate(now time.Time) int64 {
	if len(m.marks) < 2 {
		return 0
	}
	first, last := m.marks[0], m.marks[len(m.marks)-1]
	took := now.Sub(first.at).Seconds()
	if took < meterStep.Seconds() {
		return 0
	}
	return int64(float64(last.bytes-first.bytes) / took)
}
