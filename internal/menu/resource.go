package menu

import (
	"fmt"
	"regexp"
	"strings"
)

// A Resource is a command as a resource of the REST API: a method on a path below /v1. The words of the
// path in braces are arguments. The others come in the query of a GET or DELETE, or else in the JSON
// body. The same role, checks and audit hold as for the command itself.
type Resource struct {
	Method string // GET, POST, PUT, PATCH or DELETE; a GET changes nothing
	Path   string // such as "captures/{name}"
	Help   string // one sentence, with its full stop; empty: that of the command

	// List is the name of the member that has the records, for a command that yields many: the answer
	// is an object with them and with nextPageToken. Empty: the answer is the one record itself.
	List string
	// Key is the member that names a record, so that a page of the list goes on after the right one;
	// several members are separated by commas.
	Key string
	// Pick says that the last word of the path is no argument: the answer is the record with that Key.
	Pick bool
	// Status of success: 200 if it is 0, 201 for something new, 204 for no body.
	Status int
	// Location is the path of what was made, with members of the record in braces, for the status 201.
	Location string
	// Given are arguments that the resource itself gives, by name.
	Given Arguments
	// Tagged says that the answer to GET has an ETag, or that another method on such a path heeds
	// If-Match: it is refused if what GET answers has another tag. What such a method changes is changed
	// after Caller.CheckCondition, with the lock held that every change of it takes.
	Tagged bool
	// Document is the member of the record that GET of the path answers which a PUT takes, as it is, for
	// the argument Into: a text that may be JSON. Empty: the members of that record are arguments.
	Document, Into string
	// Type is the media type of the answer of a command of the shape Bytes, if there is a better one than
	// that of any bytes.
	Type string
}

// argumentWord is a word of a path that is an argument.
var argumentWord = regexp.MustCompile(`\{([A-Za-z]+)\}`)

// Words returns the names in braces of the path, in their order.
func (r Resource) Words() (names []string) {
	for _, found := range argumentWord.FindAllStringSubmatch(r.Path, -1) {
		names = append(names, found[1])
	}
	return names
}

// Arguments returns those of Words that are arguments.
func (r Resource) Arguments() []string {
	names := r.Words()
	if r.Pick {
		return names[:len(names)-1]
	}
	return names
}

// checked returns the resources of a command. A faulty declaration is a fault of the program, so it
// panics.
func (c *Command) checked(list []Resource) []Resource {
	for _, r := range list {
		fault := func(format string, args ...any) {
			panic(fmt.Sprintf("menu: %s: %s %s: ", c.Name, r.Method, r.Path) + fmt.Sprintf(format, args...))
		}
		if !strings.Contains(" GET POST PUT PATCH DELETE ", " "+r.Method+" ") {
			fault("no such method")
		}
		for _, name := range r.Arguments() {
			if c.param(name) == nil {
				fault("there is no argument %s", name)
			}
		}
		if r.Document != "" && c.param(r.Into) == nil {
			fault("there is no argument %s", r.Into)
		}
		for name := range r.Given {
			if c.param(name) == nil {
				fault("there is no argument %s", name)
			}
		}
		if (r.List != "" || r.Pick) && (c.Shape != Table || r.Key == "") || r.List != "" && r.Pick {
			fault("a list and what is picked of it are of a table, and have a key")
		}
		if (r.Status == 201) != (r.Location != "") {
			fault("the status 201 and a location go together")
		}
	}
	return list
}

// Argument returns the parameter with a name, in any case, or nil.
func (c *Command) Argument(name string) *Param { return c.param(name) }
