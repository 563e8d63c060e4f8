// Package network is the menu diagnostic > network.
package network

import (
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

// Services is what the menu's commands need from the running appliance.
type Services interface {
	captures.Service
	nameService
	hostService
}

// Menu returns diagnostic > network.
func Menu(s Services) *menu.Menu {
	return &menu.Menu{
		Name: "network",
		Help: "Network Utilities.",
		Items: []menu.Item{
			flush(s),
			arpshow(),
			ndpshow(),
			smtpping(s),
			tcpdump(s),
			routeget(),
		},
	}
}
