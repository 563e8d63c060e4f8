package packetcapture

import (
	"context"
	"fmt"
	"io"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// An azureService knows who the appliance is to clients of Azure.
type azureService interface {
	Azure() access.Azure
	ServesHTTPS() bool
}

// An azureState says whether clients of Azure are answered, and what they have to name.
type azureState struct {
	On            bool   `json:"on"`
	Reason        string `json:"reason,omitempty"` // why they are not
	Subscription  string `json:"subscription"`
	ResourceGroup string `json:"resourceGroup"`
	WatcherGroup  string `json:"watcherGroup"`
	Watcher       string `json:"watcher"`
	Location      string `json:"location"`
	Machine       string `json:"machine"`
	MachineID     string `json:"machineID"`
	WatcherID     string `json:"watcherID"`
}

func azureStateOf(s azureService) azureState {
	a := s.Azure()
	if a.Subscription == "" {
		return azureState{Reason: "no subscription is configured"}
	}
	state := azureState{On: s.ServesHTTPS(), Subscription: a.Subscription, ResourceGroup: a.ResourceGroup, WatcherGroup: a.WatcherGroup,
		Watcher: a.Watcher, Location: a.Location, Machine: a.Machine}
	group := "/subscriptions/" + a.Subscription + "/resourceGroups/"
	state.MachineID = group + a.ResourceGroup + "/providers/Microsoft.Compute/virtualMachines/" + a.Machine
	state.WatcherID = group + a.WatcherGroup + "/providers/Microsoft.Network/networkWatchers/" + a.Watcher
	if !state.On {
		state.Reason = "HTTPS is off"
	}
	return state
}

func azureCommand(s azureService) *menu.Command {
	return menu.Decl[menu.NoArgs, azureState]{
		Name:    "azure",
		Help:    "Show whether clients of Azure are answered, and how they log in.",
		Details: "To them the appliance is a virtual machine, and what they create is a capture as any other. The section azure of the configuration file switches it on.",
		Role:    menu.ReadOnly,
		Shape:   menu.Object,
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[azureState]) error {
			return out.Record(azureStateOf(s))
		},
		Text: azureText,
	}.Command()
}

func azureText(w io.Writer, s azureState) {
	if !s.On {
		fmt.Fprintf(w, "Clients of Azure are not answered: %s.\n", s.Reason)
		if s.Subscription == "" {
			fmt.Fprint(w, "The owner of the machine names one in the configuration file, as azure: {subscription: UUID}.\n")
		}
		return
	}
	fmt.Fprintf(w, "Clients of Azure are answered at the address of the page.\n"+
		"Location:         %s\nSubscription:     %s\nResource group:   %s\nVirtual machine:  %s\nNetwork watcher:  %s in %s\n\n",
		s.Location, s.Subscription, s.ResourceGroup, s.Machine, s.Watcher, s.WatcherGroup)
	fmt.Fprint(w, "az cloud register -n diagsh --endpoint-resource-manager https://HOST:PORT\naz cloud set -n diagsh\n"+
		"az login --service-principal -u USER -p PASSWORD --tenant adfs\n"+
		"az login --service-principal -u token:NAME -p TOKEN --tenant adfs\n")
	fmt.Fprintf(w, "az network watcher packet-capture list -l %s\n", s.Location)
}
