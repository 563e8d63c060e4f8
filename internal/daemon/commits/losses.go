package commits

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"diagsh/internal/config"
	"diagsh/internal/menu"
	"diagsh/internal/netconf"
)

// A loss is what the kernel forgets with a step: the IPv6 of an interface, the MTU of one that
// follows it, a VLAN with its routes, or the routes that have an address of the loopback interface
// as their preferred source. One of the four is set.
type loss struct {
	IPv6Of   string       `json:"ipv6Of,omitempty"`
	Follower *follower    `json:"follower,omitempty"`
	VLAN     *config.VLAN `json:"vlan,omitempty"`
	Loopback netip.Addr   `json:"loopback,omitzero"`

	Forgotten netconf.Forgotten `json:"forgotten"`
}

// same reports whether the other loss is one of the same thing.
func (l loss) same(other loss) bool {
	switch {
	case l.VLAN != nil && other.VLAN != nil:
		return *l.VLAN == *other.VLAN
	case l.Follower != nil && other.Follower != nil:
		return l.Follower.Name == other.Follower.Name
	case l.Follower != nil || other.Follower != nil:
		return false
	}
	return l.VLAN == other.VLAN && l.IPv6Of == other.IPv6Of && l.Loopback == other.Loopback
}

// read reads it from the kernel.
func (l loss) read(m netconf.Network) (netconf.Forgotten, error) {
	switch {
	case l.VLAN != nil:
		return m.ReadLink(l.VLAN.Name)
	case l.Loopback.IsValid():
		return m.ReadSourced(l.Loopback)
	case l.Follower != nil:
		return m.ReadIPv6(l.Follower.Name)
	}
	return m.ReadIPv6(l.IPv6Of)
}

// past reports whether nobody can have it again: the machine was restarted since, or the interface
// is another one.
func (l loss) past(m netconf.Network) bool {
	return !m.Recent(l.Forgotten) || l.IPv6Of != "" && !m.SameLink(l.IPv6Of, l.Forgotten) ||
		l.Follower != nil && !m.SameLink(l.Follower.Name, l.Forgotten)
}

// where is the interface that can have it again in this state of the network, and what it is for
// people.
func (l loss) where(state netconf.State) (name, what string, ok bool) {
	switch {
	case l.VLAN != nil:
		link, there := state.Link(l.VLAN.Name)
		return link.Name, "give " + l.VLAN.Name + " its addresses and routes back", there && isVLAN(link, *l.VLAN)
	case l.Loopback.IsValid():
		i := slices.IndexFunc(state.Links, func(link netconf.Link) bool { return link.Loopback })
		if i < 0 {
			return "", "", false
		}
		return state.Links[i].Name, "give the routes from " + l.Loopback.String() + " back", slices.Contains(state.Loopback(), l.Loopback)
	}
	link, there := state.Link(l.IPv6Of)
	return link.Name, "give " + l.IPv6Of + " its IPv6 addresses and routes back", there && link.MTU >= netconf.LeastIPv6MTU
}

// rememberLosses keeps what steps make the kernel forget. After an interrupted transaction the
// machine may have only a part of what was remembered before, which then stays.
func (l *ledger) rememberLosses(m netconf.Network, steps []step, interrupted bool) error {
	var forgets []loss
	for _, s := range steps {
		forgets = append(forgets, s.forgets...)
	}
	for _, found := range forgets {
		i := slices.IndexFunc(l.Lost, found.same)
		if i >= 0 && interrupted && !l.Lost[i].past(m) {
			continue
		}
		var err error
		if found.Forgotten, err = found.read(m); err != nil {
			return err
		}
		if i < 0 {
			l.Lost = append(l.Lost, found)
			continue
		}
		if found.Follower != nil && !l.Lost[i].past(m) {
			found = found.after(l.Lost[i])
		}
		l.Lost[i] = found
	}
	return nil
}

// A notRestored is what was not given back whole.
type notRestored struct {
	what string
	err  error
}

