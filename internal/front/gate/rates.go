package gate

import (
	"container/list"
	"sync"
	"time"
)

// maxRates bounds the names that are known. One that has not asked for a while is as one that is new.
const maxRates = 10_000

// Rates bound how often each of many names may do something: burst times at once, and then once in
// every. The methods may be called from any goroutine.
type Rates[Name comparable] struct {
	burst float64
	every time.Duration

	mu    sync.Mutex
	names map[Name]*list.Element // of order
	order *list.List             // of *named[Name], who asked last first
}

// A named is a name with its rate.
type named[Name comparable] struct {
	name Name
	rate rate
}

// A rate is what is left to a name.
type rate struct {
	left float64 // at last
	last time.Time
}

// NewRates returns rates that nobody has used.
func NewRates[Name comparable](burst int, every time.Duration) *Rates[Name] {
	return &Rates[Name]{burst: float64(burst), every: every, names: map[Name]*list.Element{}, order: list.New()}
}

// Take takes one time of a name, at a time. If there is none left, it returns after what time there
// will be one, and takes nothing.
func (r *Rates[Name]) Take(name Name, now time.Time) (wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.know(name, now)
	one.left = min(r.burst, one.left+float64(now.Sub(one.last))/float64(r.every))
	one.last = now
	if one.left < 1 {
		return time.Duration((1 - one.left) * float64(r.every))
	}
	one.left--
	return 0
}

// know notes that a name asks, and forgets the one that has not asked for the longest time if there are
// too many.
func (r *Rates[Name]) know(name Name, now time.Time) *rate {
	if e, known := r.names[name]; known {
		r.order.MoveToFront(e)
		return &e.Value.(*named[Name]).rate
	}
	if r.order.Len() >= maxRates {
		oldest := r.order.Back()
		delete(r.names, oldest.Value.(*named[Name]).name)
		r.order.Remove(oldest)
	}
	one := &named[Name]{name, rate{r.burst, now}}
	r.names[name] = r.order.PushFront(one)
	return &one.rate
}
