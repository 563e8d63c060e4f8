package menu

import (
	"errors"
	"slices"
	"strings"

	"diagsh/internal/menu/words"
)

// inQuotes returns the refusal of a line. Where a value stands in it that has several words and no
// quotes, it says what to type. line is the whole line, given what of it is for the arguments.
func (c *Command) inQuotes(line, given []Word, prompt bool, err error) error {
	e, ok := errors.AsType[*Error](err)
	var parts []Word // the values, with their keywords
	whole, wrong := given, ""
	for from, to := c.severalWords(whole); from < to; from, to = c.severalWords(whole) {
		value := Word{Text: words.Joined(whole[from:to], false), Quoted: true}
		parts = append(append(parts, whole[max(0, from-1):from]...), value)
		wrong += " " + value.Text
		whole = slices.Concat(whole[:from], []Word{value}, whole[to:])
	}
	if !ok || e.Code != Usage || len(parts) == 0 {
		return err
	}
	args, err := c.arguments(whole, prompt)
	const most = 300 // bytes of a hint
	part := words.Joined(parts, true)
	switch meant := words.Joined(slices.Concat(line[:len(line)-len(given)], whole), true); {
	case len(part) > most:
		return e.WithHint("Put quotes around a value of several words")
	case err == nil && len(meant) <= most && !c.HasSecret(args):
		return e.WithHint(inQuotes, meant)
	case err == nil, slices.Contains(strings.Fields(wrong), e.Argument):
		return e.WithHint(inQuotes, part)
	case c.abbreviated(e.Argument) == nil && c.nearestParam(e.Argument) == "":
		e.Hint = "Before " + e.Argument + " a keyword is missing: " + strings.Join(some(c.paramNames()), ", ")
	}
	return e.WithHint(inQuotes+". %s", part, e.Hint)
}

const inQuotes = "A value of several words is in quotes: %s"

// severalWords returns where a value of several words begins and ends that is a filter or records and
// has no quotes; both are 0 if there is none.
func (c *Command) severalWords(given []Word) (from, to int) {
	keyword := func(w Word) *Param {
		if w.Quoted {
			return nil
		}
		return c.param(w.Text)
	}
	for i := range given {
		p, from := keyword(given[i]), i+1
		if main := c.main(); p == nil && i == 0 && main != nil {
			p, from = main, 0
		}
		if p == nil || !p.Assisted && p.Type != "records" {
			continue
		}
		to := from
		for to < len(given) && keyword(given[to]) == nil && !given[from].Quoted {
			to++
		}
		if to > from+1 {
			return from, to
		}
	}
	return 0, 0
}
