package people

import (
	"container/list"
	"context"
	"sync"
	"time"

	"diagsh/internal/daemon/people/loginlog"
	"diagsh/internal/daemon/settings"
	"diagsh/internal/menu"
)

const (
	// forgetFailures is how long a source or a name must be quiet until its failures are forgotten.
	forgetFailures = 15 * time.Minute
	// forgetLocks is how long a source must leave a name alone until its next lock is a first one
	// again.
	forgetLocks = 24 * time.Hour
	// An attacker chooses sources and names, so only the most recent are kept.
	maxSources      = 8192
	maxNames        = 4096
	maxNetworks     = 4096
	maxNamesASource = 64
	// maxWaiting is how many passwords of one source may wait to be checked.
	maxWaiting = 100
	// crowd is a number of failures for one name over all sources, or of one /48 or /56 of IPv6
	// over all names. From then on, unknown sources wait in one line, at most longestLine.
	crowd       = 20
	longestLine = 30 * time.Second
)

// A guard slows down the guessing of passwords.
type guard struct {
	rules settings.LoginRules

	mu      sync.Mutex
	sources map[string]*list.Element // of *source
	order   *list.List               // the latest seen first

	names    crowds // user names that passwords were wrong for
	networks crowds // larger networks of IPv6 that wrong passwords came from
}

// A source is where passwords come from.
type source struct {
	key      string
	failures int
	last     time.Time        // the latest failure
	pairs    map[string]*pair // by user name
	turn     chan struct{}    // holds a token while a password of this source is being delayed or checked
	outside  chan struct{}    // turn for passwords that a server checks: no account waits for that
	waiting  int              // how many want or hold the turn; such a source is not forgotten
}

// A pair is a source and a user name.
type pair struct {
	failures int
	locks    int
	until    time.Time // locked
	last     time.Time // the latest failure
}

func newGuard(rules settings.LoginRules) *guard {
	return &guard{rules: rules, sources: make(map[string]*list.Element), order: list.New(), names: newCrowds(maxNames,
		crowd), networks: newCrowds(maxNetworks, crowd)}
}

// An attempt is one password that may be checked now. It ends with one call of done.
type attempt struct {
	guard   *guard
	source  *source
	turn    chan struct{} // of the source, held until the end
	user    string
	trusted bool
}

// Refusals without a look at the password. They hold for names that no account has, too, so that
// they may be told.
var (
	errLocked = menu.Errorf(menu.State, "Too many logins have failed").
			WithHint("Try again in some minutes, or log in with a key")
	errCrowded = menu.Errorf(menu.State, "Too many logins from this address wait to be checked").
			WithHint("Try again in a minute")
)

// admit waits until a password for user from that source may be checked. trusted reports whether
// the user logged in from there lately. The error is errLocked, errCrowded or the context's; then
// no password may be checked.
func (g *guard) admit(ctx context.Context, user, from string, trusted bool) (*attempt, error) {
	return g.admitTo(ctx, user, from, trusted, func(s *source) chan struct{} { return s.turn })
}

// admitOutside is admit for a password that a server checks. It waits for others like it, and
// passwords of accounts do not wait for it.
func (g *guard) admitOutside(ctx context.Context, user, from string, trusted bool) (*attempt, error) {
	return g.admitTo(ctx, user, from, trusted, func(s *source) chan struct{} { return s.outside })
}

func (g *guard) admitTo(ctx context.Context, user, from string, trusted bool,
	turnOf func(*source) chan struct{}) (*attempt, error) {
	s, ok := g.enter(loginlog.SourceKey(from))
	if !ok {
		return nil, errCrowded
	}
	a := &attempt{guard: g, source: s, turn: turnOf(s), user: user, trusted: trusted}
	select {
	case a.turn <- struct{}{}:
	case <-ctx.Done():
		g.leave(s)
		return nil, ctx.Err()
	}
	wait, refusal := g.delay(s, user, trusted)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		a.end()
		return nil, ctx.Err()
	}
	if refusal != nil {
		a.done(false)
		return nil, refusal
	}
	return a, nil
}

// enter finds or makes a source and counts one more that waits for its turn.
func (g *guard) enter(key string) (*source, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	e, ok := g.sources[key]
	if ok {
		g.order.MoveToFront(e)
	} else {
		g.forgetSources()
		e = g.order.PushFront(&source{key: key, pairs: make(map[string]*pair), turn: make(chan struct{}, 1),
			outside: make(chan struct{}, 1)})
		g.sources[key] = e
	}
	s := e.Value.(*source)
	if s.waiting >= maxWaiting {
		return nil, false
	}
	s.waiting++
	return s, true
}

