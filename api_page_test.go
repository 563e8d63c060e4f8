package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

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
