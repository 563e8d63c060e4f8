// Package diagnostic is the menu diagnostic.
package diagnostic

import (
	"diagsh/commands/diagnostic/network"
	"diagsh/menu"
)

// Services is what the menu's commands need from the running appliance.
type Services interface {
	network.Services
}

// Menu is diagnostic.
func Menu(s Services) *menu.Menu {
	return &menu.Menu{
		Name: "diagnostic",
		Help: "Look into the appliance and its network.",
		Items: []menu.Item{
			network.Menu(s),
		},
	}
}
