// Package netstat is the menu netstat: the kernel's tables of sockets, interfaces, routes and
// queues, the rules of its firewall, and what it drops. It is a question with numbered answers, as on AsyncOS.
package netstat

import (
	"context"
	"net/netip"

	"diagsh/internal/menu"
)

// Services is what the menu's commands need from the running appliance.
type Services interface {
	// HostNames returns the names of addresses, as far as they are found before ctx ends.
	HostNames(ctx context.Context, addresses []netip.Addr) map[netip.Addr]string

	dropService
}

// Menu returns netstat. AsyncOS asks which table to show and leaves the menu. Here the tables are
// commands with arguments of their own, and the question numbers them: `netstat 1` works too.
func Menu(s Services) *menu.Menu {
	return &menu.Menu{
		Name:   "netstat",
		Help:   "Show connections, interfaces, routes, queues, traffic and drops.",
		Choice: "Choose the information you want to display",
		Items: []menu.Item{
			socketsCommand(s),
			interfacesCommand(),
			routesCommand(s),
			queuesCommand(s),
			trafficCommand(),
			dropsCommand(s),
			sysctlCommand(),
			firewallCommand(),
		},
	}
}
