package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

type thing struct {
	Name string   `json:"name"`
	Size int64    `json:"sizeBytes"`
	Tags []string `json:"tags"`
}

type thingArgs struct {
	Name string    `json:"name" arg:"name,positional:1,required" help:"Its name."`
	Size menu.Size `json:"sizeBytes" arg:"" unit:"MB" help:"Its size."`
	Tags []string  `json:"tags" arg:"" help:"Its tags."`
}

type thingDelete struct {
	Name    string       `arg:"name,positional:1,required" help:"Its name."`
	Confirm menu.Confirm `arg:"confirm" help:"Say yes."`
}

type thingFilter struct {
	Least menu.Size `json:"leastBytes" arg:"" unit:"MB" help:"At least so large."`
}

// things is a tree of one noun: a list of things that can be made, read, changed and deleted.
type things struct {
	list      []thing
	meanwhile func() // something else changes the list when the server has compared
}

func (s *things) find(name string) (int, error) {
	i := slices.IndexFunc(s.list, func(t thing) bool { return t.Name == name })
	if i < 0 {
		return i, menu.Errorf(menu.NotFound, "There is no thing %q", name)
	}
	return i, nil
}

func (s *things) tree() *menu.Menu {
	text := func(w io.Writer, t thing) { fmt.Fprintln(w, t.Name) }
	return &menu.Menu{Items: []menu.Item{
		menu.Decl[thingFilter, thing]{Name: "list", Help: "List.", Role: menu.ReadOnly, Text: text,
			Resources: []menu.Resource{{Method: "GET", Path: "things", List: "things", Key: "name"},
				{Method: "GET", Path: "picked/{thing}", Key: "name", Pick: true}},
			Run: func(_ context.Context, _ menu.Caller, a thingFilter, out *menu.Out[thing]) error {
				for _, t := range s.list {
					if t.Size >= int64(a.Least) {
						out.Record(t)
					}
				}
				return nil
			}}.Command(),
		menu.Decl[thingArgs, thing]{Name: "new", Help: "Make.", Role: menu.Operator, Shape: menu.Object, Text: text,
			Resources: []menu.Resource{{Method: "POST", Path: "things", Status: 201, Location: "things/{name}"}},
			Run: func(_ context.Context, _ menu.Caller, a thingArgs, out *menu.Out[thing]) error {
				s.list = append(s.list, thing{a.Name, int64(a.Size), a.Tags})
				return out.Record(s.list[len(s.list)-1])
			}}.Command(),
		menu.Decl[thingDelete, thing]{Name: "delete", Help: "Delete.", Role: menu.Operator, Text: text,
			Resources: []menu.Resource{{Method: "DELETE", Path: "things/{name}", Status: 204, Tagged: true}},
			Run: func(_ context.Context, _ menu.Caller, a thingDelete, out *menu.Out[thing]) error {
				i, err := s.find(a.Name)
				if err == nil {
					s.list = slices.Delete(s.list, i, i+1)
				}
				return err
			}}.Command(),
		menu.Decl[struct {
			Name string `arg:"name,positional:1,required" help:"Its name."`
		}, thing]{Name: "status", Help: "Show.", Role: menu.ReadOnly, Shape: menu.Object, Text: text,
			Resources: []menu.Resource{{Method: "GET", Path: "things/{name}", Tagged: true}},
			Run: func(_ context.Context, _ menu.Caller, a struct {
				Name string `arg:"name,positional:1,required" help:"Its name."`
			}, out *menu.Out[thing]) error {
				i, err := s.find(a.Name)
				if err == nil {
					err = out.Record(s.list[i])
				}
				return err
			}}.Command(),
		menu.Decl[thingArgs, thing]{Name: "edit", Help: "Change.", Role: menu.Operator, Shape: menu.Object, Text: text,
			Resources: []menu.Resource{{Method: "PUT", Path: "things/{name}", Tagged: true}},
			Run: func(_ context.Context, c menu.Caller, a thingArgs, out *menu.Out[thing]) error {
				if s.meanwhile != nil {
					s.meanwhile()
				}
				i, err := s.find(a.Name)
				if err == nil {
					err = c.CheckCondition()
				}
				if err == nil {
					s.list[i] = thing{a.Name, int64(a.Size), a.Tags}
					err = out.Record(s.list[i])
				}
				return err
			}}.Command(),
	}}
}

