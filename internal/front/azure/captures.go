package azure

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"diagsh/internal/menu"
	"diagsh/internal/menu/problem"
)

// maxProperties bounds the body of a PUT in bytes.
const maxProperties = 60 << 10

// captures answers requests for the captures of the watcher, or for the one of a name. verb is empty,
// stop or queryStatus.
func (s *Server) captures(w http.ResponseWriter, r *http.Request, b Boundary, name, verb string) {
	switch {
	case name == "":
		s.listCaptures(w, r, b)
	case verb == "queryStatus":
		s.queryStatus(w, r, b, name)
	case verb == "stop":
		s.stopCapture(w, r, b, name)
	case r.Method == http.MethodPut:
		s.putCapture(w, r, b, name)
	case r.Method == http.MethodDelete:
		s.deleteCapture(w, r, b, name)
	default:
		s.showCapture(w, r, b, name)
	}
}

// capturePath returns the path of a capture in the API.
func capturePath(name string) string { return "/v1/captures/" + url.PathEscape(name) }

// allCaptures returns the captures of the appliance, whoever made them.
func allCaptures(ctx context.Context, b Boundary) (all []captured, refused *menu.Error) {
	for token := ""; ; {
		var page struct {
			Captures []captured `json:"captures"`
			Next     string     `json:"nextPageToken"`
		}
		if refused := call(ctx, b, http.MethodGet, "/v1/captures?pageToken="+url.QueryEscape(token), nil, &page); refused != nil {
			return nil, refused
		}
		all = append(all, page.Captures...)
		if token = page.Next; token == "" {
			return all, nil
		}
	}
}

// findCapture returns the capture of a name in any case; of several names that differ in case, the one
// as it is written. It is nil if there is none. It looks at the list, since a look at one that is not
// there would be a failure in the audit log.
func findCapture(ctx context.Context, b Boundary, name string) (found *captured, refused *menu.Error) {
	all, refused := allCaptures(ctx, b)
	for i, c := range all {
		if c.Name == name || found == nil && strings.EqualFold(c.Name, name) {
			found = &all[i]
		}
	}
	return found, refused
}

// wanted returns the capture that a request names. If there is none, it is answered, with nil.
func (s *Server) wanted(w http.ResponseWriter, r *http.Request, b Boundary, name string) *captured {
	c, refused := findCapture(r.Context(), b, name)
	switch {
	case refused != nil:
		refuse(w, r, refused)
		return nil
	case c == nil:
		s.noCapture(w, name)
	}
	return c
}

// noCapture answers that there is no capture of a name.
func (s *Server) noCapture(w http.ResponseWriter, name string) {
	notFound(w, "Microsoft.Network", "networkWatchers/"+s.settings.Watcher+"/packetCaptures", name, s.settings.WatcherGroup)
}

func (s *Server) listCaptures(w http.ResponseWriter, r *http.Request, b Boundary) {
	captures, refused := allCaptures(r.Context(), b)
	if refused != nil {
		refuse(w, r, refused)
		return
	}
	all := list{[]any{}}
	for _, c := range captures {
		all.Value = append(all.Value, s.resourceOf(c))
	}
	writeJSON(w, http.StatusOK, all)
}

func (s *Server) showCapture(w http.ResponseWriter, r *http.Request, b Boundary, name string) {
	if c := s.wanted(w, r, b, name); c != nil {
		writeResource(w, http.StatusOK, s.resourceOf(*c))
	}
}

// writeResource answers with a capture.
func writeResource(w http.ResponseWriter, status int, of resource) {
	w.Header().Set("ETag", of.ETag)
	writeJSON(w, status, of)
}

func (s *Server) queryStatus(w http.ResponseWriter, r *http.Request, b Boundary, name string) {
	if c := s.wanted(w, r, b, name); c != nil {
		writeJSON(w, http.StatusOK, s.statusOf(*c))
	}
}

