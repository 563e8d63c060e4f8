package commits

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"diagsh/internal/config"
	"diagsh/internal/netconf"
)

// check lists what of a document this machine and the other rooms cannot do.
func (c *Commits) check(wanted, running config.Document, state netconf.State) []config.Fault {
	faults := check(wanted, running, state)
	if c.o.Fits != nil {
		faults = append(faults, c.o.Fits(wanted, running)...)
	}
	return faults
}

// check lists what of a document this machine cannot do. What was committed before and stands
// unchanged is not held against the machine: an interface that was taken out must not keep
// everything else from being committed.
func check(wanted, running config.Document, state netconf.State) []config.Fault {
	c := checker{wanted: wanted, running: running, state: state}
	for _, p := range wanted.Paths() {
		switch {
		case p.Section == "interfaces" && wanted[p] != running[p]:
			c.setting(p)
		case p.Section == "vlans" && p.Field == "id":
			c.vlan(p)
		}
	}
	for _, v := range running.VLANs() {
		if w, ok := wanted.VLAN(v.Name); !ok || w != v {
			c.free(v)
		}
	}
	c.stacked()
	return c.faults
}

type checker struct {
	wanted, running config.Document
	state           netconf.State
	faults          []config.Fault
}

func (c *checker) fault(p config.Path, format string, args ...any) {
	c.faults = append(c.faults, config.Fault{Path: p, Setting: p.String(), Message: fmt.Sprintf(format, args...)})
}

// setting checks a setting of an interface against its driver.
func (c *checker) setting(p config.Path) {
	l, there := c.state.Link(p.Name)
	_, made := c.wanted.VLAN(p.Name)
	switch {
	case !there && !made:
		c.fault(p, "this machine has no interface %s; it has %s", p.Name, strings.Join(linkNames(c.state), ", "))
	case p.Field == "mtu" && there:
		mtu := c.wanted.MTU(p.Name)
		if l.MinMTU > 0 && mtu < l.MinMTU || l.MaxMTU > 0 && mtu > l.MaxMTU {
			c.fault(p, "the driver of %s takes an MTU from %d to %d", p.Name, l.MinMTU, l.MaxMTU)
		}
	case p.Field == "media" && (l.Media == nil || len(l.Media.Supported) == 0):
		c.fault(p, "the driver of %s offers no choice of media", p.Name)
	case p.Field == "media" && !slices.Contains(l.Media.Supported, c.wanted[p]):
		c.fault(p, "the driver of %s takes %s", p.Name, strings.Join(l.Media.Supported, ", "))
	}
}

func linkNames(state netconf.State) []string {
	var names []string
	for _, l := range state.Links {
		names = append(names, l.Name)
	}
	return names
}

// vlan checks that a VLAN can be made where it is not there yet.
func (c *checker) vlan(p config.Path) {
	v, _ := c.wanted.VLAN(p.Name)
	for _, other := range c.wanted.VLANs() {
		if other.Name < v.Name && other.Parent == v.Parent && other.ID == v.ID {
			c.fault(p, "%s has VLAN %d already, as %s", v.Parent, v.ID, other.Name)
		}
	}
	if before, ok := c.running.VLAN(v.Name); ok && before == v {
		return
	}
	parent, there := c.state.Link(v.Parent)
	switch {
	case !there:
		c.fault(config.ParentOf(v.Name), "this machine has no interface %s", v.Parent)
		return
	case !parent.Ethernet():
		c.fault(config.ParentOf(v.Name), "%s is no Ethernet interface that can carry a VLAN", v.Parent)
		return
	}
	for _, l := range c.state.Links {
		_, ours := c.running.VLAN(l.Name)
		switch {
		case l.Name == v.Name && !isVLAN(l, v) && !ours:
			c.fault(p, "this machine has another interface %s already", v.Name)
		case l.Name != v.Name && isVLAN(l, v) && !ours:
			c.fault(p, "%s has VLAN %d already, as %s", v.Parent, v.ID, l.Name)
		}
	}
}

// free checks that nobody uses a VLAN that is to go.
func (c *checker) free(v config.VLAN) {
	if l, there := c.state.Link(v.Name); there && len(l.Addresses) > 0 {
		c.fault(config.IDOf(v.Name), "VLAN %d of %s cannot go: it has the address %s", v.ID, v.Parent, l.Addresses[0])
	}
}

// stacked checks that no VLAN has a greater MTU than the interface that it stands on, those
// included that nobody committed, nor a macvlan or the like of which the configuration says the
// MTU. The kernel would make it smaller without a word (vlan_device_event in net/8021q/vlan.c);
// others get theirs back when there is room (follower).
func (c *checker) stacked() {
	above := map[string]string{}
	for _, l := range c.state.Links {
		if l.VLAN != 0 || l.BelowItsLower() && c.wanted[config.MTUOf(l.Name)] != "" {
			above[l.Name] = l.Lower
		}
	}
	for _, v := range c.running.VLANs() {
		delete(above, v.Name)
	}
	for _, v := range c.wanted.VLANs() {
		above[v.Name] = v.Parent
	}
	for _, name := range slices.Sorted(maps.Keys(above)) {
		parent := above[name]
		own, below := c.mtu(name), c.mtu(parent)
		if own <= below || below == 0 {
			continue
		}
		p := config.MTUOf(name)
		if c.wanted[p] == c.running[p] {
			p = config.MTUOf(parent)
		}
		what := "the VLAN " + name
		if l, there := c.state.Link(name); there && l.VLAN == 0 {
			what = name
		}
		c.fault(p, "the MTU %d of %s would be above the %d of %s", own, what, below, parent)
	}
}

// mtu is what a link would have; 0 for one that takes its parent's.
func (c *checker) mtu(name string) int {
	if mtu := c.wanted.MTU(name); mtu != 0 {
		return mtu
	}
	l, _ := c.state.Link(name)
	return l.MTU
}
