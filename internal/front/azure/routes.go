package azure

import (
	"net/http"
	"strings"
)

// A handler answers a request of a caller who is logged in. vars are the segments of the path that its
// route names, as the client wrote them.
type handler func(s *Server, w http.ResponseWriter, r *http.Request, b Boundary, vars map[string]string)

// A route is what answers one method of the resources whose paths have one form. A segment in braces
// stands for any one segment; the others are compared without case.
type route struct {
	method, path string
	serve        handler
}

// The beginnings of paths.
const (
	subscription = "/subscriptions/{subscription}"
	network      = subscription + "/providers/microsoft.network"
	watcher      = subscription + "/resourcegroups/{watchergroup}/providers/microsoft.network/networkwatchers/{watcher}"
	capture      = watcher + "/packetcaptures/{capture}"
)

// routes are all routes. Where two have the same form, a segment that is a word goes before one in
// braces by standing before it.
var routes = []route{
	{"GET", network + "/networkwatchers", (*Server).listWatchers},
	{"GET", subscription + "/resourcegroups/{watchergroup}/providers/microsoft.network/networkwatchers", (*Server).listWatchers},
	{"GET", watcher, (*Server).showWatcher},

	{"GET", watcher + "/packetcaptures", capturesOf("")},
	{"PUT", capture, capturesOf("")},
	{"GET", capture, capturesOf("")},
	{"DELETE", capture, capturesOf("")},
	{"POST", capture + "/querystatus", capturesOf("queryStatus")},
	{"POST", capture + "/stop", capturesOf("stop")},
	{"GET", network + "/locations/{location}/operations/{operation}", operationsOf(false)},
	{"GET", network + "/locations/{location}/operationresults/{operation}", operationsOf(true)},
}

// capturesOf returns the handler of captures for a verb.
func capturesOf(verb string) handler {
	return func(s *Server, w http.ResponseWriter, r *http.Request, b Boundary, vars map[string]string) {
		s.captures(w, r, b, vars["capture"], verb)
	}
}

// operationsOf returns the handler of operations or of their results.
func operationsOf(result bool) handler {
	return func(s *Server, w http.ResponseWriter, r *http.Request, b Boundary, vars map[string]string) {
		s.operations(w, r, b, result, vars["operation"])
	}
}

// segments returns the segments of a path. Clients join an endpoint that ends with a slash and a path
// that begins with one, so empty segments count for nothing.
func segments(path string) []string {
	return strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
}

// match returns the segments of a path that the form names, and whether the path has the form.
func match(form string, path []string) (map[string]string, bool) {
	words := segments(form)
	if len(words) != len(path) {
		return nil, false
	}
	vars := map[string]string{}
	for n, word := range words {
		if name, isVar := strings.CutPrefix(word, "{"); isVar {
			vars[strings.TrimSuffix(name, "}")] = path[n]
		} else if !strings.EqualFold(word, path[n]) {
			return nil, false
		}
	}
	return vars, true
}

// find returns the route of a request; nil if the resource does not take its method. known says whether
// there is such a resource.
func find(r *http.Request) (to *route, vars map[string]string, known bool) {
	path := segments(r.URL.Path)
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for n := range routes {
		found, ok := match(routes[n].path, path)
		if !ok {
			continue
		}
		if known = true; routes[n].method == method {
			return &routes[n], found, true
		}
	}
	return nil, nil, known
}

// Serves reports whether a path is one of Azure's and not of the page or the API.
func Serves(path string) bool {
	words := segments(path)
	return len(words) > 0 && strings.EqualFold(words[0], "subscriptions")
}

// parameter returns a parameter of the query, whose names are compared without case.
func parameter(r *http.Request, name string) string {
	for key, values := range r.URL.Query() {
		if strings.EqualFold(key, name) {
			return values[0]
		}
	}
	return ""
}
