package access

import (
	"time"

	"diagsh/internal/menu"
)

// Azure is who the appliance is to clients of Azure: one virtual machine of a subscription, watched by a
// network watcher. The zero value is an appliance that does not answer them.
type Azure struct {
	Subscription  string `json:"subscription"`  // a UUID in lower case; empty: the facade is off
	ResourceGroup string `json:"resourceGroup"` // of the virtual machine
	WatcherGroup  string `json:"watcherGroup"`  // the resource group of the network watcher
	Watcher       string `json:"watcher"`       // the name of the network watcher
	Location      string `json:"location"`      // of all of them
	Machine       string `json:"machine"`       // the name of the virtual machine
}

// AzureSession is the type of a session of a client of Azure.
const AzureSession = "azure"

// A Pass is what a client of Azure gets for a password or an API token, and comes in by for its hour.
type Pass struct {
	Text    menu.Secret `json:"text"`
	Tenant  string      `json:"tenant"`
	Client  string      `json:"client"` // as it named itself
	Expires time.Time   `json:"expiryTime"`
}
