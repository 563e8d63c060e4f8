package captures

import (
	"fmt"

	"diagsh/capture/filter"
	"diagsh/internal/menu"
)

// permitFilter refuses a filter that looks behind the headers of packets to a caller who may see headers only. What is cut off is cut
// behind the filter, which sees the packet as a whole: whether packets match, or how many, would tell the rest.
func permitFilter(caller menu.Caller, expression string) error {
	if caller.Payload {
		return nil
	}
	found := filter.LooksBehindHeaders(expression)
	if found == nil {
		return nil
	}
	return &menu.Error{Code: menu.Denied, Argument: "filter",
		Message: fmt.Sprintf("This account sees the headers of packets only, and the filter reads beyond them at character %d", found.Character()),
		Hint:    menu.Sentence(found.Hint)}
}
