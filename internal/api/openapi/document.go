// Package openapi writes the document of OpenAPI 3.1 that describes the API: every command, every
// resource, and the resources that are no commands. It is made from the declarations by reflection, so it
// cannot be out of date.
package openapi

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"

	"diagsh/internal/api/rest"
	"diagsh/internal/api/runs"
	"diagsh/internal/menu"
	"diagsh/internal/menu/problem"
	"diagsh/internal/menu/schema"
)

// A document is the whole of OpenAPI.
type document struct {
	OpenAPI    string      `json:"openapi"`
	Info       info        `json:"info"`
	Servers    []server    `json:"servers"`
	Security   []required  `json:"security"`
	Tags       []tag       `json:"tags"`
	Paths      *paths      `json:"paths"`
	Components *components `json:"components"`
}

type info struct {
	Title       string  `json:"title"`
	Version     string  `json:"version"`
	Description string  `json:"description"`
	License     license `json:"license"`
}

type license struct {
	Name       string `json:"name"`
	Identifier string `json:"identifier"`
}

type server struct {
	URL         string `json:"url"`
	Description string `json:"description"`
}

type required map[string][]string

type tag struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

type components struct {
	Schemas         schema.Properties         `json:"schemas"`
	Responses       map[string]*response      `json:"responses"`
	SecuritySchemes map[string]securityScheme `json:"securitySchemes"`
}

type securityScheme struct {
	Type        string `json:"type"`
	Scheme      string `json:"scheme,omitempty"`
	In          string `json:"in,omitempty"`
	Name        string `json:"name,omitempty"`
	Description string `json:"description"`
}

// paths are the operations by path and method, in the order in which they came.
type paths struct{ list []*pathItem }

type pathItem struct {
	path       string
	operations map[string]*operation
}

// MarshalJSON implements json.Marshaler.
func (p *paths) MarshalJSON() ([]byte, error) {
	text := []byte{'{'}
	for i, item := range p.list {
		if i > 0 {
			text = append(text, ',')
		}
		name, err := json.Marshal(item.path)
		if err != nil {
			return nil, err
		}
		operations, err := json.Marshal(item.operations)
		if err != nil {
			return nil, err
		}
		text = append(append(append(text, name...), ':'), operations...)
	}
	return append(text, '}'), nil
}

// add adds an operation.
func (p *paths) add(method, path string, o *operation) {
	for _, item := range p.list {
		if item.path == path {
			item.operations[strings.ToLower(method)] = o
			return
		}
	}
	p.list = append(p.list, &pathItem{path, map[string]*operation{strings.ToLower(method): o}})
}

type operation struct {
	ID          string               `json:"operationId"`
	Summary     string               `json:"summary"`
	Description string               `json:"description"`
	Tags        []string             `json:"tags"`
	Role        menu.Role            `json:"x-role,omitempty"`
	Command     string               `json:"x-command,omitempty"`
	Security    *[]required          `json:"security,omitempty"`
	Parameters  []parameter          `json:"parameters,omitempty"`
	Body        *body                `json:"requestBody,omitempty"`
	Responses   map[string]*response `json:"responses"`
}

type parameter struct {
	Name        string         `json:"name"`
	In          string         `json:"in"`
	Required    bool           `json:"required,omitempty"`
	Description string         `json:"description"`
	Schema      *schema.Schema `json:"schema"`
}

type body struct {
	Required bool               `json:"required,omitempty"`
	Content  map[string]content `json:"content"`
}

type content struct {
	Schema *schema.Schema `json:"schema"`
	Item   *schema.Schema `json:"x-item,omitempty"` // of each line; OpenAPI 3.1 cannot say it
}

type response struct {
	Ref         string             `json:"$ref,omitempty"`
	Description string             `json:"description,omitempty"`
	Headers     map[string]header  `json:"headers,omitempty"`
	Content     map[string]content `json:"content,omitempty"`
}

type header struct {
	Description string         `json:"description"`
	Schema      *schema.Schema `json:"schema"`
}

// A writer gathers the document.
type writer struct {
	schemas schema.Components
	paths   paths
	tags    map[string]string
	order   []string
}

// Document returns the document for a tree and for resources that are no commands, compact. version is
// that of the appliance.
func Document(tree *menu.Menu, others []Resource, version string) ([]byte, error) {
	w := &writer{tags: map[string]string{}}
	failure := w.schemas.Named(problem.Document, "Problem")
	accepted := w.schemas.Named(reflect.TypeFor[runs.State](), "Run")
	for _, r := range others {
		w.other(r)
	}
	for _, r := range rest.Routes(tree) {
		w.resource(r)
	}
	tree.Walk(func(path []string, item menu.Item) {
		if c, ok := item.(*menu.Command); ok {
			w.command(tree, path, c)
		}
	})
	var tags []tag
	for _, name := range w.order {
		tags = append(tags, tag{name, w.tags[name]})
	}
	return json.Marshal(document{
		OpenAPI: "3.1.0",
		Info: info{
			Title: "diagsh", Version: version,
			Description: "Everything that the menus of the appliance can do. Commands are under /v1/run; what is a noun is a " +
				"resource too, with the same roles, checks and audit. Members, arguments and commands are added within /v1: " +
				"ignore what you do not know.",
			License: license{"Apache-2.0", "Apache-2.0"},
		},
		Servers:  []server{{"/", "The appliance that this was read from."}},
		Security: []required{{"token": {}}, {"session": {}}},
		Tags:     tags,
		Paths:    &w.paths,
		Components: &components{
			Schemas: w.schemas.Result,
			Responses: map[string]*response{"Accepted": {
				Description: "Of a request with Prefer: respond-async: the command goes on, as the run that Location names.",
				Headers:     map[string]header{"Location": {"The path of the run.", &schema.Schema{Type: "string"}}},
				Content:     map[string]content{"application/json": {Schema: accepted}},
			}, "Problem": {Description: "What is wrong, and what to do (RFC 9457).",
				Content: map[string]content{problem.MediaType: {Schema: failure}}}},
			SecuritySchemes: map[string]securityScheme{
				"token":   {Type: "http", Scheme: "bearer", Description: "An API token: dsh_ID_SECRET (token new)."},
				"session": {Type: "apiKey", In: "cookie", Name: "__Host-diagsh", Description: "What POST /v1/login sets."},
			},
		},
	})
}

