package people

import (
	"container/list"
	"net/netip"
	"time"
)

// crowds counts failures by what many sources have in common: a user name, or a network. It keeps
// the most recent of them. For one with many failures, passwords are checked one after the other.
type crowds struct {
	most  int // that are kept
	crowd int // from how many failures on there is a line
	byKey map[string]*list.Element
	order *list.List // of *crowdedLine, the latest seen first
}

// A crowdedLine is one of them. nil has no failures.
type crowdedLine struct {
	key      string
	crowd    int
	failures int       // of sources that the user never logged in from
	last     time.Time // the latest of them
	next     time.Time // when the line takes another password
}

func newCrowds(most, crowd int) crowds {
	return crowds{most: most, crowd: crowd, byKey: make(map[string]*list.Element), order: list.New()}
}

func (c *crowds) find(key string) *crowdedLine {
	if e, ok := c.byKey[key]; ok {
		return e.Value.(*crowdedLine)
	}
	return nil
}

// wait takes a place in the line and returns how long it waits; false if the line is too long.
func (l *crowdedLine) wait(now time.Time) (time.Duration, bool) {
	if l == nil {
		return 0, true
	}
	if now.Sub(l.last) > forgetFailures {
		l.failures = 0
	}
	if l.failures < l.crowd {
		return 0, true
	}
	if l.next.Before(now) {
		l.next = now
	}
	in := l.next.Sub(now)
	if in > longestLine {
		return 0, false
	}
	l.next = l.next.Add(growing(l.failures/l.crowd, time.Second, 8*time.Second))
	return in, true
}

// count adds a failure.
func (c *crowds) count(key string, now time.Time) {
	e, ok := c.byKey[key]
	if ok {
		c.order.MoveToFront(e)
	} else {
		if oldest := c.order.Back(); len(c.byKey) >= c.most {
			delete(c.byKey, oldest.Value.(*crowdedLine).key)
			c.order.Remove(oldest)
		}
		e = c.order.PushFront(&crowdedLine{key: key, crowd: c.crowd})
		c.byKey[key] = e
	}
	l := e.Value.(*crowdedLine)
	l.failures++
	l.last = now
}

func (c *crowds) forget(key string) {
	if e, ok := c.byKey[key]; ok {
		c.order.Remove(e)
		delete(c.byKey, key)
	}
}

// networksAbove returns the /48 and the /56 of IPv6 that a source, a /64, is a part of. One site or
// household may have a whole one (RFC 6177), and a /48 has 65536 sources.
func networksAbove(source string) []string {
	prefix, err := netip.ParsePrefix(source)
	if err != nil {
		return nil
	}
	var networks []string
	for _, bits := range []int{48, 56} {
		above, _ := prefix.Addr().Prefix(bits)
		networks = append(networks, above.String())
	}
	return networks
}
