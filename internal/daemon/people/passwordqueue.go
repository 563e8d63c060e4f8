package people

import (
	"context"
	"net/netip"
	"sync"
)

// A turnstile lets a bounded number through at a time and keeps a bounded number waiting. The next
// turn is chosen among the largest networks, then among the networks within the chosen one. So a
// client with many addresses has no more turns than one with a single address.
type turnstile struct {
	places int // that wait at most

	mu      sync.Mutex
	free    int       // how many may pass at once
	waiting []*waiter // in the order in which they came
	turns   int
	last    map[string]int // of networks that wait: the number of their last turn
}

// A waiter is one that waits.
type waiter struct {
	networks [3]string
	answer   chan bool // true: it is its turn; false: it had to make room
}

func newTurnstile(slots, places int) *turnstile {
	return &turnstile{places: places, free: slots, last: make(map[string]int)}
}

// networksOf returns what counts as one origin, the largest first: the /48, /56 and /64 of an IPv6
// address, which are what providers give to a site, a household and a link (RFC 6177); the /16, /24
// and the whole of an IPv4 address; else the text itself.
func networksOf(text string) [3]string {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return [3]string{text, text, text}
	}
	addr = addr.Unmap().WithZone("")
	lengths := [3]int{48, 56, 64}
	if addr.Is4() {
		lengths = [3]int{16, 24, 32}
	}
	var networks [3]string
	for i, n := range lengths {
		prefix, _ := addr.Prefix(n)
		networks[i] = prefix.String()
	}
	return networks
}

// enter waits for a turn, which ends with leave. It is errBusy when all places are taken and no
// network has more of them than the one that asks would have; else the latest of that network makes
// room. The other error is the context's.
func (t *turnstile) enter(ctx context.Context, from string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &waiter{networks: networksOf(from), answer: make(chan bool, 1)}
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return nil
	}
	if len(t.waiting) >= t.places && !t.makeRoom(w) {
		t.mu.Unlock()
		return errBusy
	}
	t.waiting = append(t.waiting, w)
	t.mu.Unlock()
	select {
	case turn := <-w.answer:
		if !turn {
			return errBusy
		}
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	gone := t.remove(w)
	t.mu.Unlock()
	if !gone && <-w.answer { // its turn came in this moment
		t.leave()
	}
	return ctx.Err()
}

// makeRoom sends the latest waiter of the network away that has most places, if that is more than
// the network of w would have. Called with mu held.
func (t *turnstile) makeRoom(w *waiter) bool {
	count := make(map[string]int)
	for _, other := range t.waiting {
		count[other.networks[0]]++
	}
	var latest *waiter
	for _, other := range t.waiting {
		if latest == nil || count[other.networks[0]] >= count[latest.networks[0]] {
			latest = other
		}
	}
	if latest == nil || count[latest.networks[0]] <= count[w.networks[0]]+1 {
		return false
	}
	t.remove(latest)
	latest.answer <- false
	return true
}

// remove takes a waiter out of the line, and forgets networks that no longer wait. It reports
// whether the waiter was there. Called with mu held.
func (t *turnstile) remove(w *waiter) bool {
	found := false
	kept := t.waiting[:0]
	waits := make(map[string]bool)
	for _, other := range t.waiting {
		if other == w {
			found = true
			continue
		}
		kept = append(kept, other)
		for _, n := range other.networks {
			waits[n] = true
		}
	}
	clear(t.waiting[len(kept):])
	t.waiting = kept
	for n := range t.last {
		if !waits[n] {
			delete(t.last, n)
		}
	}
	return found
}

// leave ends a turn and gives it to who is next: the network whose last turn is longest ago, within
// it the smaller network likewise, and so on.
func (t *turnstile) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	var next *waiter
	for _, w := range t.waiting {
		if next == nil || t.before(w, next) {
			next = w
		}
	}
	if next == nil {
		t.free++
		return
	}
	t.turns++
	for _, n := range next.networks {
		t.last[n] = t.turns
	}
	t.remove(next)
	next.answer <- true
}

func (t *turnstile) before(a, b *waiter) bool {
	for i, n := range a.networks {
		if mine, theirs := t.last[n], t.last[b.networks[i]]; mine != theirs {
			return mine < theirs
		}
	}
	return false
}

// idle reports whether all turns are free and none waits.
func (t *turnstile) idle(slots int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.free == slots
}
