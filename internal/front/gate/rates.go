package gate

import (
	"sync"
	"time"
)

// maxRates bounds the names that a Rates knows. One that has not asked for a while is as one that is
// new, so it is forgotten.
const maxRates = 10_000

// Rates bound how often each of many names may do something: burst times at once, and then once in
// every. The methods may be called from any goroutine.
type Rates[Name comparable] struct {
	burst float64
	every time.Duration

	mu    sync.Mutex
	names map[Name]*rate
}

// A rate is what is left to a name.
type rate struct {
	left float64 // at last
	last time.Time
}

// NewRates returns rates that nobody has used.
func NewRates[Name comparable](burst int, every time.Duration) *Rates[Name] {
	return &Rates[Name]{burst: float64(burst), every: every, names: map[Name]*rate{}}
}

// Take takes one time of a name, at a time. If there is none left, it returns after what time there
// will be one, and takes nothing.
func (r *Rates[Name]) Take(name Name, now time.Time) (wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.names[name]
	if one == nil {
		r.makeRoom(now)
		one = &rate{r.burst, now}
		r.names[name] = one
	}
	one.left = r.leftOf(one, now)
	one.last = now
	if one.left < 1 {
		return time.Duration((1 - one.left) * float64(r.every))
	}
	one.left--
	return 0
}

// leftOf returns what is left to a name at a time.
func (r *Rates[Name]) leftOf(one *rate, now time.Time) float64 {
	return min(r.burst, one.left+float64(now.Sub(one.last))/float64(r.every))
}

// makeRoom forgets names if there are too many: those that have all of their times again, or, if there
// are none, any one.
func (r *Rates[Name]) makeRoom(now time.Time) {
	if len(r.names) < maxRates {
		return
	}
	var other Name
	for name, one := range r.names {
		if r.leftOf(one, now) >= r.burst {
			delete(r.names, name)
		}
		other = name
	}
	if len(r.names) >= maxRates {
		delete(r.names, other)
	}
}