// putCapture begins a capture. One that was asked for in the same way, or that is as the client has read
// it, is there already then.
func (s *Server) putCapture(w http.ResponseWriter, r *http.Request, b Boundary, name string) {
	if !plainName(name) {
		fail(w, http.StatusBadRequest, "InvalidResourceName", "The name '"+menu.Bounded(name, 80)+"' is none for a packet capture: it has "+
			"at most 80 letters, digits, dots, hyphens and underscores, begins with a letter or a digit, and is neither ALL nor CLEAR.")
		return
	}
	body, refused := problem.ReadBody(w, r, maxProperties, problem.BodyTime)
	if refused != nil {
		refuse(w, r, refused)
		return
	}
	p, sent, refused := readProperties(body)
	switch {
	case refused == errContent:
		fail(w, http.StatusBadRequest, "InvalidRequestContent", errContent.Error())
	case refused != nil:
		refuse(w, r, refused)
	default:
		s.inTurn(w, r, name, func() <-chan struct{} { return s.putNew(w, r, b, name, p, sent) })
	}
}

// putNew begins a capture unless there is one of its name. over is that of beginCapture, nil if nothing
// begins.
func (s *Server) putNew(w http.ResponseWriter, r *http.Request, b Boundary, name string, p properties, sent json.RawMessage) (
	over <-chan struct{}) {
	c, refused := findCapture(r.Context(), b, name)
	if refused == nil && c != nil && s.propertiesOf(*c).sameAs(p) {
		writeResource(w, http.StatusCreated, s.resourceOf(*c)) // also one that a PUT could not ask for
		return nil
	}
	if refused == nil {
		refused = p.complete()
	}
	if refused == nil {
		refused = s.checkTarget(&p)
	}
	switch {
	case refused != nil:
		refuse(w, r, refused)
	case c != nil:
		s.answerThere(w, *c, p)
	default:
		return s.beginCapture(w, r, b, name, p, sent)
	}
	return nil
}

// answerThere answers a request for a capture whose name one has.
func (s *Server) answerThere(w http.ResponseWriter, c captured, p properties) {
	if s.propertiesOf(c).sameAs(p) {
		writeResource(w, http.StatusCreated, s.resourceOf(c))
		return
	}
	fail(w, http.StatusConflict, "PacketCaptureAlreadyExists", "There is a packet capture '"+c.Name+"' already, with other parameters. "+
		"Delete it first, or choose another name.")
}

// beginCapture begins a capture, and answers when it runs or why it does not. over is closed when it runs
// or does not, which may be after the answer; nil: nothing was begun.
func (s *Server) beginCapture(w http.ResponseWriter, r *http.Request, b Boundary, name string, p properties, sent json.RawMessage) (
	over <-chan struct{}) {
	at := s.moment()
	stored, refused := s.storagePlace(r.Context(), b, p, at)
	if refused != nil {
		refuse(w, r, refused)
		return nil
	}
	text, err := json.Marshal(identity{ID: s.captureID(name), Sent: sent, StoragePath: stored.url, Created: at})
	if err != nil {
		panic(err) // it holds texts and what was JSON
	}
	begun, a := new(captured), acted{}
	for range attempts {
		a = s.act(r, b, http.MethodPost, "/v1/captures", startOf(name, p, stored, string(text)), begun)
		if a.refused == nil || a.refused.Code != menu.State || a.refused.Argument != "name" {
			break
		}
		// The name was taken elsewhere. Whoever took it may have deleted it since.
		if c, refused := findCapture(r.Context(), b, name); refused == nil && c != nil {
			s.answerThere(w, *c, p)
			return a.over
		}
	}
	switch {
	case a.refused != nil:
		refuse(w, r, inFields(a.refused, p))
	case a.done && !prefersAsync(r):
		writeResource(w, http.StatusCreated, s.resourceOf(*begun))
	default:
		p.ProvisioningState, p.Storage.StoragePath = updating, stored.url
		s.writeAsync(w, r, a.id, false)
		writeJSON(w, http.StatusCreated, resource{Name: name, ID: s.captureID(name), ETag: captured{Name: name}.etag(), Properties: p,
			Type: captureType})
	}
	return a.over
}

// attempts is how often a name is tried to be taken that is taken elsewhere, and then free again.
const attempts = 3

