package daemon

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"diagsh/access"
	"diagsh/config"
	"diagsh/diag/links"
	"diagsh/menu"
)

// A loss is what the kernel forgets with a step: the IPv6 of an interface, a VLAN with its routes, or the routes that have an address of
// the loopback interface as their preferred source. One of the three is set.
type loss struct {
	IPv6Of   string       `json:"ipv6Of,omitempty"`
	VLAN     *config.VLAN `json:"vlan,omitempty"`
	Loopback netip.Addr   `json:"loopback,omitzero"`

	Forgotten links.Forgotten `json:"forgotten"`
}

// same reports whether the other loss is one of the same thing.
func (l loss) same(other loss) bool {
	if l.VLAN != nil && other.VLAN != nil {
		return *l.VLAN == *other.VLAN
	}
	return l.VLAN == other.VLAN && l.IPv6Of == other.IPv6Of && l.Loopback == other.Loopback
}

// read reads it from the kernel.
func (l loss) read(m network) (links.Forgotten, error) {
	switch {
	case l.VLAN != nil:
		return m.ReadLink(l.VLAN.Name)
	case l.Loopback.IsValid():
		return m.ReadSourced(l.Loopback)
	}
	return m.ReadIPv6(l.IPv6Of)
}

// past reports whether nobody can have it again: the machine was restarted since, or the interface is another one.
func (l loss) past(m network) bool {
	return !m.Recent(l.Forgotten) || l.IPv6Of != "" && !m.SameLink(l.IPv6Of, l.Forgotten)
}

// where is the interface that can have it again in this state of the network, and what it is for people.
func (l loss) where(state links.State) (name, what string, ok bool) {
	switch {
	case l.VLAN != nil:
		link, there := state.Link(l.VLAN.Name)
		return link.Name, "give " + l.VLAN.Name + " its addresses and routes back", there && isVLAN(link, *l.VLAN)
	case l.Loopback.IsValid():
		i := slices.IndexFunc(state.Links, func(link links.Link) bool { return link.Loopback })
		if i < 0 {
			return "", "", false
		}
		return state.Links[i].Name, "give the routes from " + l.Loopback.String() + " back", slices.Contains(state.Loopback(), l.Loopback)
	}
	link, there := state.Link(l.IPv6Of)
	return link.Name, "give " + l.IPv6Of + " its IPv6 addresses and routes back", there && link.MTU >= links.LeastIPv6MTU
}

// rememberLosses keeps what steps make the kernel forget. After an interrupted transaction the machine may have only a part of what was
// remembered before, which then stays.
func (l *ledger) rememberLosses(m network, steps []step, interrupted bool) error {
	for _, s := range steps {
		if s.forgets == nil {
			continue
		}
		found := *s.forgets
		i := slices.IndexFunc(l.Lost, found.same)
		if i >= 0 && interrupted && !l.Lost[i].past(m) {
			continue
		}
		var err error
		if found.Forgotten, err = found.read(m); err != nil {
			return err
		}
		if i >= 0 {
			l.Lost[i] = found
		} else {
			l.Lost = append(l.Lost, found)
		}
	}
	return nil
}

// A notRestored is what was not given back whole.
type notRestored struct {
	what string
	err  error
}

// restoreLosses gives the machine again what was remembered, where it can have it. What it has got is forgotten, and what can be given
// back to nobody.
func (l *ledger) restoreLosses(m network) []notRestored {
	if len(l.Lost) == 0 {
		return nil
	}
	state, err := m.Read()
	if err != nil {
		return []notRestored{{"read the network", err}}
	}
	var failed []notRestored
	l.Lost = slices.DeleteFunc(l.Lost, func(lost loss) bool {
		name, what, ok := lost.where(state)
		switch {
		case lost.past(m):
			return true
		case !ok:
			return false
		}
		if err := m.Restore(name, lost.Forgotten); err != nil {
			failed = append(failed, notRestored{what, err})
			return false
		}
		return true
	})
	return failed
}

// notRestored tells what a commit or a rollback could not give back.
func (d *Daemon) notRestored(f notRestored) {
	d.log.Error("what the kernel forgot could not be restored", "step", f.what, "error", f.err)
	d.system(access.Event{User: "system", Source: localSource, Result: menu.Failed.String(), Exit: int(menu.Failed),
		Message: "The appliance could not " + f.what + ": " + reason(f.err)})
}

// warnings are what the changes of a view do to IPv6.
func (c *configuration) warnings(v config.View) []config.Warning {
	if !slices.ContainsFunc(v.Changes, func(change config.Change) bool { return change.Path.Field == "mtu" }) {
		return nil
	}
	state, err := c.network.Read()
	if err != nil {
		return nil // The commit says so.
	}
	c.mu.Lock()
	baseline := c.ledger.Baseline
	c.mu.Unlock()
	var list []config.Warning
	for _, s := range plan(c.network, v.Running, v.Candidate, state, baseline) {
		if s.forgets == nil || s.forgets.IPv6Of == "" {
			continue
		}
		l, _ := state.Link(s.forgets.IPv6Of)
		var addresses []string
		for _, a := range l.Addresses {
			if a.Addr().Is6() {
				addresses = append(addresses, a.String())
			}
		}
		if len(addresses) > 0 {
			list = append(list, config.Warning{Path: config.MTUOf(l.Name), Text: fmt.Sprintf("Warning: an MTU below %d switches IPv6 off on %s. It loses %s and its IPv6 routes until its MTU is %d or more again.",
				links.LeastIPv6MTU, l.Name, strings.Join(addresses, ", "), links.LeastIPv6MTU)})
		}
	}
	return list
}

// reachable refuses steps that cut the caller's own connection: one by IPv6 through an interface that loses it.
func reachable(m network, caller menu.Caller, steps []step) error {
	source, err := sourceAddress(caller.Source)
	if err != nil || !source.Is6() {
		return nil
	}
	name := m.Toward(source)
	for _, s := range steps {
		if name != "" && s.forgets != nil && s.forgets.IPv6Of == name {
			return menu.Errorf(menu.State, "Your own connection comes by IPv6 through %s, and an MTU below %d switches IPv6 off there", name, links.LeastIPv6MTU).
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
