package openapi

import (
	"cmp"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"diagsh/internal/api/idempotency"
	"diagsh/internal/api/rest"
	"diagsh/internal/api/sse"
	"diagsh/internal/menu"
	"diagsh/internal/menu/schema"
)

// streamType is the media type of a stream of records.
const streamType = "application/x-ndjson"

// addStream adds the media types of a stream of records: lines, and events whose data are the lines.
func addStream(to map[string]content, item *schema.Schema) {
	for _, kind := range []string{streamType, sse.Type} {
		to[kind] = content{Schema: &schema.Schema{Type: "string"}, Item: item}
	}
}

// command adds the operation that runs a command.
func (w *writer) command(tree *menu.Menu, path []string, c *menu.Command) {
	o := w.operation(tree, path, c)
	o.ID = camel(path)
	o.Command = ""
	var args []*menu.Param
	for i := range c.Params {
		args = append(args, &c.Params[i])
	}
	o.Body = requestOf(args)
	o.Parameters = append(o.Parameters, onceHeader, preferHeader)
	good := map[string]content{}
	item := &schema.Schema{}
	if c.Record != nil {
		item = w.schemas.Of(c.Record)
	}
	list := &schema.Schema{Type: "array", Items: item}
	switch one := slices.ContainsFunc(c.Params, func(p menu.Param) bool { return p.One }); {
	case c.Shape == menu.Bytes:
		good["application/octet-stream"] = content{Schema: bytesOf("application/octet-stream")}
	case c.Shape == menu.Stream:
		addStream(good, item)
	case c.Shape == menu.Object:
		good["application/json"] = content{Schema: item}
	case one:
		good["application/json"] = content{Schema: &schema.Schema{OneOf: []*schema.Schema{list, item}}}
	default:
		good["application/json"] = content{Schema: list}
	}
	if slices.ContainsFunc(c.Params, func(p menu.Param) bool { return p.Stream }) {
		addStream(good, item)
	}
	o.Responses = run(map[string]*response{"200": {Description: "What the command yields.", Content: good}})
	w.paths.add(http.MethodPost, rest.Prefix+"run/"+strings.Join(path, "/"), o)
}

// onceHeader keeps a request from being done twice.
var onceHeader = parameter{Name: idempotency.Header, In: "header", Schema: &schema.Schema{Type: "string"},
	Description: "Names this request: one that comes again with it within 24 hours is answered as the first one, and nothing is done twice."}

// preferHeader has a command go on in the background.
var preferHeader = parameter{Name: "Prefer", In: "header", Schema: &schema.Schema{Type: "string"},
	Description: "respond-async has the command go on as a run in the background, which the answer (202) names; with wait=SECONDS only if it takes longer."}

// operation returns what command and resource have in common.
func (w *writer) operation(tree *menu.Menu, path []string, c *menu.Command) *operation {
	role := c.Role
	if !role.Valid() {
		role = menu.Administrator
	}
	o := &operation{Summary: sentence(c.Help), Description: strings.TrimSpace(c.Help + " " + c.Details), Role: role,
		Command: strings.Join(path, " "), Tags: w.tag("commands", "Commands of the top menu.")}
	if len(path) > 1 {
		o.Tags = w.tag(path[0], tree.Find(path[:1]).Summary())
	}
	return o
}