// tag notes a tag and returns it as the operation has it.
func (w *writer) tag(name, description string) []string {
	if _, known := w.tags[name]; !known {
		w.tags[name] = description
		w.order = append(w.order, name)
	}
	return []string{name}
}

// answers returns the responses of an operation: those of success, and a problem.
func answers(good map[string]*response) map[string]*response {
	good["default"] = &response{Ref: "#/components/responses/Problem"}
	return good
}

// run adds to the responses of a command the one for a run in the background. Resources are without it,
// though they can go on there too: each client would have to tell two kinds of answers apart.
func run(good map[string]*response) map[string]*response {
	good["202"] = &response{Ref: "#/components/responses/Accepted"}
	return answers(good)
}

// A Resource is a resource that is no command.
type Resource struct {
	Method, Path string       // as http.ServeMux has them
	ID           string       // of the operation
	Help         string       // one sentence, with its full stop
	Query        []string     // texts in the query
	Lists        []string     // what may be in the query several times
	Request      reflect.Type // of the JSON body; nil if there is none
	Reply        reflect.Type // of the JSON answer; nil if it is of another type
	Type         string       // media type of the answer, if it is not JSON
	Status       int          // of success; 200 if it is 0
	Ranges       bool         // 206 too
	Open         bool         // also for who has not signed in
}

// other adds a resource that is no command.
func (w *writer) other(r Resource) {
	o := &operation{ID: r.ID, Summary: sentence(r.Help), Description: r.Help,
		Tags: w.tag("appliance", "The session, the menus and the files.")}
	path := r.Path
	for _, word := range strings.Split(r.Path, "/") {
		name, isWord := strings.CutPrefix(word, "{")
		if !isWord {
			continue
		}
		help := "Names the one that is meant."
		name, several := strings.CutSuffix(strings.TrimSuffix(name, "}"), "...")
		if several {
			path = strings.Replace(path, "...", "", 1)
			help = "Words of the path of a menu or a command; / between them is not escaped."
		}
		o.Parameters = append(o.Parameters, parameter{name, "path", true, help, &schema.Schema{Type: "string"}})
	}
	for _, name := range r.Query {
		o.Parameters = append(o.Parameters, parameter{Name: name, In: "query", Description: "A word; several are separated by commas, where several may be given.",
			Schema: &schema.Schema{Type: "string"}})
	}
	for _, name := range r.Lists {
		o.Parameters = append(o.Parameters, parameter{Name: name, In: "query", Description: "May be given several times.",
			Schema: &schema.Schema{Type: "array", Items: &schema.Schema{Type: "string"}}})
	}
	if r.Request != nil {
		o.Body = &body{Required: true, Content: map[string]content{"application/json": {Schema: w.schemas.Of(r.Request)}}}
	}
	good := &response{Description: "It is done."}
	switch {
	case r.Type != "":
		good.Content = map[string]content{r.Type: {Schema: bytesOf(r.Type)}}
	case r.Reply != nil:
		good.Content = map[string]content{"application/json": {Schema: notNull(w.schemas.Of(r.Reply))}}
	}
	all := map[string]*response{status(r.Status): good}
	if r.Ranges {
		all["206"] = &response{Description: "The part that Range names.", Content: good.Content}
	}
	if r.Open {
		o.Security = &[]required{}
	}
	o.Responses = answers(all)
	w.paths.add(r.Method, path, o)
}

// bytesOf returns the schema of a body that is no JSON.
func bytesOf(kind string) *schema.Schema {
	s := &schema.Schema{Type: "string"}
	if !strings.HasPrefix(kind, "text/") && kind != streamType {
		s.Format = "binary"
	}
	return s
}

// notNull returns the schema of a list that is never null.
func notNull(s *schema.Schema) *schema.Schema {
	if kinds, ok := s.Type.([]string); ok {
		s.Type = kinds[0]
	}
	return s
}

func status(code int) string {
	switch code {
	case http.StatusCreated:
		return "201"
	case http.StatusNoContent:
		return "204"
	}
	return "200"
}

// sentence returns a sentence without its full stop, as a summary has it.
func sentence(s string) string { return strings.TrimSuffix(s, ".") }