// restoreLosses gives the machine again what was remembered, where it can have it. What it has got
// is forgotten, and what can be given back to nobody.
func (l *ledger) restoreLosses(m netconf.Network) []notRestored {
	if len(l.Lost) == 0 {
		return nil
	}
	state, err := m.Read()
	if err != nil {
		return []notRestored{{"read the network", err}}
	}
	var failed []notRestored
	var left []loss
	for _, lost := range l.Lost {
		if lost.past(m) {
			continue
		}
		if lost.Follower != nil {
			after, refused := lost.Follower.restore(m, state, lost.Forgotten)
			failed = append(failed, refused...)
			if after != nil {
				lost.Follower = after
				left = append(left, lost)
			}
			continue
		}
		name, what, ok := lost.where(state)
		if ok {
			err := m.Restore(name, lost.Forgotten)
			if err == nil {
				continue
			}
			failed = append(failed, notRestored{what, err})
		}
		left = append(left, lost)
	}
	l.Lost = left
	return failed
}

// notRestored tells what a commit or a rollback could not give back.
func (c *Commits) notRestored(f notRestored) {
	c.o.Log.Error("what the kernel forgot could not be restored", "step", f.what, "error", f.err)
	c.o.SystemFailed("", "The appliance could not "+f.what+": "+reason(f.err))
}

// warnings are what there is to say about the changes of a view.
func (c *Commits) warnings(v config.View) []config.Warning {
	list := c.forgotten(v)
	if c.o.Warns != nil {
		list = append(list, c.o.Warns(v.Candidate, v.Running)...)
	}
	return list
}

// forgotten are what the changes of a view do to IPv6, and to the MTU of other interfaces.
func (c *Commits) forgotten(v config.View) []config.Warning {
	if !slices.ContainsFunc(v.Changes, func(change config.Change) bool { return change.Path.Field == "mtu" }) {
		return nil
	}
	state, err := c.o.Network.Read()
	if err != nil {
		return nil // The commit says so.
	}
	c.mu.Lock()
	baseline := c.ledger.Baseline
	c.mu.Unlock()
	var list []config.Warning
	for _, s := range plan(c.o.Network, v.Running, v.Candidate, state, baseline) {
		for _, forgets := range s.forgets {
			if w, ok := forgets.warning(state); ok {
				list = append(list, w)
			}
		}
	}
	return list
}

// warning is what somebody should know who is about to lose it.
func (l loss) warning(state netconf.State) (w config.Warning, ok bool) {
	name, of, article := l.IPv6Of, l.IPv6Of, "an"
	w.Text = "Warning: "
	if f := l.Follower; f != nil {
		name, of, article = f.Name, f.Of, "An"
		w.Text += fmt.Sprintf("the MTU of %s follows that of %s, from %d to %d. ", name, of, f.MTU, f.then)
	}
	w.Path = config.MTUOf(of)
	link, _ := state.Link(name)
	var addresses []string
	for _, a := range link.Addresses {
		if a.Addr().Is6() {
			addresses = append(addresses, a.String())
		}
	}
	switch {
	case l.losesIPv6(name) && len(addresses) > 0:
		w.Text += fmt.Sprintf("%s MTU below %d switches IPv6 off on %s. It loses %s and its IPv6 routes until its MTU is %d or more again.",
			article, netconf.LeastIPv6MTU, name, strings.Join(addresses, ", "), netconf.LeastIPv6MTU)
	case l.Follower != nil:
		w.Text = strings.TrimSpace(w.Text)
	default:
		return w, false
	}
	return w, true
}

// losesIPv6 reports whether a link loses its IPv6.
func (l loss) losesIPv6(name string) bool {
	return name != "" && (l.IPv6Of == name || l.Follower != nil && l.Follower.Name == name && !l.Follower.HasIPv6)
}

// reachable refuses steps that cut the caller's own connection: one by IPv6 through an interface
// that loses it.
func reachable(m netconf.Network, caller menu.Caller, steps []step) error {
	source, err := sourceAddress(caller.Source)
	if err != nil || !source.Is6() {
		return nil
	}
	name := m.Toward(source)
	for _, s := range steps {
		if slices.ContainsFunc(s.forgets, func(l loss) bool { return l.losesIPv6(name) }) {
			return menu.Errorf(menu.State, "Your own connection comes by IPv6 through %s, and an MTU below %d switches IPv6 off there", name, netconf.LeastIPv6MTU).
				WithHint("Nothing was changed. `commit confirm 5` takes the changes back in five minutes unless you confirm them")
		}
	}
	return nil
}

// sourceAddress reads a caller's address, with or without its port.
func sourceAddress(text string) (netip.Addr, error) {
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at.Addr().Unmap(), nil
	}
	a, err := netip.ParseAddr(text)
	return a.Unmap(), err
}
