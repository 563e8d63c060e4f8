package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"diagsh/commands"
	"diagsh/internal/api/rest"
	"diagsh/internal/menu"
)

const apiPage = "docs/api/README.md"

// TestAPIPage holds the page of the API to the resources that the boundary has, and to the kinds of
// errors with their exit status. What a resource answers is shown by its examples
// (internal/test/automation).
func TestAPIPage(t *testing.T) {
	page := read(t, apiPage)
	var routes, rows []string
	for _, r := range regexp.MustCompile(`mux\.HandleFunc\("([A-Z]+ /v1/[^"]*)"`).FindAllStringSubmatch(read(t, "internal/api/server.go"), -1) {
		routes = append(routes, inCapitals(r[1]))
	}
	for _, r := range rest.Routes(commands.Tree(nil, commands.Version{})) {
		routes = append(routes, inCapitals(r.Pattern()))
	}
	for _, r := range regexp.MustCompile("(?m)^\\| `([A-Z]+ /v1/[^`]*)` \\|").FindAllStringSubmatch(page, -1) {
		rows = append(rows, r[1])
	}
	slices.Sort(routes)
	slices.Sort(rows)
	if len(routes) < 15 || !slices.Equal(routes, rows) {
		t.Errorf("the boundary has %q, %s has %q", routes, apiPage, rows)
	}
	for _, code := range []menu.Code{menu.Failed, menu.Usage, menu.Denied, menu.NotFound, menu.State, menu.Unsupported,
		menu.Interrupted} {
		if row := fmt.Sprintf("\n| `%s` | %d | ", code, code); !strings.Contains(page, row) {
			t.Errorf("%s has no row %q", apiPage, row)
		}
	}
}

// inCapitals writes a pattern of the boundary as the page does: {name} is NAME.
func inCapitals(pattern string) string {
	return regexp.MustCompile(`\{(\w+)(\.\.\.)?\}`).ReplaceAllStringFunc(pattern, func(word string) string {
		return strings.ToUpper(strings.Trim(word, "{.}"))
	})
}

// The nouns of the page stand between these lines.
const (
	nounsBegin = "<!-- nouns: written by make reference -->\n"
	nounsEnd   = "<!-- end of nouns -->\n"
)

// TestNounsOnPaper compares the table of nouns on the page with the declarations.
func TestNounsOnPaper(t *testing.T) {
	page := read(t, apiPage)
	before, rest, begins := strings.Cut(page, nounsBegin)
	got, after, ends := strings.Cut(rest, nounsEnd)
	if !begins || !ends {
		t.Fatalf("%s has no place for the nouns", apiPage)
	}
	switch want := nouns(); {
	case got == want:
	case *update:
		if err := os.WriteFile(apiPage, []byte(before+nounsBegin+want+nounsEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("The nouns in %s are not those of the commands: run make reference", apiPage)
	}
}

// nouns returns the table of the resources that are commands, by their paths.
func nouns() string {
	routes := rest.Routes(commands.Tree(nil, commands.Version{}))
	slices.SortStableFunc(routes, func(a, b rest.Route) int { return strings.Compare(a.Resource.Path, b.Resource.Path) })
	var b strings.Builder
	b.WriteString("| resource | is | for |\n|---|---|---|\n")
	for _, r := range routes {
		help := r.Help
		if help == "" {
			help = r.Command.Help
		}
		role := r.Command.Role
		if !role.Valid() {
			role = menu.Administrator
		}
		fmt.Fprintf(&b, "| `%s` | `%s`: %s | %s |\n", inCapitals(r.Pattern()), strings.Join(r.Path, " "),
			strings.TrimSuffix(help, "."), role)
	}
	return b.String()
}
