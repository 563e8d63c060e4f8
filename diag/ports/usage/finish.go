package usage

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"diagsh/diag/ports"
)

// Report returns what was counted so far, with at most top rows a table. Hours are all there.
func (c *Counter) Report(top int) *Report {
	r := c.report
	r.Events, r.NoInterest = []EventCount{}, []string{}
	for _, e := range ports.Events {
		if n := c.events[e]; n > 0 {
			r.Events = append(r.Events, EventCount{e, n})
		}
	}
	r.Ports = list(c.ports, top, func(a, b PortUse) int { return busier(a.Use, b.Use) },
		func(k portKey, g *group) (PortUse, bool) { return PortUse{k.protocol, k.port, k.end, g.Use}, true })
	r.Processes = list(c.programs, top, func(a, b ProcessUse) int { return busier(a.Use, b.Use) },
		func(k Program, g *group) (ProcessUse, bool) { return ProcessUse{k, g.Use}, true })
	r.Addresses = list(c.addresses, top, func(a, b AddressUse) int { return busier(a.Use, b.Use) },
		func(k netip.Addr, g *group) (AddressUse, bool) { return AddressUse{k, g.Use}, true })
	r.Users = list(c.users, top, func(a, b UserUse) int { return busier(a.Use, b.Use) },
		func(k userKey, g *group) (UserUse, bool) { return UserUse{k.name, k.uid, g.Use}, true })
	r.Hours = list(c.hours, c.hours.most, func(a, b HourUse) int { return a.Hour.Compare(b.Hour) },
		func(k time.Time, g *group) (HourUse, bool) { return HourUse{k, g.Use}, true })
	r.Talkers = list(c.talkers, top, func(a, b Talker) int {
		return cmp.Or(cmp.Compare(b.bytes(), a.bytes()), busier(a.Use, b.Use))
	}, func(k talkerKey, g *group) (Talker, bool) {
		return Talker{k.Program, k.address, k.protocol, k.port, k.end, g.Use}, true
	})
	r.Failures = list(c.failures, top, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(b.Records, a.Records), a.First.Compare(b.First))
	}, failure)
	r.Once = list(c.programs, top, func(a, b Once) int { return b.Time.Compare(a.Time) }, once)
	r.Suspects = list(c.suspects, top, func(a, b Suspect) int { return busier(a.Use, b.Use) },
		func(k suspectKey, g *group) (Suspect, bool) {
			return Suspect{k.Program, k.reason, g.first.PID, g.first.User, g.Use}, true
		})
	c.interests(&r, top)
	r.Listeners = c.listeners(top)
	return &r
}

// once returns a program that has one socket in the log, as far as that is known.
func once(k Program, g *group) (Once, bool) {
	m := g.first
	return Once{k, m.PID, m.User, m.time, m.event, m.local, m.remote, g.Records}, !m.several && !g.AtLeast
}

func failure(k failureKey, g *group) (Failure, bool) {
	return Failure{k.event, k.protocol, k.address, k.port, k.Program, g.Records, g.First, g.Last, g.AtLeast}, true
}

// interests lists what was used of the addresses that were asked for, and those of which nothing was.
func (c *Counter) interests(r *Report, top int) {
	found := map[string]bool{}
	r.Interest = list(c.tables.interest, top, func(a, b InterestUse) int { return busier(a.Use, b.Use) },
		func(k interestKey, g *group) (InterestUse, bool) {
			found[k.wanted] = true
			return InterestUse{k.wanted, k.address, k.Program, k.protocol, k.port, k.end, g.Use}, true
		})
	for _, w := range c.interest {
		if !found[w.text] && !slices.Contains(r.NoInterest, w.text) {
			r.NoInterest = append(r.NoInterest, w.text)
		}
	}
}

// listeners lists those that came or went, the newest first.
func (c *Counter) listeners(top int) List[Listener] {
	l := List[Listener]{Rows: slices.Clone(c.went)}
	for _, s := range c.sockets {
		if s.listener != nil && s.listener.Came != nil {
			l.Rows = append(l.Rows, *s.listener)
		}
	}
	if l.Rows == nil {
		l.Rows = []Listener{}
	}
	slices.SortFunc(l.Rows, func(a, b Listener) int {
		return cmp.Or(b.latest().Compare(a.latest()), cmp.Compare(a.Port, b.Port))
	})
	l.More = max(0, len(l.Rows)-top)
	l.Rows = l.Rows[:len(l.Rows)-l.More]
	l.More += c.gone
	return l
}

// latest is when the last thing happened to a listener.
func (l Listener) latest() (t time.Time) {
	if l.Went != nil {
		return *l.Went
	}
	if l.Came != nil {
		return *l.Came
	}
	return t
}
