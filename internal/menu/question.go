package menu

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"strings"

	"diagsh/internal/menu/clean"
	"diagsh/internal/menu/problem"
	"diagsh/internal/menu/value"
	"diagsh/internal/menu/words"
)

// A Question is what a dialogue asks for one parameter.
type Question struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"` // the parameter's type
	Text     string   `json:"text"`
	Default  string   `json:"default,omitempty"` // taken by an empty answer
	Choices  []Choice `json:"choices,omitempty"` // shown as a numbered list; see Answer
	Keywords bool     `json:"keywords,omitempty"`
	Twice    bool     `json:"twice,omitempty"` // a new secret: asked a second time, both must agree
	Help     string   `json:"help,omitempty"`
	Required bool     `json:"required,omitempty"`
	Skip     bool     `json:"-"` // not asked, given what was answered before
	// Suggestions are for completing the answer. They are not listed, and other answers are valid
	// too.
	Suggestions []Choice `json:"suggestions,omitempty"`
	// Open says that an answer outside Choices is valid too; the command checks it.
	Open bool `json:"open,omitempty"`
	// Assisted says that the command completes the answer while it is typed (Command.CompleteValue).
	Assisted bool `json:"assisted,omitempty"`
	// Leaves says that an empty answer leaves the argument out, which the command is then run without.
	Leaves bool `json:"leaves,omitempty"`
	// Unit is the unit of a bare number in the answer, such as MB; the caller that asks adds it.
	Unit string `json:"unit,omitempty"`
	// Part says that the answer is a part of the value; see Part. Nil if it is the whole.
	Part *Part `json:"part,omitempty"`
}

// A Part is what a question asks for if the value of an argument takes several questions, as that of
// Records does. The argument is then, until it is whole, a text that begins with Asking; whoever
// holds a dialogue holds nothing else.
type Part struct {
	Begun string `json:"begun"`           // the argument before the answer; it holds again where the answer is refused
	Word  string `json:"word,omitempty"`  // what precedes the answer
	Empty string `json:"empty,omitempty"` // what stands for an empty answer

	// Yes and No are the argument after such an answer, if the question asks for one.
	Yes string `json:"yes,omitempty"`
	No  string `json:"no,omitempty"`
}

// Asking begins the text of an argument whose parts are still asked for.
const Asking = "?"

// with returns the argument after an answer.
func (p *Part) with(q *Question, answer string) (string, error) {
	if q.Type != "yes/no" {
		value, one := words.One(answer)
		if !one {
			return p.Begun, BadArgument(q.Name, "%q has a blank inside a value", Bounded(answer, clean.MaxQuoted)).
				WithHint("Write semicolons between several values")
		}
		return p.Begun + " " + p.Word + " " + cmp.Or(value, p.Empty), nil
	}
	switch yes, err := value.ParseBool(answer); {
	case err != nil:
		return p.Begun, BadArgument(q.Name, "%q is neither yes nor no", Bounded(answer, clean.MaxQuoted))
	case yes:
		return p.Yes, nil
	}
	return p.No, nil
}

// asks reports whether the parts of the argument's value are still asked for.
func (p *Param) asks(text string) bool { return p.Type == "records" && strings.HasPrefix(text, Asking) }

// A Mode is how much a dialogue asks.
type Mode int

const (
	AskNothing Mode = iota // the one-line form and the API
	AskNeeded              // at a prompt, with some arguments given: what is required or needs confirmation
	AskAll                 // at a prompt, without arguments
)

