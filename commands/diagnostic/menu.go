// Package diagnostic is the menu diagnostic: the state of the machine and its services, and
// reports.
package diagnostic

import (
	"diagsh/commands/diagnostic/network"
	"diagsh/commands/shared/reports"
	"diagsh/diag/raid"
	"diagsh/internal/menu"
)

// Services is what the menu's commands need from the running appliance.
type Services interface {
	network.Services
	usageService
	reports.Service
	reloadService
	catalogueService
}

// Menu returns diagnostic.
func Menu(s Services) *menu.Menu {
	return &menu.Menu{
		Name: "diagnostic",
		Help: "Look into the appliance and its network.",
		Items: []menu.Item{
			raidMenu(raid.Kernel),
			diskUsageCommand(s),
			network.Menu(s),
			reporting(s),
			reload(s),
			servicesMenu(s),
		},
	}
}
