package etherconfig

import (
	"context"
	"fmt"
	"io"

	"diagsh/commands/shared/changes"
	"diagsh/internal/config"
	"diagsh/internal/menu"
)

// A loopbackState is the loopback interface as it will be after the caller's commit.
type loopbackState struct {
	Enabled bool   `json:"enabled"`
	Address string `json:"address,omitempty"`
	Pending bool   `json:"pending"`
}

func loopback(s Services) *menu.Menu {
	return &menu.Menu{
		Name:   "loopback",
		Help:   "View and configure the loopback interface.",
		Status: statusAbove(s, loopbackNow, loopbackText),
		Items:  []menu.Item{loopbackEnable(s), loopbackDisable(s), loopbackStatus(s)},
	}
}

func loopbackNow(view config.View) loopbackState {
	address := view.Candidate[config.Loopback]
	return loopbackState{address != "", address, address != view.Running[config.Loopback]}
}

func loopbackText(w io.Writer, l loopbackState) {
	if l.Enabled {
		fmt.Fprintf(w, "The loopback interface has the address %s.%s\n", l.Address, pending(l.Pending))
		return
	}
	fmt.Fprintf(w, "The loopback interface has no address of its own.%s\n", pending(l.Pending))
}

type loopbackEnableArgs struct {
	Address string `arg:"address,positional:1,required" ask:"Address of the loopback interface" help:"An IPv4 or IPv6 address, such as the one that a load balancer serves."`
}

func loopbackEnable(s Services) *menu.Command {
	return menu.Decl[loopbackEnableArgs, config.Change]{
		Name:    "enable",
		Help:    "Give the loopback interface an address.",
		Details: "The address is for direct server return: packets to it that a load balancer passes on are taken.",
		Role:    menu.Administrator,
		HiddenFrom: func(_ context.Context, caller menu.Caller) bool {
			return loopbackNow(s.Configuration(caller)).Enabled
		},
		Run: func(_ context.Context, caller menu.Caller, a loopbackEnableArgs, out *menu.Out[config.Change]) error {
			return edit(s, caller, out, func(d config.Document) { d.Set(config.Loopback, a.Address) })
		},
		TextTable: changes.Pending,
	}.Command()
}

func loopbackDisable(s Services) *menu.Command {
	help := "Take the address from the loopback interface."
	return setSpec(s, "disable", help, config.Loopback, "", func(view config.View) bool {
		return !loopbackNow(view).Enabled
	}).Command()
}

func loopbackStatus(s Services) *menu.Command {
	return statusSpec(s, "Show the loopback interface.", loopbackNow, loopbackText).Command()
}