// resource adds the operation of a resource.
func (w *writer) resource(r rest.Route) {
	c := r.Command
	o := &operation{ID: resourceID(r), Summary: sentence(cmp.Or(r.Help, c.Help)),
		Description: cmp.Or(r.Help, strings.TrimSpace(c.Help+" "+c.Details)), Role: c.Role, Command: strings.Join(r.Path, " "),
		Tags: w.tag(strings.Split(r.Resource.Path, "/")[0], "Resources of this noun.")}
	inPath := r.Resource.Arguments()
	for _, name := range r.Words() {
		p := parameter{Name: name, In: "path", Required: true, Description: "Names the one that is meant.", Schema: &schema.Schema{Type: "string"}}
		if of := c.Argument(name); of != nil && slices.Contains(inPath, name) {
			p.Description, p.Schema = of.Help, valueOf(of)
			p.Schema.Label, p.Schema.Group, p.Schema.Description = "", "", ""
		}
		o.Parameters = append(o.Parameters, p)
	}
	args := r.Asked()
	switch {
	case r.Pick:
	case r.Method == http.MethodGet || r.Method == http.MethodDelete:
		for _, p := range args {
			o.Parameters = append(o.Parameters, parameter{Name: p.Spelt(), In: "query", Required: p.Required, Description: described(p), Schema: inQuery(p)})
		}
	default:
		o.Body = requestOf(args)
		if r.Document != "" {
			object := o.Body.Content["application/json"].Schema
			object.Properties = append(object.Properties, schema.Property{Name: r.Document, Schema: &schema.Schema{Type: "object",
				Description: "As GET answers it, in place of " + r.Into + "."}})
		}
	}
	if r.Paged() {
		least, most := int64(1), int64(rest.MaxPage)
		o.Parameters = append(o.Parameters,
			parameter{Name: "pageSize", In: "query", Description: "The most records of the page; 1000 without it.", Schema: &schema.Schema{Type: "integer", Minimum: &least, Maximum: &most}},
			parameter{Name: "pageToken", In: "query", Description: "The nextPageToken of the page before.", Schema: &schema.Schema{Type: "string"}})
	}
	if r.Tagged && r.Method != http.MethodGet {
		o.Parameters = append(o.Parameters, parameter{Name: "If-Match", In: "header",
			Description: "The ETag of what was read: refused with 412 if it has changed since.", Schema: &schema.Schema{Type: "string"}})
	}
	if r.Method != http.MethodGet {
		o.Parameters = append(o.Parameters, onceHeader)
	}
	good := w.success(r)
	text := &schema.Schema{Type: "string"}
	switch {
	case r.Status == http.StatusCreated:
		good.Headers = map[string]header{"Location": {"The path of what was made.", text}}
	case r.Tagged && r.Method == http.MethodGet:
		good.Headers = map[string]header{"ETag": {"Names this state, for If-Match and If-None-Match.", text}}
	}
	o.Responses = answers(map[string]*response{status(r.Status): good})
	w.paths.add(r.Method, rest.Prefix+r.Resource.Path, o)
}

// success returns the response to a request for a resource that was done.
func (w *writer) success(r rest.Route) *response {
	switch c := r.Command; {
	case r.Status == http.StatusNoContent:
		return &response{Description: "It is done."}
	case c.Shape == menu.Bytes:
		kind := cmp.Or(r.Type, "application/octet-stream")
		return &response{Description: "The bytes, as they come.", Content: map[string]content{kind: {Schema: bytesOf(kind)}}}
	case c.Shape == menu.Stream:
		all := map[string]content{}
		addStream(all, w.schemas.Of(c.Record))
		return &response{Description: "A record a line or an event, as they come.", Content: all}
	case r.List != "":
		s := &schema.Schema{Type: "object", Required: []string{r.List, "nextPageToken"}, Properties: schema.Properties{
			{Name: r.List, Schema: &schema.Schema{Type: "array", Items: w.schemas.Of(c.Record)}},
			{Name: "nextPageToken", Schema: &schema.Schema{Type: "string", Description: "Of the next page; empty in the last."}},
		}}
		return &response{Description: "A page of the list.", Content: map[string]content{"application/json": {Schema: s}}}
	}
	return &response{Description: "The record.", Content: map[string]content{"application/json": {Schema: w.schemas.Of(r.Command.Record)}}}
}

