package netconf_test

import (
	"fmt"
	"testing"

	"diagsh/internal/netconf"
)

// TestFollowers: which links follow another one's MTU depends on their kind, and on what else they
// are on top of.
func TestFollowers(t *testing.T) {
	state := netconf.State{Links: []netconf.Link{
		{Name: "eth0", MTU: 1500, Master: "br0"},
		{Name: "eth1", MTU: 9000, Master: "br0"},
		{Name: "br0", Kind: "bridge", MTU: 1500},
		{Name: "mv0", Kind: "macvlan", MTU: 1500, Lower: "br0"},
		{Name: "mv1", Kind: "macvlan", MTU: 1200, Lower: "br0"},
		{Name: "iv0", Kind: "ipvlan", MTU: 1500, Lower: "mv0"},
		{Name: "eth2", MTU: 1500, Master: "bond0"},
		{Name: "eth3", MTU: 1500, Master: "vrf0"},
		{Name: "bond0", Kind: "bond", MTU: 1500, Master: "br1"},
		{Name: "br1", Kind: "bridge", MTU: 1400}, // its own
		{Name: "vrf0", Kind: "vrf", MTU: 65575},
		{Name: "ms0", Kind: "macsec", MTU: 1468, Lower: "eth3"},
		{Name: "eth3.5", Kind: "vlan", VLAN: 5, MTU: 1300, Lower: "eth3"},
		{Name: "left", Kind: "veth", MTU: 1500, Lower: "right"},
		{Name: "right", Kind: "veth", MTU: 1500, Lower: "left"},
		{Name: "gre0", Kind: "gre", MTU: 1476, Lower: "right"},
	}}
	for _, test := range []struct {
		name string
		mtu  int
		want string
	}{
		{"eth0", 1400, "[br0 1400 mv0 1400 iv0 1400]"},
		{"eth0", 1600, "[]"},
		{"eth1", 1600, "[]"},
		{"eth1", 1100, "[br0 1100 mv0 1100 mv1 1100 iv0 1100]"},
		{"bond0", 1300, "[eth2 1300]"},
		{"eth2", 1300, "[]"},
		{"vrf0", 1300, "[]"},
		{"eth3", 1300, "[ms0 1268]"},
		{"eth3", 1299, "[ms0 1267 eth3.5 1299]"},
		{"left", 1000, "[]"},
		{"right", 1000, "[]"},
	} {
		got := []any{}
		for _, f := range state.Followers(test.name, test.mtu) {
			got = append(got, f.Name, f.Then)
		}
		if fmt.Sprint(got) != test.want {
			t.Errorf("with an MTU of %d on %s: %v, want %s", test.mtu, test.name, got, test.want)
		}
	}
}

// TestFollowersOfTheKernel: a macvlan, a bridge and its port know the link below them or the one
// that they belong to; the other end of a veth is no follower.
func TestFollowersOfTheKernel(t *testing.T) {
	inside(t, func() {
		tool(t, "ip", "link", "add", "mv0", "link", "left", "type", "macvlan")
		if l, _ := read(t).Link("mv0"); l.Lower != "left" || !l.BelowItsLower() {
			t.Errorf("a macvlan is %+v", l)
		}
		if list := read(t).Followers("left", 1000); len(list) != 1 || list[0].Name != "mv0" || list[0].Then != 1000 {
			t.Errorf("followers are %+v", list)
		}
	})
}
