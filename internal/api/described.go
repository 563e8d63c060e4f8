package api

import (
	"net/http"
	"reflect"

	"diagsh/internal/access"
	"diagsh/internal/api/openapi"
	"diagsh/internal/api/rest"
	"diagsh/internal/api/runs"
	"diagsh/internal/api/sse"
	"diagsh/internal/menu"
	"diagsh/internal/menu/problem"
)

// apiVersion is the version that openapi.json has: within /v1 it grows with what is added.
const apiVersion = "1.0"

// fixed are the resources that are no commands, as openapi.json has them.
var fixed = []openapi.Resource{
	{Method: "GET", Path: "/v1/session", ID: "getSession", Help: "Says who the caller is, and what a login is told.",
		Reply: reflect.TypeFor[access.Greeting]()},
	{Method: "GET", Path: "/v1/hostname", ID: "getHostname", Help: "Says the appliance's present name.",
		Reply: reflect.TypeFor[struct {
			Hostname string `json:"hostname"`
		}]()},
	{Method: "GET", Path: "/v1/leaving", ID: "getLeaving", Help: "Says what somebody who leaves should know.",
		Reply: reflect.TypeFor[struct {
			Notice string `json:"notice"`
		}]()},
	{Method: "GET", Path: "/v1/tree", ID: "getTree", Help: "Lists every menu and command, with arguments and members of records.",
		Reply: reflect.TypeFor[[]menu.Node]()},
	{Method: "GET", Path: "/v1/openapi.json", ID: "getOpenAPI", Help: "Describes the API, as OpenAPI 3.1.",
		Reply: reflect.TypeFor[map[string]any]()},
	{Method: "GET", Path: "/v1/menu/{path...}", ID: "getMenu", Help: "Shows a menu as it is now.",
		Reply: reflect.TypeFor[MenuView]()},
	{Method: "GET", Path: "/v1/help/{path...}", ID: "getHelp", Help: "Explains a menu or command.",
		Reply: reflect.TypeFor[struct {
			Text string `json:"text"`
		}]()},
	{Method: "POST", Path: "/v1/parse", ID: "parse", Help: "Parses a typed line into commands with their arguments.",
		Request: reflect.TypeFor[LineRequest](), Reply: reflect.TypeFor[struct {
			Calls []menu.Call `json:"calls"`
		}]()},
	{Method: "POST", Path: "/v1/complete", ID: "complete", Help: "Says what may stand at the end of a typed line.",
		Request: reflect.TypeFor[LineRequest](), Reply: reflect.TypeFor[menu.Completion]()},
	{Method: "POST", Path: "/v1/ask/{path...}", ID: "ask", Help: "Returns the next question of a command's dialogue.",
		Request: reflect.TypeFor[AskRequest](), Reply: reflect.TypeFor[struct {
			Question *menu.Question `json:"question"`
		}]()},
	{Method: "POST", Path: "/v1/assist/{path...}", ID: "assist", Help: "Says what may follow in the text begun for an argument.",
		Request: reflect.TypeFor[AssistRequest](), Reply: reflect.TypeFor[menu.Completion]()},
	{Method: "GET", Path: "/v1/runs", ID: "listRuns", Help: "Lists the runs in the background of the caller's account.",
		Reply: reflect.TypeFor[runList]()},
	{Method: "GET", Path: "/v1/runs/{run}", ID: "getRun", Help: "Shows the state of a run in the background.",
		Reply: reflect.TypeFor[runs.State]()},
	{Method: "GET", Path: "/v1/runs/{run}/result", ID: "getRunResult", Help: "Returns what the command of a run answered.",
		Type: "application/octet-stream"},
	{Method: "DELETE", Path: "/v1/runs/{run}", ID: "deleteRun", Help: "Interrupts a run, or forgets one that has ended.",
		Status: http.StatusNoContent},
	{Method: "POST", Path: "/v1/interrupt/{run}", ID: "interrupt", Help: "Asks a run of this connection to end.",
		Reply: reflect.TypeFor[struct{}]()},
	{Method: "POST", Path: "/v1/input/{run}", ID: "input", Help: "Says a line to a run of this connection.",
		Request: reflect.TypeFor[menu.Input](), Reply: reflect.TypeFor[struct{}]()},
	{Method: "POST", Path: "/v1/history", ID: "remember", Help: "Adds a line to the caller's history.",
		Request: reflect.TypeFor[struct {
			Line string `json:"line"`
		}](), Reply: reflect.TypeFor[struct{}]()},
	{Method: "GET", Path: "/v1/events", ID: "listenEvents", Help: "Tells what changes, as server-sent events.",
		Query: []string{"topics"}, Type: sse.Type},
	{Method: "GET", Path: "/v1/files", ID: "listFiles", Help: "Lists the diagnostic directory.",
		Reply: reflect.TypeFor[[]access.File]()},
	{Method: "GET", Path: "/v1/files/{name}", ID: "getFile", Help: "Downloads a file, with ranges.",
		Query: []string{"format", "appleblocks"},
		Type:  "application/octet-stream", Ranges: true},
	{Method: "DELETE", Path: "/v1/files/{name}", ID: "deleteFile", Help: "Deletes a file.",
		Reply: reflect.TypeFor[struct{}]()},
	{Method: "GET", Path: "/v1/archive", ID: "getArchive", Help: "Downloads several files as one zip, with a manifest.",
		Lists: []string{"name"}, Type: "application/zip"},
	{Method: "POST", Path: "/v1/login", ID: "login", Help: "Signs in by password and sets the cookie of a session; over HTTPS only.",
		Request: reflect.TypeFor[access.PasswordLogin](), Reply: reflect.TypeFor[access.WebLogin](), Open: true},
	{Method: "GET", Path: "/v1/login", ID: "getLogin", Help: "Says who has signed in; over HTTPS only.",
		Reply: reflect.TypeFor[access.WebLogin]()},
	{Method: "DELETE", Path: "/v1/login", ID: "logout", Help: "Ends the session; over HTTPS only.", Status: http.StatusNoContent},
	{Method: "GET", Path: "/v1/login/methods", ID: "getLoginMethods", Help: "Lists the ways to sign in, and says whether the cookie is of a session; over HTTPS only.",
		Reply: reflect.TypeFor[access.Welcome](), Open: true},
	{Method: "GET", Path: "/v1/problems/{type}", ID: "getProblem", Help: "Says what a type of problem means.",
		Reply: reflect.TypeFor[problemType]()},
}

// OpenAPI returns the document of OpenAPI that describes the boundary around a tree.
func OpenAPI(tree *menu.Menu) ([]byte, error) { return openapi.Document(tree, fixed, apiVersion) }

// openAPI answers with the document of the API. It is made at the first request, and kept.
func (s *Server) openAPI(w http.ResponseWriter, r *http.Request, _ menu.Caller) error {
	document, err := s.document()
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "private, no-cache")
	if rest.NotModified(w, r, rest.Tag(document)) {
		return nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(document)
	return nil
}

// A problemType is what a type of problem means.
type problemType struct {
	problem.Kind
	Code string `json:"kind"`
	Exit int    `json:"exit"`
}

// problem explains a type of problem.
func (s *Server) problem(w http.ResponseWriter, r *http.Request, _ menu.Caller) error {
	of, known := problem.Types[problem.Type(r.PathValue("type"))]
	if !known {
		return menu.Errorf(menu.NotFound, "There is no problem of this type")
	}
	return writeJSON(w, problemType{of, of.Code.String(), int(of.Code)})
}
