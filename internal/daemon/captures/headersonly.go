package captures

import (
	"strconv"

	"diagsh/capture/filter"
	"diagsh/internal/menu"
)

// permitFilter refuses a filter that reads beyond the headers of packets to a caller who may see
// headers only. The filter sees the whole packet, before it is cut: which packets match, and how
// many, would tell what is in the rest.
func permitFilter(caller menu.Caller, expression string) error {
	if caller.Payload {
		return nil
	}
	found := filter.LooksBehindHeaders(expression)
	if found == nil {
		return nil
	}
	return &menu.Error{Code: menu.Denied, Argument: "filter",
		Message: "This account sees the headers of packets only, and the filter reads beyond them at character " +
			strconv.Itoa(found.Character()),
		Hint: menu.Sentence(found.Hint)}
}
