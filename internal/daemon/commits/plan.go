package commits

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"diagsh/internal/config"
	"diagsh/internal/menu"
	"diagsh/internal/netconf"
)

// A step is one change of the machine, and its undoing.
type step struct {
	order   int
	setting string // that it makes hold, or the object that it is about, as clearchanges takes it
	what    string // as the rest of "could not"
	do      func() error
	undo    func() error
	// forgets is what the kernel forgets with this step.
	forgets []loss
}

// The order of steps: a VLAN is never above its parent's MTU, nor a macvlan or the like, and its
// parent is there before it and longer.
const (
	deleteVLANs = iota
	changeVLANs // MTUs of VLANs, and of what else stands on another interface, that become smaller
	changeParents
	addVLANs
	raiseVLANs
	changeMedia
	changeLoopback
	changeMulticast
)

// plan lists the steps that bring the machine from its state to a configuration. stale is what may
// be on it beside: settings of stale that the configuration does not have go back to the baseline.
// A setting that the machine has already takes no step, so a plan can be made and done again at any
// time.
func plan(m netconf.Network, stale, wanted config.Document, state netconf.State, baseline []baselineSetting) []step {
	p := planner{m: m, stale: stale, wanted: wanted, state: state, baseline: ledger{Baseline: baseline}.baseline()}
	p.vlans()
	p.interfaces()
	p.loopback()
	p.multicast()
	slices.SortStableFunc(p.steps, func(a, b step) int { return cmp.Compare(a.order, b.order) })
	return p.steps
}

type planner struct {
	m                       netconf.Network
	stale, wanted, baseline config.Document
	state                   netconf.State
	steps                   []step
}

func (p *planner) add(order int, setting, what string, do, undo func() error) {
	p.steps = append(p.steps, step{order: order, setting: setting, what: what, do: do, undo: undo})
}

// forgets says what the kernel forgets with the step that was added last.
func (p *planner) forgets(what loss) {
	last := &p.steps[len(p.steps)-1]
	last.forgets = append(last.forgets, what)
}

func (p *planner) vlans() {
	for _, v := range p.stale.VLANs() {
		l, there := p.state.Link(v.Name)
		if w, still := p.wanted.VLAN(v.Name); !there || l.VLAN == 0 || still && isVLAN(l, w) {
			continue
		}
		p.add(deleteVLANs, "vlans."+v.Name, fmt.Sprintf("delete VLAN %d of %s", l.VLAN, l.Parent),
			func() error { return p.m.DeleteVLAN(l.Name) },
			func() error {
				return errors.Join(p.m.AddVLAN(l.Name, l.Parent, l.VLAN), p.m.SetMTU(l.Name, l.MTU))
			})
		p.forgets(loss{VLAN: &config.VLAN{Name: l.Name, Parent: l.Parent, ID: l.VLAN}})
	}
	for _, v := range p.wanted.VLANs() {
		if l, there := p.state.Link(v.Name); there && isVLAN(l, v) {
			continue
		}
		p.add(addVLANs, "vlans."+v.Name, fmt.Sprintf("make VLAN %d on %s", v.ID, v.Parent),
			func() error { return p.m.AddVLAN(v.Name, v.Parent, v.ID) },
			func() error { return p.m.DeleteVLAN(v.Name) })
	}
}

func isVLAN(l netconf.Link, v config.VLAN) bool { return l.VLAN == v.ID && l.Parent == v.Parent }

// interfaces plans the settings of links.
func (p *planner) interfaces() {
	settings := p.stale.With(config.Changes(nil, p.wanted))
	for _, at := range settings.Paths() {
		if at.Section != "interfaces" {
			continue
		}
		l, there := p.state.Link(at.Name)
		made, isNew := p.wanted.VLAN(at.Name)
		isNew = isNew && !(there && isVLAN(l, made))
		value := p.value(at)
		switch {
		case value == "" || !there && !isNew:
			// Nobody knows what it was, or there is nothing to change.
		case at.Field == "mtu":
			p.mtu(l, at.Name, value, isNew)
		case l.Media != nil && l.Media.Current != value:
			p.add(changeMedia, at.String(), fmt.Sprintf("set the media of %s to %s", at.Name, value),
				func() error { return p.m.SetMedia(at.Name, value) },
				func() error { return p.m.SetMedia(at.Name, l.Media.Current) })
		}
	}
}