// work sets and checks the given parameters in order and stops at the first that the mode wants to
// ask for. It returns that question, or the filled struct, or the Error that names the argument at
// fault. If nothing is asked, the Error also has the faults of later arguments, as far as they do not
// depend on the first.
func (c *Command) work(ctx context.Context, caller Caller, given Arguments, mode Mode) (reflect.Value,
	*Question, error) {
	given, err := c.present(given)
	if err != nil {
		return reflect.Value{}, nil, err
	}
	args := reflect.New(c.argType).Elem()
	var faults []*Error
	for i := range c.Params {
		p := &c.Params[i]
		q := p.question()
		asking := mode != AskNothing && p.asks(given[p.Name])
		if asking {
			q.Part = &Part{Begun: given[p.Name]}
		}
		if err := c.ask(ctx, caller, args, &q); err != nil {
			if len(faults) > 0 {
				continue
			}
			return args, nil, err
		}
		text, ok := given[p.Name]
		switch {
		case asking && q.Text != "":
			return args, &q, nil
		case ok && text == "" && mode == AskNothing && q.Leaves && !q.Required:
			err = p.emptyError()
		case ok:
			err = c.take(ctx, caller, args, p, &q, text, len(faults) == 0)
		case p.Ask != "" && !q.Skip && (mode == AskAll || mode == AskNeeded && (q.Required || p.Type == "confirm")):
			q.Suggestions = c.suggest(ctx, caller, args, p.Name, "")
			return args, &q, nil
		case len(faults) > 0 && c.asks:
			// What is needed may depend on what is wrong.
		case q.Required && !q.Skip:
			err = BadArgument(p.Name, "%s is missing", p.Name).WithHint("Give %s: %s", p.given(), words.LowerFirst(p.Help))
		case p.Type == "confirm" && !q.Skip:
			err = BadArgument(p.Name, "This needs a confirmation").WithHint("Add: %s yes", p.Name)
		case p.Default != "":
			err = p.put(args, p.Default)
		}
		if err == nil {
			continue
		}
		fault, known := errors.AsType[*Error](err)
		switch further := mode == AskNothing && known && fault.Code == Usage && fault.Argument != ""; {
		case further:
			faults, err = append(faults, fault), nil
		case len(faults) == 0:
			return args, nil, err
		}
	}
	return args, nil, problem.Together(faults)
}

func (p *Param) question() Question {
	q := Question{Name: p.Name, Type: p.Type, Text: p.Ask, Default: p.Default, Help: p.Help, Required: p.Required,
		Assisted: p.Assisted, Unit: p.askUnit, Leaves: p.hasNoEmpty()}
	for _, c := range p.Choices {
		q.Choices = append(q.Choices, Choice{Value: c, AnyCase: true})
	}
	if p.Type == "confirm" && q.Default == "" {
		q.Default = "N"
	}
	return q
}

// hasNoEmpty reports whether an empty text is no value of the parameter.
func (p *Param) hasNoEmpty() bool {
	switch p.Type {
	case "number", "size", "duration", "time", "yes/no", "records":
		return true
	case "text", "list":
		return !p.recorded && (p.Bound || len(p.Choices) > 0)
	}
	return false
}

// emptyError returns the refusal of an empty text that is no value. It would pass for an argument that
// is not given, which often means no bound.
func (p *Param) emptyError() *Error {
	return BadArgument(p.Name, "%s is empty", p.Name).WithHint("Give a value, or leave %s out if none is meant", p.Name)
}

// take sets one given argument: first by choices, which are named whole, then by type, then, with
// check, by the command's own check.
func (c *Command) take(ctx context.Context, caller Caller, args reflect.Value, p *Param, q *Question,
	text string, check bool) error {
	if text == "" && p.Type != "text" && p.Type != "packets" && p.Type != "list" && !strings.HasPrefix(p.Type, "secret") &&
		p.Type != "lines" || text == "" && q.Required {
		if q.Required {
			return BadArgument(p.Name, "An answer is needed here").WithHint("%s", strings.TrimSuffix(Sentence(q.Help), "."))
		}
		return nil
	}
	if len(q.Choices) > 0 && (text != "" || p.Type == "list" && !p.recorded) {
		named, err := q.each(text, q.named)
		if err != nil {
			return err
		}
		text = named
	}
	if err := p.set(args, text); err != nil {
		return err
	}
	if c.check == nil || !check {
		return nil
	}
	return c.check(ctx, caller, args, p.Name)
}

// value returns the placeholder of the value in a line: NAME, yes|no.
func (p *Param) value() string {
	switch {
	case len(p.Choices) > 0:
		return strings.Join(p.Choices, "|")
	case p.Type == "yes/no" || p.Type == "confirm":
		return "yes|no"
	}
	return strings.ToUpper(p.Name)
}

// pair returns keyword and value.
func (p *Param) pair() string { return p.Name + " " + p.value() }

// given returns the shortest way to give the parameter.
func (p *Param) given() string {
	if p.Main {
		return p.value()
	}
	return p.pair()
}

// synopsis returns the parameter in the one-line form, the optional part in brackets.
func (p *Param) synopsis() string {
	if p.Main || p.Next || p.Before {
		return "[" + p.Name + "] " + p.value()
	}
	return p.pair()
}
