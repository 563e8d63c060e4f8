package azure

import "net/http"

// captures answers requests for the captures of the watcher, or for the one of a name. verb is empty,
// stop or queryStatus.
func (s *Server) captures(w http.ResponseWriter, _ *http.Request, _ Boundary, name, _ string) {
	notFound(w, "Microsoft.Network", "networkWatchers/"+s.settings.Watcher+"/packetCaptures", name, s.settings.WatcherGroup)
}
