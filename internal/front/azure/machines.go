package azure

import (
	"net/http"
	"strings"
)

const compute = "Microsoft.Compute"

// agents are the names by which clients look for the extension that captures need on a machine of Azure.
// Here it is always there.
var agents = []string{"AzureNetworkWatcherExtension", "NetworkWatcherAgentLinux"}

// agentResource returns the extension by one of its names.
func (s *Server) agentResource(name string) map[string]any {
	return map[string]any{
		"id": s.machineID() + "/extensions/" + name, "name": name, "type": compute + "/virtualMachines/extensions", "location": s.settings.Location,
		"properties": map[string]any{"autoUpgradeMinorVersion": true, "provisioningState": "Succeeded", "publisher": "Microsoft.Azure.NetworkWatcher",
			"type": "NetworkWatcherAgentLinux", "typeHandlerVersion": "1.4"},
	}
}

// machineResource returns the appliance as a virtual machine.
func (s *Server) machineResource(expanded bool) map[string]any {
	properties := map[string]any{"provisioningState": "Succeeded", "vmId": s.settings.Subscription}
	if expanded {
		properties["instanceView"] = map[string]any{"extensions": []any{}, "statuses": []any{}}
	}
	return map[string]any{"id": s.machineID(), "name": s.settings.Machine, "type": compute + "/virtualMachines", "location": s.settings.Location,
		"properties": properties, "resources": []any{s.agentResource(agents[0])}}
}

// isMachine answers a request for another machine or scale set than this appliance, and returns false
// then.
func (s *Server) isMachine(w http.ResponseWriter, kind string, vars map[string]string) bool {
	if strings.EqualFold(vars["machine"], s.settings.Machine) {
		return true
	}
	notFound(w, compute, kind, vars["machine"], s.settings.ResourceGroup)
	return false
}

func (s *Server) listMachines(w http.ResponseWriter, _ *http.Request, _ Boundary, _ map[string]string) {
	writeJSON(w, http.StatusOK, list{[]any{s.machineResource(false)}})
}

func (s *Server) showMachine(w http.ResponseWriter, r *http.Request, _ Boundary, vars map[string]string) {
	if s.isMachine(w, "virtualMachines", vars) {
		writeJSON(w, http.StatusOK, s.machineResource(strings.EqualFold(parameter(r, "$expand"), "instanceView")))
	}
}

func (s *Server) listAgents(w http.ResponseWriter, _ *http.Request, _ Boundary, vars map[string]string) {
	if s.isMachine(w, "virtualMachines", vars) {
		writeJSON(w, http.StatusOK, list{[]any{s.agentResource(agents[0])}})
	}
}

// showAgent answers with the extension, also a request that would install it: it is there.
func (s *Server) showAgent(w http.ResponseWriter, _ *http.Request, _ Boundary, vars map[string]string) {
	if !s.isMachine(w, "virtualMachines", vars) {
		return
	}
	name := vars["extension"]
	if strings.EqualFold(name, agents[0]) {
		name = agents[0]
	} else if !strings.HasPrefix(strings.ToLower(name), "networkwatcheragent") || !idForm().MatchString(name) {
		notFound(w, compute, "virtualMachines/"+s.settings.Machine+"/extensions", name, s.settings.ResourceGroup)
		return
	}
	writeJSON(w, http.StatusOK, s.agentResource(name))
}

func (s *Server) scaleSetResource() map[string]any {
	return map[string]any{"id": s.scaleSetID(), "name": s.settings.Machine, "type": compute + "/virtualMachineScaleSets",
		"location": s.settings.Location, "sku": map[string]any{"name": "Standard", "tier": "Standard", "capacity": 1},
		"properties": map[string]any{"provisioningState": "Succeeded"}}
}

func (s *Server) listScaleSets(w http.ResponseWriter, _ *http.Request, _ Boundary, _ map[string]string) {
	writeJSON(w, http.StatusOK, list{[]any{s.scaleSetResource()}})
}

func (s *Server) showScaleSet(w http.ResponseWriter, _ *http.Request, _ Boundary, vars map[string]string) {
	if s.isMachine(w, "virtualMachineScaleSets", vars) {
		writeJSON(w, http.StatusOK, s.scaleSetResource())
	}
}

// instance is the number of the only instance of the scale set.
const instance = "0"

func (s *Server) instanceResource() map[string]any {
	return map[string]any{"id": s.scaleSetID() + "/virtualMachines/" + instance, "instanceId": instance,
		"name": s.settings.Machine + "_" + instance, "type": compute + "/virtualMachineScaleSets/virtualMachines", "location": s.settings.Location,
		"properties": map[string]any{"provisioningState": "Succeeded"}}
}

func (s *Server) listInstances(w http.ResponseWriter, _ *http.Request, _ Boundary, vars map[string]string) {
	if s.isMachine(w, "virtualMachineScaleSets", vars) {
		writeJSON(w, http.StatusOK, list{[]any{s.instanceResource()}})
	}
}

func (s *Server) showInstance(w http.ResponseWriter, _ *http.Request, _ Boundary, vars map[string]string) {
	switch {
	case !s.isMachine(w, "virtualMachineScaleSets", vars):
	case vars["instance"] != instance:
		notFound(w, compute, "virtualMachineScaleSets/"+s.settings.Machine+"/virtualMachines", vars["instance"], s.settings.ResourceGroup)
	default:
		writeJSON(w, http.StatusOK, s.instanceResource())
	}
}
