package network

import (
	"cmp"
	"context"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"diagsh/diag/interfaces"
	"diagsh/diag/neighbours"
	"diagsh/internal/menu"
)

// A neighbour is an entry of the ARP or NDP cache as arpshow and ndpshow yield it. The host's own
// addresses are among the entries, as in arp(8) of BSD, although Linux does not keep them in the
// cache.
type neighbour struct {
	Address     netip.Addr `json:"address"`
	LinkAddress string     `json:"linkAddress"` // empty while it is not known
	Interface   string     `json:"interface"`
	State       string     `json:"state"`                      // as ip-neighbour(8) names it
	Expires     float64    `json:"expiresInSeconds,omitempty"` // seconds for which a reachable one is not asked again
	Confirmed   float64    `json:"confirmed"`                  // seconds since it answered last
	Used        float64    `json:"used"`
	Updated     float64    `json:"updated"`
	Own         bool       `json:"own"`              // an address of this host
	States      []string   `json:"states,omitempty"` // of such an address: what may keep it from being used, as ip-address(8) calls it
	Router      bool       `json:"router,omitempty"`
	Proxy       bool       `json:"proxy,omitempty"` // this host answers for the address

	medium string
	index  int
	remark string // why an own address may not be used
}

const ownState = "PERMANENT"

// neighbourRows returns the entries of a family's cache, with the host's own addresses.
func neighbourRows(ctx context.Context, family uint8) ([]neighbour, error) {
	nics, err := interfaces.List(ctx)
	if err != nil {
		return nil, err
	}
	byIndex := map[int]interfaces.Interface{}
	var rows []neighbour
	for _, nic := range nics {
		byIndex[nic.Index] = nic
		for _, p := range nic.Addresses {
			if p.Addr().Is4() == (family == unix.AF_INET) && nic.Ethernet {
				rows = append(rows, neighbour{Address: p.Addr(), LinkAddress: nic.Address.String(), Interface: nic.Name,
					State: ownState, Own: true, States: nic.States(p.Addr()), remark: nic.StateText(p.Addr()),
					medium: mediumOf(nic), index: nic.Index})
			}
		}
	}
	list, err := neighbours.List(ctx, family)
	if err != nil {
		return nil, err
	}
	for _, n := range list {
		nic := byIndex[n.Index]
		if n.Proxy {
			n.LinkAddress = nic.Address // which the answer has
		}
		rows = append(rows, neighbour{Address: n.Address, LinkAddress: n.LinkAddress.String(), Interface: nic.Name,
			State: n.StateName(), Expires: n.Expires.Seconds(), Confirmed: n.Confirmed.Seconds(),
			Used: n.Used.Seconds(), Updated: n.Updated.Seconds(), Router: n.Router, Proxy: n.Proxy,
			medium: mediumOf(nic), index: n.Index})
	}
	slices.SortStableFunc(rows, func(a, b neighbour) int {
		return cmp.Or(cmp.Compare(a.index, b.index), a.Address.Compare(b.Address))
	})
	return rows, nil
}

func mediumOf(nic interfaces.Interface) string {
	switch {
	case nic.Ethernet:
		return "ethernet"
	case nic.Loopback:
		return "loopback"
	}
	return "other"
}

// yieldNeighbours returns the Run of both commands.
func yieldNeighbours(family uint8) func(context.Context, menu.Caller, menu.NoArgs, *menu.Out[neighbour]) error {
	return func(ctx context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[neighbour]) error {
		rows, err := neighbourRows(ctx, family)
		if err != nil {
			return err
		}
		return out.Records(rows)
	}
}
