package azure

import (
	"net/http"
	"strings"

	"diagsh/internal/menu"
)

// subscriptionResource returns the one subscription. It is its own tenant.
func (s *Server) subscriptionResource() map[string]any {
	id := s.settings.Subscription
	return map[string]any{"id": "/subscriptions/" + id, "subscriptionId": id, "tenantId": id, "displayName": s.settings.Machine,
		"state": "Enabled", "managedByTenants": []string{}, "authorizationSource": "RoleBased"}
}

func (s *Server) listSubscriptions(w http.ResponseWriter, _ *http.Request, _ Boundary, _ map[string]string) {
	writeJSON(w, http.StatusOK, list{[]any{s.subscriptionResource()}})
}

func (s *Server) showSubscription(w http.ResponseWriter, _ *http.Request, _ Boundary, _ map[string]string) {
	writeJSON(w, http.StatusOK, s.subscriptionResource())
}

func (s *Server) listTenants(w http.ResponseWriter, _ *http.Request, _ Boundary, _ map[string]string) {
	id := s.settings.Subscription
	writeJSON(w, http.StatusOK, list{[]any{map[string]string{"id": "/tenants/" + id, "tenantId": id, "displayName": s.settings.Machine}}})
}

func (s *Server) listLocations(w http.ResponseWriter, _ *http.Request, _ Boundary, _ map[string]string) {
	name := s.settings.Location
	writeJSON(w, http.StatusOK, list{[]any{map[string]string{"id": "/subscriptions/" + s.settings.Subscription + "/locations/" + name,
		"name": name, "displayName": name, "regionalDisplayName": name}}})
}

// groups returns the names of the resource groups.
func (s *Server) groups() []string {
	if strings.EqualFold(s.settings.ResourceGroup, s.settings.WatcherGroup) {
		return []string{s.settings.ResourceGroup}
	}
	return []string{s.settings.ResourceGroup, s.settings.WatcherGroup}
}

func (s *Server) groupResource(name string) map[string]any {
	return map[string]any{"id": s.inGroup(name), "name": name, "type": "Microsoft.Resources/resourceGroups", "location": s.settings.Location,
		"properties": map[string]string{"provisioningState": "Succeeded"}}
}

func (s *Server) listGroups(w http.ResponseWriter, _ *http.Request, _ Boundary, _ map[string]string) {
	all := list{[]any{}}
	for _, name := range s.groups() {
		all.Value = append(all.Value, s.groupResource(name))
	}
	writeJSON(w, http.StatusOK, all)
}

// showGroup answers with a resource group. A client that asks by HEAD whether there is one wants no
// content.
func (s *Server) showGroup(w http.ResponseWriter, r *http.Request, _ Boundary, vars map[string]string) {
	for _, name := range s.groups() {
		if strings.EqualFold(name, vars["group"]) {
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			writeJSON(w, http.StatusOK, s.groupResource(name))
			return
		}
	}
	groupNotFound(w, vars["group"])
}

// providerResource returns a provider of resources, which is registered: there is nothing to do for it.
func (s *Server) providerResource(name string) map[string]any {
	return map[string]any{"id": "/subscriptions/" + s.settings.Subscription + "/providers/" + name, "namespace": name,
		"registrationState": "Registered", "registrationPolicy": "RegistrationFree", "resourceTypes": []any{}}
}

func (s *Server) listProviders(w http.ResponseWriter, _ *http.Request, _ Boundary, _ map[string]string) {
	all := list{[]any{}}
	for _, name := range []string{"Microsoft.Compute", "Microsoft.Network", "Microsoft.Resources", "Microsoft.Storage"} {
		all.Value = append(all.Value, s.providerResource(name))
	}
	writeJSON(w, http.StatusOK, all)
}

func (s *Server) showProvider(w http.ResponseWriter, _ *http.Request, _ Boundary, vars map[string]string) {
	writeJSON(w, http.StatusOK, s.providerResource(menu.Bounded(vars["provider"], 80)))
}
