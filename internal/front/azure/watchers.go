package azure

import "net/http"

// A list is how Azure Resource Manager answers with several resources.
type list struct {
	Value []any `json:"value"`
}

// watcherResource returns the network watcher. Clients find the watcher of a location by it, so its
// location is that of the virtual machine.
func (s *Server) watcherResource() map[string]any {
	return map[string]any{
		"name": s.settings.Watcher, "id": s.watcherID(), "type": "Microsoft.Network/networkWatchers", "location": s.settings.Location,
		"properties": map[string]any{"provisioningState": "Succeeded", "runningOperationIds": []string{}},
	}
}

// listWatchers answers with the one watcher that there is.
func (s *Server) listWatchers(w http.ResponseWriter, _ *http.Request, _ Boundary, _ map[string]string) {
	writeJSON(w, http.StatusOK, list{[]any{s.watcherResource()}})
}

// showWatcher answers with the watcher.
func (s *Server) showWatcher(w http.ResponseWriter, _ *http.Request, _ Boundary, _ map[string]string) {
	writeJSON(w, http.StatusOK, s.watcherResource())
}
