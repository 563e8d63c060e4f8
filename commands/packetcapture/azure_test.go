package packetcapture

import (
	"strings"
	"testing"

	"diagsh/internal/access"
)

// An azureFake is an appliance that clients of Azure reach.
type azureFake struct{}

func (azureFake) ServesHTTPS() bool { return true }

func (azureFake) Azure() access.Azure {
	return access.Azure{Subscription: "7a1f0e2c-9f4b-4d3e-8a55-0c6f5d1b2e90", ResourceGroup: "lab", WatcherGroup: "NetworkWatcherRG",
		Watcher: "NetworkWatcher_lab", Location: "lab", Machine: "mx1"}
}

// What a person has to type stands there as it is typed.
func TestAzureText(t *testing.T) {
	var text strings.Builder
	azureText(&text, azureStateOf(azureFake{}))
	want := `Clients of Azure are answered at the address of the page.
Location:         lab
Subscription:     7a1f0e2c-9f4b-4d3e-8a55-0c6f5d1b2e90
Resource group:   lab
Virtual machine:  mx1
Network watcher:  NetworkWatcher_lab in NetworkWatcherRG

az cloud register -n diagsh --endpoint-resource-manager https://HOST:PORT
az cloud set -n diagsh
az login --service-principal -u USER -p PASSWORD --tenant adfs
az login --service-principal -u token:NAME -p TOKEN --tenant adfs
az network watcher packet-capture list -l lab
`
	if text.String() != want {
		t.Errorf("it says:\n%s\nwant:\n%s", text.String(), want)
	}
}
