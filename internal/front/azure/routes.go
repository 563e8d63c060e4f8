package azure

import (
	"net/http"
	"slices"
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
	group        = subscription + "/resourcegroups/{machinegroup}"
	machine      = group + "/providers/microsoft.compute/virtualmachines/{machine}"
	scaleSet     = group + "/providers/microsoft.compute/virtualmachinescalesets/{machine}"
	subscription = "/subscriptions/{subscription}"
	network      = subscription + "/providers/microsoft.network"
	watcher      = subscription + "/resourcegroups/{watchergroup}/providers/microsoft.network/networkwatchers/{watcher}"
	capture      = watcher + "/packetcaptures/{capture}"
)

// routes are all routes of callers who are logged in.
var routes = []route{
	{"GET", "/tenants", (*Server).listTenants},
	{"GET", "/subscriptions", (*Server).listSubscriptions},
	{"GET", subscription, (*Server).showSubscription},
	{"GET", subscription + "/locations", (*Server).listLocations},
	{"GET", subscription + "/resourcegroups", (*Server).listGroups},
	{"GET", subscription + "/resourcegroups/{group}", (*Server).showGroup},
	{"GET", subscription + "/providers", (*Server).listProviders},
	{"GET", subscription + "/providers/{provider}", (*Server).showProvider},
	{"POST", subscription + "/providers/{provider}/register", allowed("start", (*Server).showProvider)},

	{"GET", subscription + "/providers/microsoft.compute/virtualmachines", (*Server).listMachines},
	{"GET", group + "/providers/microsoft.compute/virtualmachines", (*Server).listMachines},
	{"GET", machine, (*Server).showMachine},
	{"GET", machine + "/extensions", (*Server).listAgents},
	{"GET", machine + "/extensions/{extension}", (*Server).showAgent},
	{"PUT", machine + "/extensions/{extension}", allowed("start", (*Server).showAgent)},
	{"GET", subscription + "/providers/microsoft.compute/virtualmachinescalesets", (*Server).listScaleSets},
	{"GET", group + "/providers/microsoft.compute/virtualmachinescalesets", (*Server).listScaleSets},
	{"GET", scaleSet, (*Server).showScaleSet},
	{"GET", scaleSet + "/virtualmachines", (*Server).listInstances},
	{"GET", scaleSet + "/virtualmachines/{instance}", (*Server).showInstance},

	{"GET", subscription + "/providers/microsoft.storage/storageaccounts", (*Server).listAccounts},
	{"GET", group + "/providers/microsoft.storage/storageaccounts", (*Server).listAccounts},
	{"GET", group + "/providers/microsoft.storage/storageaccounts/{account}", (*Server).showAccount},

	{"GET", network + "/networkwatchers", (*Server).listWatchers},
	{"GET", subscription + "/resourcegroups/{watchergroup}/providers/microsoft.network/networkwatchers", (*Server).listWatchers},
	{"GET", watcher, (*Server).showWatcher},

	{"GET", watcher + "/packetcaptures", capturesOf("")},
	{"PUT", capture, allowed("start", capturesOf(""))},
	{"GET", capture, capturesOf("")},
	{"DELETE", capture, allowed("delete", capturesOf(""))},
	{"POST", capture + "/querystatus", capturesOf("queryStatus")},
	{"POST", capture + "/stop", allowed("stop", capturesOf("stop"))},
	{"GET", network + "/locations/{location}/operations/{operation}", operationsOf(false)},
	{"GET", network + "/locations/{location}/operationresults/{operation}", operationsOf(true)},
}

// An openRoute is what answers anybody, before a login.
type openRoute struct {
	method, path string
	serve        func(s *Server, w http.ResponseWriter, r *http.Request, vars map[string]string)
}

// openRoutes are those of the login. Its shape is that of ADFS, and that of Azure for clients that are
// told not to ask Microsoft's host about this one.
var openRoutes = []openRoute{
	{"GET", "/metadata/endpoints", (*Server).endpoints},
	{"GET", "/metadata/identity/oauth2/token", (*Server).identityToken},
	{"POST", "/metadata/identity/oauth2/token", (*Server).identityToken},
	{"GET", "/adfs/.well-known/openid-configuration", (*Server).openIDConfiguration},
	{"GET", "/adfs/{word}/.well-known/openid-configuration", (*Server).openIDConfiguration},      // az 2.45 with --tenant WORD
	{"GET", "/adfs/{word}/v2.0/.well-known/openid-configuration", (*Server).openIDConfiguration}, // az 2.74
	{"POST", "/adfs/oauth2/token", (*Server).issueToken},
	{"GET", "/{tenant}/v2.0/.well-known/openid-configuration", (*Server).openIDConfiguration},
	{"POST", "/{tenant}/oauth2/v2.0/token", (*Server).issueToken},
	{"POST", "/{tenant}/oauth2/token", (*Server).issueToken},
}

// findOpen returns the open route of a request, and whether there is one of its path.
func findOpen(r *http.Request) (to *openRoute, vars map[string]string, known bool) {
	path := segments(r.URL.Path)
	for n := range openRoutes {
		found, ok := match(openRoutes[n].path, path)
		if !ok {
			continue
		}
		if known = true; openRoutes[n].method == methodOf(r) {
			return &openRoutes[n], found, true
		}
	}
	return nil, nil, known
}

// allowed returns a handler for callers who may use a command of the menu packetcapture. All others are
// refused before they learn what there is, also where the appliance would have nothing to do.
func allowed(command string, do handler) handler {
	return func(s *Server, w http.ResponseWriter, r *http.Request, b Boundary, vars map[string]string) {
		if refused := mayNot(r.Context(), b, "packetcapture/"+command); refused != nil {
			refuse(w, r, refused)
			return
		}
		do(s, w, r, b, vars)
	}
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
	for n := range routes {
		found, ok := match(routes[n].path, path)
		if !ok {
			continue
		}
		if known = true; routes[n].method == methodOf(r) {
			return &routes[n], found, true
		}
	}
	return nil, nil, known
}

// methodOf returns the method by which a request finds its route: HEAD is GET without the content.
func methodOf(r *http.Request) string {
	if r.Method == http.MethodHead {
		return http.MethodGet
	}
	return r.Method
}

// methodsOf returns the methods that the resource of a request takes (RFC 9110 section 10.2.1).
func methodsOf(r *http.Request) (methods []string) {
	path := segments(r.URL.Path)
	add := func(method, form string) {
		if _, ok := match(form, path); ok {
			if methods = append(methods, method); method == http.MethodGet {
				methods = append(methods, http.MethodHead)
			}
		}
	}
	for _, one := range routes {
		add(one.method, one.path)
	}
	for _, one := range openRoutes {
		add(one.method, one.path)
	}
	slices.Sort(methods)
	return slices.Compact(methods)
}

// Serves reports whether a request is for Azure's paths and not for the page or the API.
func Serves(r *http.Request) bool {
	words := segments(r.URL.Path)
	if len(words) == 0 || words[0] == "v1" {
		return false
	}
	switch strings.ToLower(words[0]) {
	case "subscriptions", "tenants", "metadata", loginFolder:
		return true
	}
	_, _, known := findOpen(r)
	return known
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