// startOf returns the request to the appliance for a capture.
func startOf(name string, p properties, stored place, azure string) map[string]any {
	length := number(p.Bytes)
	if length > maxSnapLength {
		length = 0 // the whole packet
	}
	limits := map[string]any{"sizeBytes": unlimited, "durationSeconds": number(p.Seconds)}
	if total := number(p.Total); total > 0 {
		limits["sizeBytes"] = total
	}
	request := map[string]any{"name": name, "defaults": true, "interfaces": []string{"ALL"}, "snapLength": length, "limits": limits, "azure": azure}
	if filters := own(p.Filters); len(filters) > 0 {
		request["filters"] = filters
	}
	if p.Continuous != nil {
		rotation := map[string]any{"fileBytes": number(p.Settings.FileBytes)}
		limits["sizeBytes"], limits["durationSeconds"] = unlimited, number(p.Settings.Seconds)
		if *p.Continuous {
			rotation["keepFiles"] = number(p.Settings.FileCount)
		} else {
			limits["files"] = number(p.Settings.FileCount)
		}
		request["mode"], request["rotation"] = "ring", rotation
	}
	if stored.target != "" {
		request["target"], request["targetPath"] = stored.target, stored.path
	}
	return request
}

const (
	// unlimited is how the API has a size without bound.
	unlimited = -1
	// maxSnapLength is the most that the appliance is asked to keep of a packet, other than all.
	maxSnapLength = 262144
)

// stopCapture ends a capture. One that has ended stays as it is.
func (s *Server) stopCapture(w http.ResponseWriter, r *http.Request, b Boundary, name string) {
	s.awaitTurn(r.Context(), name) // one that is still beginning can be stopped then
	c := s.wanted(w, r, b, name)
	if c == nil {
		return
	}
	if !c.active() {
		w.WriteHeader(http.StatusOK)
		return
	}
	a := s.act(r, b, http.MethodPost, capturePath(c.Name)+"/stop", map[string]any{}, nil)
	if a.refused != nil && a.refused.Code == menu.State {
		// It may have ended by itself meanwhile.
		if now, refused := findCapture(r.Context(), b, c.Name); refused == nil && now != nil && !now.active() {
			a.refused, a.done = nil, true
		}
	}
	switch {
	case a.refused != nil:
		refuse(w, r, a.refused)
	case a.done && !prefersAsync(r):
		w.WriteHeader(http.StatusOK)
	default:
		s.writeAsync(w, r, a.id, true)
		w.WriteHeader(http.StatusAccepted)
	}
}

// deleteCapture ends a capture and forgets it. What it has stored stays, here and elsewhere.
func (s *Server) deleteCapture(w http.ResponseWriter, r *http.Request, b Boundary, name string) {
	s.inTurn(w, r, name, func() <-chan struct{} { return s.deleteNamed(w, r, b, name) })
}

// deleteNamed deletes the capture of a name, if there is one. over is closed when it is deleted or is not,
// which may be after the answer; nil: there is none.
func (s *Server) deleteNamed(w http.ResponseWriter, r *http.Request, b Boundary, name string) (over <-chan struct{}) {
	c, refused := findCapture(r.Context(), b, name)
	switch {
	case refused != nil:
		refuse(w, r, refused)
		return nil
	case c == nil:
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	a := s.act(r, b, http.MethodDelete, capturePath(c.Name), nil, nil)
	switch {
	case a.refused != nil && a.refused.Code == menu.NotFound: // it was deleted elsewhere
		w.WriteHeader(http.StatusNoContent)
	case a.refused != nil:
		refuse(w, r, a.refused)
	case a.done && !prefersAsync(r):
		w.WriteHeader(http.StatusNoContent)
	default:
		s.writeAsync(w, r, a.id, true)
		w.WriteHeader(http.StatusAccepted)
	}
	return a.over
}

// plainName reports whether a capture may have a name.
func plainName(name string) bool {
	const first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return name != "" && len(name) <= 80 && strings.Trim(name, first+"._-") == "" && strings.ContainsRune(first, rune(name[0])) &&
		!oneOf(name, "ALL", "CLEAR")
}
