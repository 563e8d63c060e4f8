package daemon

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"diagsh/access"
	"diagsh/config"
	"diagsh/diag/links"
	"diagsh/menu"
)

// rememberIPv6 keeps what steps make the kernel forget. After an interrupted transaction an interface may have only a part of what was
// remembered for it before, which then stays.
func (l *ledger) rememberIPv6(m network, steps []step, interrupted bool) error {
	for _, s := range steps {
		name := s.losesIPv6
		if name == "" {
			continue
		}
		if known, ok := l.IPv6[name]; ok && interrupted && m.Current(name, known) {
			continue
		}
		v, err := m.ReadIPv6(name)
		if err != nil {
			return err
		}
		if l.IPv6 == nil {
			l.IPv6 = map[string]links.IPv6{}
		}
		l.IPv6[name] = v
	}
	return nil
}

// A notRestored is an interface that did not get back everything.
type notRestored struct {
	what string
	err  error
}

// restoreIPv6 gives interfaces whose MTU is great enough again what was remembered for them. What they have got is forgotten, and what
// can be given back to nobody: the machine was restarted since, or the interface is another one.
func (l *ledger) restoreIPv6(m network) []notRestored {
	if len(l.IPv6) == 0 {
		return nil
	}
	var failed []notRestored
	state, err := m.Read()
	if err != nil {
		return []notRestored{{"read the network", err}}
	}
	for _, name := range slices.Sorted(maps.Keys(l.IPv6)) {
		link, there := state.Link(name)
		switch {
		case !there || !m.Current(name, l.IPv6[name]):
			delete(l.IPv6, name)
		case link.MTU >= links.LeastIPv6MTU:
			if err := m.RestoreIPv6(name, l.IPv6[name]); err != nil {
				failed = append(failed, notRestored{"give " + name + " its IPv6 addresses and routes back", err})
				continue
			}
			delete(l.IPv6, name)
		}
	}
	return failed
}

// notRestored tells what a commit or a rollback could not give back.
func (d *Daemon) notRestored(f notRestored) {
	d.log.Error("IPv6 of an interface could not be restored", "step", f.what, "error", f.err)
	d.system(access.Event{User: "system", Source: localSource, Result: menu.Failed.String(), Exit: int(menu.Failed),
		Message: "The appliance could not " + f.what + ": " + reason(f.err)})
}

// warnings are what the changes of a view do to IPv6.
func (c *configuration) warnings(v config.View) []string {
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
	var sentences []string
	for _, s := range plan(c.network, v.Running, v.Candidate, state, baseline) {
		l, _ := state.Link(s.losesIPv6)
		var addresses []string
		for _, a := range l.Addresses {
			if a.Addr().Is6() {
				addresses = append(addresses, a.String())
			}
		}
		if len(addresses) > 0 {
			sentences = append(sentences, fmt.Sprintf("Warning: an MTU below %d switches IPv6 off on %s. It loses %s and its IPv6 routes until its MTU is %d or more again.",
				links.LeastIPv6MTU, l.Name, strings.Join(addresses, ", "), links.LeastIPv6MTU))
		}
	}
	return sentences
}

// reachable refuses steps that cut the caller's own connection: one by IPv6 through an interface that loses it.
func reachable(m network, caller menu.Caller, steps []step) error {
	source, err := sourceAddress(caller.Source)
	if err != nil || !source.Is6() {
		return nil
	}
	name := m.Toward(source)
	for _, s := range steps {
		if s.losesIPv6 != "" && s.losesIPv6 == name {
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
