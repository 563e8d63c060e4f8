package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"diagsh/commands"
	"diagsh/internal/api"
)

// operationsFile lists the operations of openapi.json. Their identifiers are names in generated clients,
// so a line that changes or goes is a breaking change.
const operationsFile = "docs/api/operations.txt"

// An openAPI is what the tests read of openapi.json.
type openAPI struct {
	Paths map[string]map[string]struct {
		ID      string `json:"operationId"`
		Role    string `json:"x-role"`
		Command string `json:"x-command"`
	}
	Components struct{ Schemas map[string]any }
}

func readOpenAPI(t *testing.T) (text []byte, document openAPI) {
	t.Helper()
	text, err := api.OpenAPI(commands.Tree(nil, commands.Version{}))
	if err == nil {
		err = json.Unmarshal(text, &document)
	}
	if err != nil {
		t.Fatal(err)
	}
	return text, document
}

// TestOperations compares the identifiers of the operations with the list of them.
func TestOperations(t *testing.T) {
	_, document := readOpenAPI(t)
	var lines []string
	seen := map[string]bool{}
	for path, item := range document.Paths {
		for method, o := range item {
			if o.ID == "" || seen[o.ID] {
				t.Errorf("%s %s: the identifier %q is empty or there twice", method, path, o.ID)
			}
			seen[o.ID] = true
			lines = append(lines, fmt.Sprintf("%-40s %s %s", o.ID, strings.ToUpper(method), path))
		}
	}
	slices.Sort(lines)
	want := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile(operationsFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got := read(t, operationsFile); got != want {
		t.Errorf("%s is not what openapi.json has: run make reference", operationsFile)
	}
}

// TestEverythingIsDescribed holds openapi.json to the resources of the boundary, and the names of
// schemas to what generated clients can have.
func TestEverythingIsDescribed(t *testing.T) {
	text, document := readOpenAPI(t)
	for _, r := range regexp.MustCompile(`mux\.HandleFunc\("([A-Z]+) (/v1/[^"]*)"`).FindAllStringSubmatch(read(t, "internal/api/server.go"), -1) {
		path := strings.ReplaceAll(r[2], "...", "")
		if path == "/v1/run/{path}" {
			continue // each command has its own
		}
		if document.Paths[path][strings.ToLower(r[1])].ID == "" {
			t.Errorf("openapi.json lacks %s %s", r[1], r[2])
		}
	}
	for _, n := range commands.Tree(nil, commands.Version{}).Nodes() {
		o := document.Paths["/v1/run/"+strings.ReplaceAll(n.Path, " ", "/")]["post"]
		if n.Kind == "command" && (o.ID == "" || o.Role != string(n.Role)) {
			t.Errorf("%s is described as %+v", n.Path, o)
		}
	}
	for _, name := range []string{"Array", "Object", "Record", "Date", "Map", "Error", "Event", "Request", "Response", "File"} {
		if _, bad := document.Components.Schemas[name]; bad {
			t.Errorf("a schema has the name %s, which languages have already", name)
		}
	}
	if n := cmp.Compare(len(text), 512<<10); n > 0 {
		t.Errorf("openapi.json has %d bytes", len(text))
	}
}
