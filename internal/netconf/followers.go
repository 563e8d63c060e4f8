package netconf

import "slices"

// A Follower is a link whose MTU the kernel lowers with that of another one.
type Follower struct {
	Link     // as it is
	Then int // the MTU that it gets
}

// Followers returns the links whose MTU falls when that of a link becomes mtu, and those whose MTU
// falls with theirs. A link comes after the one that it follows. Linux 6.18 lowers the MTU of
//
//   - what is on top of a link and may not have a greater MTU (NETDEV_CHANGEMTU in
//     vlan_device_event in net/8021q/vlan.c, macvlan_device_event in drivers/net/macvlan.c,
//     macsec_notify in drivers/net/macsec.c) or has the same one (ipvlan_adjust_mtu in
//     drivers/net/ipvlan/ipvlan_main.c),
//   - a bridge, to the least of its ports, unless it was given an MTU of its own
//     (br_mtu_auto_adjust in net/bridge/br_if.c), which the kernel does not tell: then one of the
//     list keeps its MTU,
//   - the ports of a bond or a team (bond_change_mtu in drivers/net/bonding/bond_main.c,
//     team_change_mtu in drivers/net/team/team_core.c).
func (s State) Followers(name string, mtu int) []Follower {
	then := map[string]int{name: mtu}
	var list []Follower
	for next := []string{name}; len(next) > 0; next = next[1:] {
		of, _ := s.Link(next[0])
		for _, l := range s.Links {
			becomes, follows := s.follow(l, of, then)
			if _, known := then[l.Name]; known || !follows || becomes >= l.MTU {
				continue
			}
			then[l.Name] = becomes
			list = append(list, Follower{l, becomes})
			next = append(next, l.Name)
		}
	}
	return list
}

// follow returns the MTU that a link gets when that of another one changes. then has the new MTUs.
func (s State) follow(l, of Link, then map[string]int) (mtu int, follows bool) {
	switch {
	case l.Lower == of.Name && l.BelowItsLower():
		return min(l.MTU, then[of.Name]-l.overhead()), true
	case l.Lower == of.Name && (l.Kind == "ipvlan" || l.Kind == "ipvtap"):
		return then[of.Name], true
	case l.Master == of.Name && (of.Kind == "bond" || of.Kind == "team"):
		return then[of.Name], true
	case of.Master == l.Name && l.Kind == "bridge":
		now, becomes := of.MTU, then[of.Name]
		for _, port := range s.Links {
			if port.Master != l.Name {
				continue
			}
			now = min(now, port.MTU)
			if mtu, changes := then[port.Name]; changes {
				becomes = min(becomes, mtu)
			} else {
				becomes = min(becomes, port.MTU)
			}
		}
		return becomes, now == l.MTU
	}
	return 0, false
}

// BelowItsLower reports whether a link may not have a greater MTU than the link below it, but keeps
// a smaller one.
func (l Link) BelowItsLower() bool {
	return l.Lower != "" && slices.Contains([]string{"vlan", "macvlan", "macvtap", "macsec"}, l.Kind)
}

// overhead returns by how much its MTU must be smaller: what MACsec adds to a frame (IEEE 802.1AE:
// a SecTAG of 16 bytes with its EtherType and an ICV of 16 bytes).
func (l Link) overhead() int {
	if l.Kind == "macsec" {
		return 32
	}
	return 0
}

// Room returns the greatest MTU that a link can have on top of the link below it.
func (s State) Room(l Link) int {
	lower, _ := s.Link(l.Lower)
	return lower.MTU - l.overhead()
}