// serveThings starts a boundary around things, and returns a function that sends it a request.
func serveThings(t *testing.T, s *things) (*fakeAppliance, func(method, resource, body string, headers ...string) (*http.Response, string)) {
	t.Helper()
	d := newFake(t)
	_, path := serveTree(t, d, s.tree())
	return d, func(method, resource, body string, headers ...string) (*http.Response, string) {
		t.Helper()
		return exchange(t, path, method, resource, body, headers...)
	}
}

// A resource is its command: same arguments, roles and audit; the answers are those of REST.
func TestResources(t *testing.T) {
	s := &things{}
	d, ask := serveThings(t, s)
	for _, c := range []struct {
		user, method, resource, body string
		status                       int
		answer                       string
	}{
		{"ro", "GET", "things", "", 200, `{"things":[],` + "\n" + `"nextPageToken":""}` + "\n"},
		{"ro", "POST", "things", `{"name":"a"}`, 403, `"kind":"denied"`},
		{"op", "POST", "things", `{"name":"a b","sizeBytes":1048576,"tags":["x","y"]}`, 201, `{"name":"a b","sizeBytes":1048576,"tags":["x","y"]}` + "\n"},
		{"op", "POST", "things", `{"sizeBytes":"2MB"}`, 400, `"argument":"name"`},
		{"op", "POST", "things", `{"name":"c","nosuch":1}`, 400, `"argument":"nosuch"`},
		{"op", "POST", "things?name=c", ``, 400, `takes its arguments in the body`},
		{"ro", "GET", "things/a%20b", "", 200, `{"name":"a b",`},
		{"ro", "GET", "things/nosuch", "", 404, `"kind":"notFound"`},
		{"ro", "GET", "picked/a%20b", "", 200, `{"name":"a b",`},
		{"ro", "GET", "picked/nosuch", "", 404, `There is no \"nosuch\"`},
		// A whole number is bytes, as in JSON; a text has the unit of a line.
		{"ro", "GET", "things?leastBytes=1048577", "", 200, `{"things":[],`},
		{"ro", "GET", "things?leastBytes=1MB", "", 200, `{"name":"a b",`},
		{"ro", "GET", "things?nosuch=1", "", 400, `"argument":"nosuch"`},
		{"ro", "GET", "things?leastBytes=1&leastBytes=2", "", 400, `given twice`},
		{"ro", "GET", "things", "{\"leastBytes\":1}", 400, `no body`},
		{"ro", "GET", "things?pageSize=1001", "", 400, `from 1 to 1000`},
		{"ro", "GET", "things?pageSise=1", "", 400, `This resource has no \"pageSise\" in its query`},
		{"ro", "GET", "things?pageSise=1", "", 400, `pageSize, pageToken`},
		{"ro", "GET", "things?pageSize=1&pageSize=2", "", 400, `given twice`},
		{"ro", "GET", "things?leastBytes=1;pageSize=2", "", 400, `query cannot be read`},
		{"ro", "GET", "things?pageToken=zzz", "", 400, `none of this appliance`},
		// What was read can be written back, with the name that is in the path too.
		{"op", "PUT", "things/a%20b", `{"name":"a b","sizeBytes":5,"tags":[]}`, 200, `{"name":"a b","sizeBytes":5,`},
		{"op", "PUT", "things/a%20b", `{"name":"other","sizeBytes":5}`, 400, `differs from the name of the path`},
		{"ro", "DELETE", "things/a%20b", "", 403, `"kind":"denied"`},
		{"op", "DELETE", "things/a%20b?confirm=no", "", 422, `not confirmed`},
		{"op", "DELETE", "things/a%20b", "", 204, ``},
		{"op", "DELETE", "things/a%20b", "", 404, `"instance":"/v1/runs/`},
		{"op", "PATCH", "things/a", "", 405, `"type":"/v1/problems/method"`},
	} {
		d.as(c.user)
		response, body := ask(c.method, c.resource, c.body)
		if response.StatusCode != c.status || !strings.Contains(body, c.answer) {
			t.Errorf("%s: %s %s %s: %d %q; want %d %q", c.user, c.method, c.resource, c.body, response.StatusCode, body, c.status, c.answer)
		}
		if c.status == 201 && response.Header.Get("Location") != "/v1/things/a%20b" {
			t.Errorf("the location is %q", response.Header.Get("Location"))
		}
		e := d.last()
		if c.status == 403 && (e.Act != access.ActRefused || e.User != "ro" || e.Path != "new" && e.Path != "delete") {
			t.Errorf("%s %s: the audit log has %+v", c.method, c.resource, e)
		}
		if c.status == 201 && (e.Act != access.ActCommand || e.Path != "new" || e.Arguments["name"] != "a b") {
			t.Errorf("the audit log has %+v", e)
		}
	}
}

