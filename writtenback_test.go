package main

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"diagsh/commands"
	"diagsh/internal/api/rest"
)

// What GET answers, put back, makes it so again whatever held before. Where what a PUT leaves out
// stays, as it does where there is a PATCH too, each member that it takes is in the answer also if it
// is empty.
func TestWhatIsReadIsWholeToBePutBack(t *testing.T) {
	routes := rest.Routes(commands.Tree(nil, commands.Version{}))
	at := func(method, path string) *rest.Route {
		i := slices.IndexFunc(routes, func(r rest.Route) bool { return r.Method == method && r.Resource.Path == path })
		if i < 0 {
			return nil
		}
		return &routes[i]
	}
	compared := 0
	for _, put := range routes {
		get := at(http.MethodGet, put.Resource.Path)
		if put.Method != http.MethodPut || get == nil || at(http.MethodPatch, put.Resource.Path) == nil {
			continue
		}
		compared++
		for _, name := range leftOut(get.Command.Record) {
			if put.Command.Argument(name) != nil {
				t.Errorf("PUT %s takes %s, which GET leaves out if it is empty", put.Resource.Path, name)
			}
		}
	}
	if compared < 3 {
		t.Errorf("%d resources are compared; settings of captures, copies and the port log are such", compared)
	}
}

// leftOut returns the members of a record that are not in its JSON if they are empty.
func leftOut(record reflect.Type) (names []string) {
	for i := range record.NumField() {
		f := record.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case strings.Contains(options, "omit"):
			names = append(names, name)
		case f.Type.Kind() == reflect.Struct && f.Type.PkgPath() != "time":
			names = append(names, leftOut(f.Type)...)
		}
	}
	return names
}