// resourceID returns the identifier of the operation of a resource, which is API: a verb, and the words
// of the path, in the singular where one is meant. A POST that makes nothing has its verb in the path.
func resourceID(r rest.Route) string {
	verb := map[string]string{"GET": "get", "PUT": "replace", "PATCH": "update", "DELETE": "delete"}[r.Method]
	words := strings.Split(r.Resource.Path, "/")
	switch {
	case r.Paged():
		verb = "list"
	case r.Status == http.StatusCreated:
		verb, words = "create", append(words, "{new}")
	case r.Method == http.MethodPost:
		verb, words = words[len(words)-1], words[:len(words)-1]
	}
	names := []string{verb}
	for i, word := range words {
		if strings.HasPrefix(word, "{") {
			continue
		}
		if i+1 < len(words) && strings.HasPrefix(words[i+1], "{") {
			word = strings.TrimSuffix(word, "s")
		}
		names = append(names, word)
	}
	return camel(names)
}

// camel joins words in lowerCamelCase.
func camel(words []string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(strings.Join(words, " "), func(r rune) bool { return strings.ContainsRune(" -_.", r) }) {
		if b.Len() > 0 {
			word = strings.ToUpper(word[:1]) + word[1:]
		}
		b.WriteString(word)
	}
	return b.String()
}

// requestOf returns the body with these arguments, or nil if there are none.
func requestOf(args []*menu.Param) *body {
	if len(args) == 0 {
		return nil
	}
	object := &schema.Schema{Type: "object", AdditionalProperties: false}
	for _, p := range args {
		object.Properties = append(object.Properties, schema.Property{Name: p.Spelt(), Schema: valueOf(p)})
		if p.Required || p.Type == "confirm" {
			object.Required = append(object.Required, p.Spelt())
		}
	}
	return &body{Required: len(object.Required) > 0, Content: map[string]content{"application/json": {Schema: object}}}
}

// described returns the help of an argument, with what stands if it is not given.
func described(p *menu.Param) string {
	if p.Default == "" || p.Type == "confirm" {
		return p.Help
	}
	return fmt.Sprintf("%s If it is not given: %s.", p.Help, p.Default)
}

// valueOf returns the schema of an argument in JSON.
func valueOf(p *menu.Param) *schema.Schema {
	s := &schema.Schema{Type: "string"}
	switch p.Type {
	case "number":
		s = &schema.Schema{Type: "integer", Format: "int64"}
	case "size":
		s = &schema.Schema{Type: "integer", Format: "int64", Unit: "bytes"}
	case "duration":
		s = &schema.Schema{Type: "integer", Format: "int64", Unit: "seconds"}
		if p.Elements() == reflect.TypeFor[time.Duration]() {
			s = &schema.Schema{Type: "number", Format: "double", Unit: "seconds"}
		}
	case "yes/no", "confirm":
		s = &schema.Schema{Type: "boolean"}
	case "secret", "secret lines":
		s.Format, s.WriteOnly = "password", true
	case "list":
		s = &schema.Schema{Type: "array", Items: &schema.Schema{Type: "string", Enum: p.Choices}}
		if p.Elements().Kind() == reflect.Int {
			s.Items = &schema.Schema{Type: "integer"}
		}
	case "records":
		object := &schema.Schema{Type: "object", AdditionalProperties: false}
		for _, f := range p.Fields {
			object.Properties = append(object.Properties,
				schema.Property{Name: f.Name, Schema: &schema.Schema{Type: "string", Description: f.Help, Label: f.Label}})
		}
		s = &schema.Schema{Type: "array", Items: object}
	case "text":
		s.Enum = p.Choices
	}
	if s.Type == "integer" && !p.Zero {
		s.Minimum, s.Maximum = p.Min, p.Max
	}
	if p.Limit && s.Type != "string" {
		s = &schema.Schema{OneOf: []*schema.Schema{s, {Type: "string", Const: "unlimited"}}}
	}
	s.Description, s.Label, s.Group = described(p), p.Label, p.Group
	return s
}

// inQuery returns the schema of an argument in a query, where everything is a text.
func inQuery(p *menu.Param) *schema.Schema {
	s := valueOf(p)
	s.Description, s.Label, s.Group = "", "", ""
	return s
}
