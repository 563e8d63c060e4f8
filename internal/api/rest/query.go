package rest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"diagsh/internal/menu"
)

// KnownQuery returns the refusal of a request whose query has what its resource does not know, or has
// it twice. Those of once may be given once, those of several any number of times.
func KnownQuery(request *http.Request, once, several []string) error {
	query, err := queryOf(request)
	if err != nil {
		return err
	}
	for name := range query {
		if slices.Contains(once, name) || slices.Contains(several, name) {
			continue
		}
		return unknown(name, slices.Concat(once, several))
	}
	return givenOnce(query, once...)
}

// unknown returns the refusal of a name that is not among those that a query may have.
func unknown(name string, known []string) error {
	name = menu.Bounded(name, 60)
	fault := menu.BadArgument(name, "This resource has no %s in its query", menu.Quoted(name))
	if len(known) > 0 {
		return fault.WithHint("It may have %s", strings.Join(known, ", "))
	}
	return fault.WithHint("Leave the query out")
}

// queryOf returns the query of a request, whole or not at all: package url leaves out what it cannot
// read.
func queryOf(request *http.Request) (url.Values, error) {
	query, err := url.ParseQuery(request.URL.RawQuery)
	if err != nil {
		return nil, menu.Errorf(menu.Usage, "The query cannot be read").
			WithHint("It is NAME=VALUE, joined by &; write other signs as %%XX, such as %%3B for a semicolon")
	}
	return query, nil
}

// givenOnce returns the refusal of a query that has one of names twice: which of them counts would be
// chance.
func givenOnce(query url.Values, names ...string) error {
	for _, name := range names {
		if len(query[name]) > 1 {
			return menu.BadArgument(name, "%s is given twice", menu.Quoted(name))
		}
	}
	return nil
}
