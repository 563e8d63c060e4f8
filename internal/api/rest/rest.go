// Package rest translates between resources and commands: what a request for a resource asks of which
// command, and what the command's records become. The resources are what the declarations of the tree
// say (menu.Resource). Package api finds, permits, runs and audits the command, as it does for any.
package rest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"diagsh/internal/menu"
)

// A Route is a resource with its command.
type Route struct {
	menu.Resource
	Command *menu.Command
	Path    []string // of the command in the tree

	read []string // members of the record that GET of the same path answers
}

// Prefix is the path of all resources.
const Prefix = "/v1/"

// Routes returns the resources of a tree, in its order.
func Routes(tree *menu.Menu) (list []Route) {
	tree.Walk(func(path []string, item menu.Item) {
		if c, ok := item.(*menu.Command); ok {
			for _, r := range c.Resources {
				list = append(list, Route{Resource: r, Command: c, Path: path})
			}
		}
	})
	for i := range list {
		for _, other := range list {
			if list[i].Method == http.MethodPut && other.Method == http.MethodGet && other.Resource.Path == list[i].Resource.Path {
				list[i].read = other.Command.Members
			}
		}
	}
	return list
}

// Pattern returns the route as http.ServeMux takes it.
func (r Route) Pattern() string { return r.Method + " " + Prefix + r.Resource.Path }

// hasBody reports whether the arguments come in the body.
func (r Route) hasBody() bool { return r.Method != http.MethodGet && r.Method != http.MethodDelete }

// Paged reports whether the answer is a page of a list.
func (r Route) Paged() bool { return r.List != "" && r.Method == http.MethodGet }

// Arguments returns the arguments of a request: the words of its path, those that the resource gives,
// and either the query or the body, which is nil if there was none.
func (r Route) Arguments(request *http.Request, body map[string]any) (menu.Arguments, error) {
	query, err := queryOf(request)
	if err != nil {
		return nil, err
	}
	if r.Paged() {
		if err := givenOnce(query, sizeQuery, tokenQuery); err != nil {
			return nil, err
		}
		query.Del(sizeQuery)
		query.Del(tokenQuery)
	}
	object := body
	if r.hasBody() {
		if object, err = r.written(body); err != nil {
			return nil, err
		}
		for name := range query {
			return nil, menu.BadArgument(menu.Bounded(name, 60), "A %s takes its arguments in the body", r.Method).
				WithHint("Send a JSON object with Content-Type: application/json")
		}
	} else {
		if len(body) > 0 {
			return nil, menu.Errorf(menu.Usage, "A %s takes its arguments in the query, and no body", r.Method)
		}
		if object, err = r.fromQuery(query); err != nil {
			return nil, err
		}
	}
	return r.complete(request, object)
}

// written returns the body of a PUT, which may be what GET of the path answers, as arguments: without the
// members that are only read, and with the document as the text that it stands for.
func (r Route) written(body map[string]any) (map[string]any, error) {
	object := make(map[string]any, len(body))
	for name, value := range body {
		if r.Document == name || r.Command.Argument(name) != nil || !slices.ContainsFunc(r.read, func(member string) bool {
			member, _, _ = strings.Cut(member, "{")
			return member == name
		}) {
			object[name] = value
		}
	}
	document, given := object[r.Document].(map[string]any)
	if r.Document == "" || !given {
		return object, nil
	}
	delete(object, r.Document)
	if _, twice := object[r.Into]; twice {
		return nil, menu.BadArgument(r.Into, "%s and %s are given, which are the same", r.Document, r.Into).WithHint("Give one of them")
	}
	text, err := json.Marshal(document)
	object[r.Into] = string(text)
	return object, err
}

// complete adds the words of the path and what the resource gives.
func (r Route) complete(request *http.Request, object map[string]any) (menu.Arguments, error) {
	whole := make(map[string]any, len(object)+2)
	for name, value := range object {
		whole[name] = value
	}
	for _, name := range r.Resource.Arguments() {
		word := request.PathValue(name)
		if err := r.agree(whole, name, word); err != nil {
			return nil, err
		}
		whole[name] = word
	}
	args, err := r.Command.FromJSON(whole)
	if err != nil {
		return nil, err
	}
	for name, value := range r.Given {
		if _, said := args[name]; !said {
			args[name] = value
		}
	}
	if r.Method == http.MethodDelete {
		for _, p := range r.Command.Params { // whoever says DELETE has confirmed it
			if _, said := args[p.Name]; p.Type == "confirm" && !said {
				args[p.Name] = "yes"
			}
		}
	}
	return args, nil
}

// agree removes from the object what names the same argument as a word of the path. It must have the
// same value, as in what was read from there and is written back.
func (r Route) agree(object map[string]any, name, word string) error {
	p := r.Command.Argument(name)
	for given, value := range object {
		if !p.Called(given) {
			continue
		}
		if value != word {
			return menu.BadArgument(p.Name, "%s differs from the %s of the path", given, name).
				WithHint("Leave it out, or give %s", menu.Quoted(word))
		}
		delete(object, given)
	}
	return nil
}

// fromQuery returns a query as the JSON object that it stands for: whole numbers are numbers, and an
// argument that is a list may be given several times.
func (r Route) fromQuery(query url.Values) (map[string]any, error) {
	object := map[string]any{}
	for name, values := range query {
		p := r.Command.Argument(name)
		switch {
		case p == nil:
			return nil, unknown(name, r.inQuery())
		case p.Type == "list":
			list := []any{}
			for _, one := range menu.SplitList(strings.Join(values, ",")) {
				list = append(list, one)
			}
			object[name] = list
		case len(values) > 1:
			return nil, menu.BadArgument(menu.Bounded(name, 60), "%s is given twice", menu.Quoted(name))
		case (p.Type == "number" || p.Type == "size" || p.Type == "duration") && whole(values[0]):
			object[name] = json.Number(values[0])
		default:
			object[name] = values[0]
		}
	}
	return object, nil
}

// inQuery returns the names that the query of a request may have.
func (r Route) inQuery() (names []string) {
	if r.Pick {
		return nil
	}
	for _, p := range r.Asked() {
		names = append(names, p.Spelt())
	}
	if r.Paged() {
		names = append(names, sizeQuery, tokenQuery)
	}
	return names
}

// Asked returns the arguments that a request gives in its query or its body: those that neither its path
// nor the resource has. A DELETE confirms by what it is.
func (r Route) Asked() (list []*menu.Param) {
	inPath := r.Resource.Arguments()
	for i := range r.Command.Params {
		p := &r.Command.Params[i]
		_, given := r.Given[p.Name]
		if !given && !slices.ContainsFunc(inPath, p.Called) && !(r.Method == http.MethodDelete && p.Type == "confirm") {
			list = append(list, p)
		}
	}
	return list
}

// whole reports whether a text is a whole number as JSON has it.
func whole(text string) bool {
	n, err := strconv.ParseInt(text, 10, 64)
	return err == nil && strconv.FormatInt(n, 10) == text
}

// Read returns the arguments of the route that a GET of the same path would have: the words of the path.
func (r Route) Read(request *http.Request) (menu.Arguments, error) {
	return r.complete(request, nil)
}
