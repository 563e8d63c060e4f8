package menu

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"diagsh/internal/menu/words"
)

// A Choice is one of the choices of a question.
type Choice struct {
	Value string `json:"value"` // what the answer becomes
	Label string `json:"label"` // what the screen shows, if not the value
	Help  string `json:"help,omitempty"`
	// AnyCase says that upper and lower case are the same in it, as in the word ALL. It is set in words
	// that the declaration has to choose from. Names that differ in case alone are of two things.
	AnyCase bool `json:"-"`
}

// Answer converts an answer to the argument. The user who answers sees the list of choices, so an
// answer may also be the number of a choice, or a text with which only that one begins. The argument
// is the choice itself, so that it means the same after the list has changed.
func (q *Question) Answer(text string) (string, error) {
	if q.Part != nil {
		return q.Part.with(q, text)
	}
	if len(q.Choices) > 0 && text != "" {
		chosen, err := q.each(text, q.answered)
		if err != nil {
			return "", err
		}
		text = chosen
	}
	if q.Unit == "" {
		return text, nil
	}
	return withUnit(text, q.Unit), nil
}

// each converts a text, or each member of a list, by one.
func (q *Question) each(text string, one func(text string) (string, error)) (string, error) {
	if q.Type != "list" {
		return one(text)
	}
	parts := SplitList(text)
	if len(parts) == 0 {
		return "", BadArgument(q.Name, "%s is empty", q.Name).WithHint("%s", strings.TrimSuffix(q.Help, "."))
	}
	for i, part := range parts {
		value, err := one(part)
		if err != nil {
			return "", err
		}
		parts[i] = value
	}
	return strings.Join(parts, ","), nil
}

// named returns the choice that a text names whole. Lines and requests are written without the list,
// which may have changed since. There, neither a number nor the beginning of a name tells what is
// meant.
func (q *Question) named(text string) (string, error) {
	for _, same := range []func(c Choice) bool{
		func(c Choice) bool { return c.Value == text },
		func(c Choice) bool { return c.AnyCase && strings.EqualFold(c.Value, text) },
	} {
		if i := slices.IndexFunc(q.Choices, same); i >= 0 {
			return q.Choices[i].Value, nil
		}
	}
	if q.Open {
		return text, nil
	}
	return "", q.noChoice(text)
}

// begun returns the choice that a text names whole, or that alone begins so.
func (q *Question) begun(text string) (string, error) {
	value, err := q.named(text)
	if found := begins(q.values(), text); err != nil && len(found) == 1 {
		return found[0], nil
	}
	return value, err
}

// answered returns the choice that an answer to the question means.
func (q *Question) answered(text string) (string, error) {
	text = strings.TrimSpace(text)
	for _, same := range []func(c Choice) bool{
		func(c Choice) bool { return c.Value == text },
		func(c Choice) bool {
			return strings.EqualFold(c.Value, text) || c.Label != "" && strings.EqualFold(c.Label, text)
		},
	} {
		if i := slices.IndexFunc(q.Choices, same); i >= 0 {
			return q.Choices[i].Value, nil
		}
	}
	if value := q.numbered(text); value != "" && !q.Keywords {
		return value, nil
	}
	found := begins(q.values(), text)
	switch {
	case len(found) == 1:
		return found[0], nil
	case q.Open:
		return text, nil
	case len(found) > 1:
		return "", BadArgument(q.Name, "%q is not unique here", text).WithHint("It could be %s", words.Or(found))
	}
	return "", q.noChoice(text)
}

func (q *Question) noChoice(text string) *Error {
	e := BadArgument(q.Name, "%q is not one of the choices", text)
	if meant := q.meant(text); meant != "" {
		return e.WithHint("Did you mean %s?", meant)
	}
	return e.WithHint("Choose %s", words.Or(some(q.values())))
}

// meant returns the choices whose beginning or number a text is, or "". A word beside names, such as
// ALL, is none that a number means: whoever follows the hint might lose everything.
func (q *Question) meant(text string) string {
	if found := begins(q.values(), text); len(found) > 0 {
		return words.Or(some(found))
	}
	value := q.numbered(text)
	if q.Open && slices.ContainsFunc(q.Choices, func(c Choice) bool { return c.AnyCase && c.Value == value }) {
		return ""
	}
	return value
}

// anyCase sets that case does not matter in the choices that are words.
func (q *Question) anyCase(words []string) {
	for i := range q.Choices {
		q.Choices[i].AnyCase = q.Choices[i].AnyCase || slices.Contains(words, q.Choices[i].Value)
	}
}

func (q *Question) values() (list []string) {
	for _, c := range q.Choices {
		list = append(list, c.Value)
	}
	return list
}

// numbered returns the choice whose number in the list a text is, or "".
func (q *Question) numbered(text string) string {
	if n, err := strconv.Atoi(text); err == nil && n >= 1 && n <= len(q.Choices) {
		return q.Choices[n-1].Value
	}
	return ""
}

// meaning returns err, and where it says that there is no such thing as an argument names, with what
// may have been meant.
func (c *Command) meaning(ctx context.Context, caller Caller, given Arguments, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code != NotFound && e.Code != Usage {
		return err
	}
	args := reflect.New(c.argType).Elem()
	for i := range c.Params {
		p := &c.Params[i]
		text, ok := given[p.Name]
		if !ok {
			continue
		}
		blamed := e.Argument == p.Name || e.Code == NotFound && c.param(e.Argument) == nil
		q := p.question()
		if blamed && c.ask(ctx, caller, args, &q) == nil && q.Open {
			if meant := q.unknown(text); meant != "" {
				hinted := *e
				return hinted.WithHint("Did you mean %s?", meant)
			}
		}
		_ = p.set(args, text) // what is wrong with it was said
	}
	return err
}

// unknown returns what may be meant by the first member of a text that names no choice, or "".
func (q *Question) unknown(text string) (meant string) {
	_, _ = q.each(text, func(text string) (string, error) {
		if named, _ := q.named(text); !slices.Contains(q.values(), named) && meant == "" {
			meant = q.meant(text)
		}
		return text, nil
	})
	return meant
}

// some returns as many names as a hint should have.
func some(names []string) []string {
	const most = 12
	if len(names) <= most {
		return names
	}
	return append(names[:most:most], "...")
}