// forgetSources makes room for one more source. A source with a password that waits stays.
func (g *guard) forgetSources() {
	for e := g.order.Back(); e != nil && len(g.sources) >= maxSources; {
		before := e.Prev()
		if s := e.Value.(*source); s.waiting == 0 {
			delete(g.sources, s.key)
			g.order.Remove(e)
		}
		e = before
	}
}

func (g *guard) leave(s *source) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s.waiting--
}

// delay returns how long to wait, and errLocked if the password must not be checked. Called with a
// turn of the source.
func (g *guard) delay(s *source, user string, trusted bool) (time.Duration, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if now.Sub(s.last) > forgetFailures {
		s.failures = 0
	}
	wait := growing(s.failures-1, time.Second, g.rules.LongestDelay)
	if p := s.pairs[user]; p != nil && now.Before(p.until) {
		return wait, errLocked
	}
	if trusted {
		return wait, nil
	}
	lines := []*crowdedLine{g.names.find(user)}
	for _, n := range networksAbove(s.key) {
		lines = append(lines, g.networks.find(n))
	}
	for _, l := range lines {
		in, ok := l.wait(now)
		if !ok {
			return wait, errLocked
		}
		wait = max(wait, in)
	}
	return wait, nil
}

// growing returns 0 for n <= 0, else first doubled n-1 times, at most most.
func growing(n int, first, most time.Duration) time.Duration {
	if n <= 0 {
		return 0
	}
	d := first
	for ; n > 1 && d < most; n-- {
		d *= 2
	}
	return min(d, most)
}

// done takes the result of the check and lets the next password of the source have its turn. It
// returns the length of a lock that begins with this failure, else 0.
func (a *attempt) done(right bool) (locked time.Duration) {
	defer a.end()
	g, s := a.guard, a.source
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if right {
		// Only the failures with this name are forgiven: the owner of one account must not erase
		// guesses at another.
		if p := s.pairs[a.user]; p != nil {
			s.failures = max(0, s.failures-p.failures)
			delete(s.pairs, a.user)
		}
		if !a.trusted {
			g.names.forget(a.user)
		}
		return 0
	}
	s.failures++
	s.last = now
	p := s.pairs[a.user]
	if p == nil {
		s.forgetPairs(now)
		p = &pair{}
		s.pairs[a.user] = p
	}
	if !now.Before(p.until) { // What is refused unseen is no guess.
		locked = g.countPair(p, now)
		if !a.trusted {
			g.names.count(a.user, now)
			for _, n := range networksAbove(s.key) {
				g.networks.count(n, now)
			}
		}
	}
	return locked
}

// forgetPairs makes room for one more name that the source has tried: the one that failed longest
// ago goes.
func (s *source) forgetPairs(now time.Time) {
	for len(s.pairs) >= maxNamesASource {
		oldest, at := now.Add(time.Hour), ""
		for user, p := range s.pairs {
			if p.last.Before(oldest) {
				oldest, at = p.last, user
			}
		}
		delete(s.pairs, at)
	}
}

func (g *guard) countPair(p *pair, now time.Time) (locked time.Duration) {
	switch quiet := now.Sub(p.last); {
	case quiet > forgetLocks:
		*p = pair{}
	case quiet > forgetFailures:
		p.failures = 0
	}
	p.failures++
	p.last = now
	if p.failures >= g.rules.LockAfter {
		p.failures = 0
		p.locks++
		locked = growing(p.locks, g.rules.Lock, g.rules.LongestLock)
		p.until = now.Add(locked)
	}
	return locked
}

// end gives the turn back.
func (a *attempt) end() {
	<-a.turn
	a.guard.leave(a.source)
}

// locks lists the names that a source is locked for, with the end of the longest lock.
func (g *guard) locks() map[string]time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	ends := make(map[string]time.Time)
	for e := g.order.Front(); e != nil; e = e.Next() {
		for user, p := range e.Value.(*source).pairs {
			if p.until.After(now) && p.until.After(ends[user]) {
				ends[user] = p.until
			}
		}
	}
	return ends
}

// unlock forgets every failure with a name.
func (g *guard) unlock(user string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for e := g.order.Front(); e != nil; e = e.Next() {
		s := e.Value.(*source)
		if p := s.pairs[user]; p != nil {
			s.failures = 0
			delete(s.pairs, user)
		}
	}
	g.names.forget(user)
}
