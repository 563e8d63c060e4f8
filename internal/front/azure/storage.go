package azure

import (
	"context"
	"path"
	"strings"
	"time"

	"diagsh/internal/menu"
)

// A place is where the packets of a capture are stored: at a target, and by which URL there.
type place struct {
	target string // empty: nowhere
	path   string // below the target's folder
	url    string
}

// storagePlace returns where a capture is stored that is asked for at that time. Without a storage
// account it is stored nowhere but on the appliance.
func (s *Server) storagePlace(ctx context.Context, b Boundary, p properties, at time.Time) (place, *menu.Error) {
	l := p.Storage
	if l.StorageID == "" {
		return place{}, nil
	}
	targets, refused := s.targets(ctx, b)
	if refused != nil {
		return place{}, refused
	}
	for _, t := range targets {
		if !strings.EqualFold(trimmed(l.StorageID), s.accountID(t.Name)) {
			continue
		}
		in := place{target: t.Name, path: s.layout(p, at)}
		in.url = t.folderURL() + in.path
		if l.StoragePath == "" {
			return in, nil
		}
		rest, below := cutPrefixFold(l.StoragePath, t.folderURL())
		if !below || rest == "" || path.Clean("/"+rest) != "/"+rest || strings.ContainsAny(rest, "?#%") {
			return place{}, wrong("storageLocation.storagePath", "'%s' is no object below %s", menu.Bounded(l.StoragePath, 300), t.folderURL())
		}
		return place{target: t.Name, path: rest, url: l.StoragePath}, nil
	}
	return place{}, wrong("storageLocation.storageId", "there is no storage account '%s'; packetcapture target list shows those that there are",
		menu.Bounded(l.StorageID, 300))
}

// cutPrefixFold is strings.CutPrefix for a prefix in any case.
func cutPrefixFold(text, prefix string) (rest string, found bool) {
	if len(text) < len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return text, false
	}
	return text[len(prefix):], true
}

// layout returns the place of a capture below the container, as Azure has it, in lower case and UTC.
func (s *Server) layout(p properties, at time.Time) string {
	at = at.UTC()
	machine := "/virtualmachines/" + s.settings.Machine
	if p.isSet() {
		machine = "/virtualmachinescalesets/" + s.settings.Machine + "/virtualmachines/" + instance
	}
	moment := strings.ReplaceAll(at.Format("15_04_05.000"), ".", "_")
	return strings.ToLower("subscriptions/" + s.settings.Subscription + "/resourcegroups/" + s.settings.ResourceGroup +
		"/providers/microsoft.compute" + machine + at.Format("/2006/01/02/") + "packetcapture_" + moment + captureEnding)
}

// logsContainer is the container that Azure stores captures in, and the one of a target that has none.
const logsContainer = "network-watcher-logs"

// folderURL returns the URL of a target's folder, with a slash at the end.
func (t target) folderURL() string {
	at := t.shelf()
	if at.folder == "" {
		return at.endpoint
	}
	return at.endpoint + at.folder + "/"
}

// moment returns the present time in milliseconds, and never the same twice: the place of a capture is
// named for it.
func (s *Server) moment() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().UTC().Truncate(time.Millisecond)
	if !now.After(s.latest) {
		now = s.latest.Add(time.Millisecond)
	}
	s.latest = now
	return now
}
