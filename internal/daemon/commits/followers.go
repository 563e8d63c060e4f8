package commits

import (
	"fmt"
	"slices"
	"strconv"

	"diagsh/internal/config"
	"diagsh/internal/netconf"
)

// A follower is an interface whose MTU the kernel makes smaller with that of another one, and never
// greater again, unless it is a bridge or one that always has the same.
type follower struct {
	Name string `json:"name"`
	Of   string `json:"of"`  // the interface whose MTU the commit changes
	MTU  int    `json:"mtu"` // that it had before
	// Left is the MTU that the commit left it, 0 until it is done. If it has another one later,
	// somebody gave it that, and it stays.
	Left int `json:"left"`
	// HasIPv6 says that there is no IPv6 to be given back: it has it again, or did not lose it.
	HasIPv6 bool `json:"hasIPv6,omitempty"`

	then int // what Left is expected to be
}

func newFollower(f netconf.Follower, of string) *follower {
	return &follower{Name: f.Name, Of: of, MTU: f.MTU, then: f.Then, HasIPv6: f.MTU < netconf.LeastIPv6MTU || f.Then >= netconf.LeastIPv6MTU}
}

// after is a loss of a follower whose MTU was made smaller by an earlier commit too: what it had
// before that is what it gets again.
func (l loss) after(earlier loss) loss {
	f, before := *l.Follower, *earlier.Follower
	if f.MTU == before.Left {
		f.MTU = before.MTU
	}
	if !before.HasIPv6 {
		f.HasIPv6, l.Forgotten = false, earlier.Forgotten
	}
	l.Follower = &f
	return l
}

// restore gives a follower as much of its MTU back as the interface below leaves room for, and its
// IPv6 where its MTU is enough for that. What is still to be given back is the follower that it
// returns; nil if nothing is. state has the MTUs afterwards.
func (f follower) restore(m netconf.Network, state netconf.State, forgotten netconf.Forgotten) (left *follower, failed []notRestored) {
	i := slices.IndexFunc(state.Links, func(l netconf.Link) bool { return l.Name == f.Name })
	if i < 0 {
		return nil, nil
	}
	link := &state.Links[i]
	own := link.BelowItsLower() // the others follow upwards too
	if own && f.Left != 0 && link.MTU != f.Left {
		f.MTU = link.MTU
	}
	if mtu := min(f.MTU, state.Room(*link)); own && mtu > link.MTU {
		if err := m.SetMTU(f.Name, mtu); err != nil {
			failed = append(failed, notRestored{fmt.Sprintf("give %s its MTU %d back", f.Name, mtu), err})
		} else {
			link.MTU = mtu
		}
	}
	if !f.HasIPv6 && link.MTU >= netconf.LeastIPv6MTU {
		if err := m.Restore(f.Name, forgotten); err != nil {
			failed = append(failed, notRestored{"give " + f.Name + " its IPv6 addresses and routes back", err})
		} else {
			f.HasIPv6 = true
		}
	}
	if f.HasIPv6 && (!own || link.MTU >= f.MTU) {
		return nil, failed
	}
	f.Left = link.MTU
	return &f, failed
}

// before is the MTU that an interface had before commits about others made it smaller; 0 if none
// did.
func (l *ledger) before(name string) int {
	for _, lost := range l.Lost {
		if f := lost.Follower; f != nil && f.Name == name {
			return f.MTU
		}
	}
	return 0
}

// configured notes that a change says itself what MTU a follower has, which it gets instead of what
// it had before.
func (l *ledger) configured(c config.Change) {
	mtu, err := strconv.Atoi(c.After)
	for i, lost := range l.Lost {
		if lost.Follower == nil || lost.Follower.Name != c.Path.Name || err != nil {
			continue
		}
		f := *lost.Follower
		f.MTU = mtu
		l.Lost[i].Follower = &f
	}
}
