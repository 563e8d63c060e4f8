package azure

import "net/http"

// operations answers how far a long-running operation has come or, with result, what it came to.
func (s *Server) operations(w http.ResponseWriter, _ *http.Request, _ Boundary, _ bool, id string) {
	notFound(w, "Microsoft.Network", "locations/"+s.settings.Location+"/operations", id, s.settings.WatcherGroup)
}
