package azure

import (
	"net"
	"net/http"
	"strings"

	"diagsh/internal/menu"
)

// base returns where a client reaches the server, with a slash at the end. A client of HTTP/1.0 need not say
// by which name it came; it is told the address then.
func base(r *http.Request) string {
	host := r.Host
	if local, known := r.Context().Value(http.LocalAddrContextKey).(net.Addr); host == "" && known {
		host = local.String()
	}
	return "https://" + host + "/"
}

// watcherID returns the identifier of the network watcher.
func (s *Server) watcherID() string {
	return s.inGroup(s.settings.WatcherGroup) + "/providers/Microsoft.Network/networkWatchers/" + s.settings.Watcher
}

// captureID returns the identifier of the capture of a name.
func (s *Server) captureID(name string) string { return s.watcherID() + "/packetCaptures/" + name }

// machineID returns the identifier of the appliance as a virtual machine.
func (s *Server) machineID() string {
	return s.inGroup(s.settings.ResourceGroup) + "/providers/Microsoft.Compute/virtualMachines/" + s.settings.Machine
}

// scaleSetID returns the identifier of the scale set whose single instance is the appliance. It has the
// machine's name.
func (s *Server) scaleSetID() string {
	return s.inGroup(s.settings.ResourceGroup) + "/providers/Microsoft.Compute/virtualMachineScaleSets/" + s.settings.Machine
}

// accountID returns the identifier of an export target as a storage account.
func (s *Server) accountID(target string) string {
	return s.inGroup(s.settings.ResourceGroup) + "/providers/Microsoft.Storage/storageAccounts/" + target
}

// inGroup returns the identifier of a resource group.
func (s *Server) inGroup(group string) string {
	return "/subscriptions/" + s.settings.Subscription + "/resourceGroups/" + group
}

// checkScope answers a request whose path names a subscription, a group, a watcher or a location that is
// not this appliance's, and returns false then.
func (s *Server) checkScope(w http.ResponseWriter, vars map[string]string) bool {
	differs := func(name, own string) bool {
		given, named := vars[name]
		return named && !strings.EqualFold(given, own)
	}
	switch {
	case differs("subscription", s.settings.Subscription):
		fail(w, http.StatusNotFound, "SubscriptionNotFound",
			"The subscription '"+menu.Bounded(vars["subscription"], 80)+"' could not be found.")
	case differs("watchergroup", s.settings.WatcherGroup):
		groupNotFound(w, vars["watchergroup"])
	case differs("machinegroup", s.settings.ResourceGroup):
		groupNotFound(w, vars["machinegroup"])
	case differs("watcher", s.settings.Watcher):
		notFound(w, "Microsoft.Network", "networkWatchers", vars["watcher"], s.settings.WatcherGroup)
	case differs("location", s.settings.Location):
		fail(w, http.StatusNotFound, "LocationNotFound", "There is no location '"+menu.Bounded(vars["location"], 80)+"'.")
	default:
		return true
	}
	return false
}

func groupNotFound(w http.ResponseWriter, group string) {
	fail(w, http.StatusNotFound, "ResourceGroupNotFound", "Resource group '"+menu.Bounded(group, 90)+"' could not be found.")
}