// What GET answers is what PUT takes: members that are only read are no arguments, and a document is the
// text that it stands for.
func TestWrittenBack(t *testing.T) {
	type shown struct {
		Time     string         `json:"time"`
		Document map[string]any `json:"document"`
	}
	type loadArgs struct {
		Text menu.Text `arg:"text" help:"The document."`
	}
	now, loaded := shown{Time: "10:15", Document: map[string]any{"name": "a<b", "mtu": 1500}}, ""
	text := func(w io.Writer, s shown) { fmt.Fprintln(w, s.Time) }
	d := newFake(t)
	_, path := serveTree(t, d, &menu.Menu{Items: []menu.Item{
		menu.Decl[menu.NoArgs, shown]{Name: "show", Help: "Show.", Role: menu.ReadOnly, Shape: menu.Object, Text: text,
			Resources: []menu.Resource{{Method: "GET", Path: "document", Tagged: true}},
			Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[shown]) error {
				return out.Record(now)
			}}.Command(),
		menu.Decl[loadArgs, shown]{Name: "load", Help: "Load.", Role: menu.ReadOnly, Shape: menu.Object, Text: text,
			Resources: []menu.Resource{{Method: "PUT", Path: "document", Tagged: true, Document: "document", Into: "text"}},
			Run: func(_ context.Context, _ menu.Caller, a loadArgs, out *menu.Out[shown]) error {
				loaded = string(a.Text)
				return out.Record(now)
			}}.Command(),
	}})
	read, body := exchange(t, path, "GET", "document", "")
	response, answer := exchange(t, path, "PUT", "document", body, "If-Match", read.Header.Get("ETag"))
	var document map[string]any
	if err := json.Unmarshal([]byte(loaded), &document); response.StatusCode != 200 || err != nil || document["name"] != "a<b" || document["mtu"] != 1500.0 {
		t.Errorf("%s is written back: %d %s; loaded is %q, %v", body, response.StatusCode, answer, loaded, err)
	}
	for body, want := range map[string]string{
		`{"document":{},"text":"x"}`: "which are the same", `{"nosuch":1}`: `"argument":"nosuch"`, `{"document":"x"}`: `"argument":"document"`,
	} {
		if response, answer := exchange(t, path, "PUT", "document", body); response.StatusCode != 400 || !strings.Contains(answer, want) {
			t.Errorf("%s: %d %s", body, response.StatusCode, answer)
		}
	}
}