// value is what a setting becomes; empty if the configurations do not say, or nobody knows what it
// was.
func (p *planner) value(at config.Path) string {
	if value := p.wanted[at]; value != "" {
		return value
	}
	if p.stale[at] == "" {
		return ""
	}
	return p.baseline[at]
}

func (p *planner) mtu(l netconf.Link, name, value string, isNew bool) {
	mtu, _ := strconv.Atoi(value)
	do := func() error { return p.m.SetMTU(name, mtu) }
	what, setting := fmt.Sprintf("set the MTU of %s to %d", name, mtu), "interfaces."+name+".mtu"
	switch {
	case isNew:
		p.add(raiseVLANs, setting, what, do, func() error { return nil }) // it goes with the VLAN
	case l.MTU != mtu:
		order := changeParents
		if l.BelowItsLower() && mtu < l.MTU {
			order = changeVLANs
		} else if l.BelowItsLower() {
			order = raiseVLANs
		}
		p.add(order, setting, what, do, func() error { return p.m.SetMTU(name, l.MTU) })
		if l.MTU >= netconf.LeastIPv6MTU && mtu < netconf.LeastIPv6MTU {
			p.forgets(loss{IPv6Of: name})
		}
		for _, f := range p.state.Followers(name, mtu) {
			if own := p.value(config.MTUOf(f.Name)); own == "" || own == strconv.Itoa(f.MTU) { // else it has a step of its own
				p.forgets(loss{Follower: newFollower(f, name)})
			}
		}
	}
}

func (p *planner) loopback() {
	wanted := p.wanted[config.Loopback]
	if old := p.stale[config.Loopback]; old != "" && old != wanted {
		if a := netip.MustParseAddr(old); slices.Contains(p.state.Loopback(), a) {
			p.add(changeLoopback, config.Loopback.String(), "take the address "+old+" from the loopback interface",
				func() error { return p.m.RemoveLoopback(a) }, func() error { return p.m.AddLoopback(a) })
			p.forgets(loss{Loopback: a})
		}
	}
	if wanted != "" {
		if a := netip.MustParseAddr(wanted); !slices.Contains(p.state.Loopback(), a) {
			p.add(changeLoopback, config.Loopback.String(), "give the loopback interface the address "+wanted,
				func() error { return p.m.AddLoopback(a) }, func() error { return p.m.RemoveLoopback(a) })
		}
	}
}

func (p *planner) multicast() {
	reject := p.wanted[config.MulticastARP] == config.Reject
	if reject == p.state.RejectsMulticast {
		return
	}
	what := "accept ARP replies with multicast addresses"
	if reject {
		what = "reject ARP replies with multicast addresses"
	}
	p.add(changeMulticast, config.MulticastARP.String(), what, func() error { return p.m.SetMulticast(reject) }, func() error { return p.m.SetMulticast(!reject) })
}

// A stepError is a step that failed.
type stepError struct {
	number, total int // 0: it failed after all of them
	setting, what string
	err           error
	undo          []string // what could not be undone, and why
}

// sentence names the step.
func (e *stepError) sentence() string {
	if e.number == 0 {
		return fmt.Sprintf("The appliance could not %s", e.what)
	}
	return fmt.Sprintf("Step %d of %d failed: the appliance could not %s: %s", e.number, e.total, e.what, reason(e.err))
}

func (e *stepError) kind() menu.Code {
	if errors.Is(e.err, unix.EOPNOTSUPP) || errors.Is(e.err, unix.EPROTONOSUPPORT) || errors.Is(e.err, unix.EAFNOSUPPORT) {
		return menu.Unsupported
	}
	return menu.Failed
}

// reason is the kernel's own.
func reason(err error) string {
	if r := netconf.Reason(err); r != "" {
		return "the kernel says: " + r
	}
	return "the appliance's log says why"
}

// apply does the steps in their order. If one fails, those before it are undone.
func apply(steps []step) *stepError {
	for i, s := range steps {
		if err := s.do(); err != nil {
			return undo(steps[:i], &stepError{number: i + 1, total: len(steps), setting: s.setting, what: s.what, err: err})
		}
	}
	return nil
}

// undo undoes steps, the last one first, and adds what could not be undone to the failure.
func undo(steps []step, failure *stepError) *stepError {
	for _, s := range slices.Backward(steps) {
		if err := s.undo(); err != nil {
			failure.undo = append(failure.undo, s.what+" ("+reason(err)+")")
		}
	}
	return failure
}
