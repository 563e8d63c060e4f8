package captures

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"diagsh/capture"
	"diagsh/capture/tuples"
	"diagsh/internal/menu"
)

// Filters in fields: the questions of a dialogue for them, and how the screen shows them.

// endQuestions are the questions for the fields of a filter.
var endQuestions = map[string]string{
	"protocol":      "Protocol, such as TCP, UDP, ICMP or a number; empty for any",
	"localAddress":  "Local addresses: one, a-b, a/len, several with semicolons; empty for any",
	"localPort":     "Local ports: one, a-b, several with semicolons; empty for any",
	"remoteAddress": "Remote addresses: one, a-b, a/len, several with semicolons; empty for any",
	"remotePort":    "Remote ports: one, a-b, several with semicolons; empty for any",
}

// AskFilters makes q the question for the next field of filters, or whether there is another filter.
// The error is about the answer before.
func AskFilters(q *menu.Question) error {
	if q.Part == nil {
		q.Part = &menu.Part{Begun: menu.Asking}
	}
	line := strings.TrimPrefix(q.Part.Begun, menu.Asking)
	member, err := tuples.Next(line)
	var wrong *tuples.Error
	if errors.As(err, &wrong) {
		e := menu.BadArgument(q.Name, "%s", menu.Sentence(wrong.Text))
		e.Hint = menu.Sentence(wrong.Try)
		return e
	}
	if err != nil {
		return menu.BadArgument(q.Name, "%s", menu.Sentence(err.Error()))
	}
	if member != "" {
		q.Text, q.Part.Word, q.Part.Empty = endQuestions[member], strings.ToLower(member), "any"
		return nil
	}
	q.Text, q.Type, q.Default = "Another filter? A packet that one of them matches is captured", "yes/no", "N"
	q.Part.Yes, q.Part.No = q.Part.Begun+" or", strings.TrimSpace(line)
	return nil
}

// filters writes the filters in fields of a capture, a line each, with how many packets each of them
// matched.
func filters(w io.Writer, s capture.Status) {
	for i, f := range s.Filters {
		label, text := "Filters:", f.String()
		if i > 0 {
			label, text = "", "or "+text
		}
		fold(w, label, indent, "%s%s", menu.Clean(text), matched(s, i))
	}
}

// BothFilters returns the filter of options and their filters in fields, or none.
func BothFilters(o capture.Options) string {
	switch fields := menu.Clean(o.Filters.String()); {
	case fields == "":
		return Filter(o.Filter)
	case o.Filter == "":
		return fields
	default:
		return Filter(o.Filter) + "; and " + fields
	}
}

// matched returns how many packets a filter in fields matched, "" for a capture that has not begun.
func matched(s capture.Status, filter int) string {
	switch {
	case s.StartTime.IsZero():
		return ""
	case filter >= len(s.FilterPackets):
		return " (it is not known how many packets)"
	}
	return unbroken(fmt.Sprintf(" (%s)", Count(int(s.FilterPackets[filter]), "packet")))
}