// A list comes in pages: none of its records twice, none left out, also if some are deleted or added
// meanwhile. A token is of its list alone.
func TestPages(t *testing.T) {
	s := &things{}
	for i := range 5 {
		s.list = append(s.list, thing{Name: fmt.Sprint(i), Size: int64(i)})
	}
	_, ask := serveThings(t, s)
	page := func(query string) (names, next string) {
		t.Helper()
		response, body := ask("GET", "things?pageSize=2"+query, "")
		var list struct {
			Things []thing
			Next   string `json:"nextPageToken"`
		}
		if err := json.Unmarshal([]byte(body), &list); err != nil || response.StatusCode != 200 {
			t.Fatalf("%d %s", response.StatusCode, body)
		}
		for _, one := range list.Things {
			names += one.Name
		}
		return names, list.Next
	}
	first, next := page("")
	s.list = append([]thing{{Name: "new"}}, s.list...) // before what was read
	second, next2 := page("&pageToken=" + next)
	s.list = slices.Delete(s.list, 4, 5) // the last one that was read
	third, end := page("&pageToken=" + next2)
	if first != "01" || second != "23" || third != "4" || end != "" {
		t.Errorf("the pages are %q %q %q, and then %q", first, second, third, end)
	}
	if response, body := ask("GET", "things?pageSize=2&leastBytes=1&pageToken="+next, ""); response.StatusCode != 400 ||
		!strings.Contains(body, "belongs to another list") {
		t.Errorf("%d %s", response.StatusCode, body)
	}
}

// A change on the condition that nothing has changed is refused if something has.
func TestConditions(t *testing.T) {
	s := &things{list: []thing{{Name: "a", Size: 1}}}
	_, ask := serveThings(t, s)
	read, _ := ask("GET", "things/a", "")
	tag := read.Header.Get("ETag")
	if again, _ := ask("GET", "things/a", "", "If-None-Match", tag); tag == "" || again.StatusCode != 304 {
		t.Errorf("tag %q: %d", tag, again.StatusCode)
	}
	if response, body := ask("PUT", "things/a", `{"sizeBytes":2}`, "If-Match", tag); response.StatusCode != 200 {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	for _, method := range []string{"PUT", "DELETE"} {
		if response, body := ask(method, "things/a", "", "If-Match", tag); response.StatusCode != 412 ||
			!strings.Contains(body, `"type":"/v1/problems/changed"`) || len(s.list) != 1 || s.list[0].Size != 2 {
			t.Errorf("%s: %d %s; there is %v", method, response.StatusCode, body, s.list)
		}
	}
	// What is to be made is not what is there; and what has another tag may be changed.
	for none, status := range map[string]int{"*": 412, `"other", *`: 412, tag: 200} {
		response, body := ask("PUT", "things/a", `{"sizeBytes":2}`, "If-None-Match", none)
		if response.StatusCode != status || status == 412 && !strings.Contains(body, `If-None-Match`) {
			t.Errorf("If-None-Match: %s: %d %s", none, response.StatusCode, body)
		}
	}
	if response, _ := ask("PUT", "things/nosuch", `{"sizeBytes":2}`, "If-None-Match", "*"); response.StatusCode != 404 {
		t.Errorf("If-None-Match of what is not there: %d", response.StatusCode)
	}
	// What is changed after the server has compared is seen by the command.
	read, _ = ask("GET", "things/a", "")
	s.meanwhile = func() { s.list[0].Size = 7 }
	if response, body := ask("PUT", "things/a", `{"sizeBytes":3}`, "If-Match", read.Header.Get("ETag")); response.StatusCode != 412 ||
		!strings.Contains(body, `"type":"/v1/problems/changed"`) || s.list[0].Size != 7 {
		t.Errorf("changed meanwhile: %d %s; there is %v", response.StatusCode, body, s.list)
	}
	if response, _ := ask("DELETE", "things/nosuch", "", "If-Match", "*"); response.StatusCode != 412 {
		t.Errorf("what is not there matches: %d", response.StatusCode)
	}
	if response, _ := ask("DELETE", "things/a", "", "If-Match", `"other", *`); response.StatusCode != 204 {
		t.Errorf("%d", response.StatusCode)
	}
}
