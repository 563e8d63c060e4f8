package menu

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"diagsh/internal/menu/clean"
)

// flag returns the parameter that a word is a flag of, and its value if the flag carries one: "-4"
// may be a flag, and "-c4" one with its value.
func (c *Command) flag(w Word) (p *Param, value string, carried bool) {
	if w.Quoted {
		return nil, "", false
	}
	if p, value, carried = c.wholeFlag(w); p != nil {
		return p, value, carried
	}
	return c.numberedFlag(w.Text)
}

func (c *Command) wholeFlag(w Word) (p *Param, value string, carried bool) {
	for i := range c.Params {
		p := &c.Params[i]
		for _, f := range p.Flags {
			name, fixed, isFixed := strings.Cut(f, "=")
			if begun(f) {
				name, isFixed = f, false
			}
			switch {
			case begun(name) && len(w.Text) > len(name) && strings.HasPrefix(w.Text, name):
				return p, w.Text[len(name):], true
			case w.Text != name:
			case isFixed:
				return p, fixed, true
			case p.Type == "yes/no":
				return p, "yes", true
			default:
				return p, "", false
			}
		}
	}
	return nil, "", false
}

// numberedFlag returns the one-letter flag whose value, which begins with a digit, directly follows
// it, as getopt(3) accepts it and recipes have it: "-c3". Other values are separate words, so that
// a longer word, such as "-count", is not taken for a short flag.
func (c *Command) numberedFlag(text string) (p *Param, value string, carried bool) {
	if len(text) < 3 || text[0] != '-' || text[2] < '0' || text[2] > '9' {
		return nil, "", false
	}
	for i := range c.Params {
		if p := &c.Params[i]; p.Type != "yes/no" && slices.Contains(p.Flags, text[:2]) {
			return p, text[2:], true
		}
	}
	return nil, "", false
}

// begun reports whether a flag begins the word that has the value: a single character, or one that
// ends with a sign, such as "+time=".
func begun(flag string) bool { return len(flag) == 1 || strings.HasSuffix(flag, "=") }

// flags reads the flags at the beginning of the words.
func (c *Command) flags(args Arguments, words []Word) ([]Word, error) {
	for len(words) > 0 {
		p, value, carried := c.flag(words[0])
		if p == nil {
			break
		}
		if !carried {
			if len(words) == 1 || begun(words[0].Text) {
				return nil, BadArgument(p.Name, "The value of %s is missing", words[0].Text).WithHint("Write %s",
					p.flagForm(words[0].Text))
			}
			value, words = words[1].Text, words[1:]
		}
		if err := p.give(args, value); err != nil {
			return nil, err
		}
		words = words[1:]
	}
	return words, nil
}

// likeFlag reports whether a word is meant to be a flag, in a command that has flags.
func (c *Command) likeFlag(word string) bool {
	return slices.ContainsFunc(c.Params, func(p Param) bool {
		return slices.ContainsFunc(p.Flags, func(f string) bool { return len(f) > 1 && len(word) > 1 && word[0] == f[0] })
	})
}

func (c *Command) unknownFlag(word string) *Error {
	var forms []string
	for i := range c.Params {
		forms = append(forms, c.Params[i].flagForms()...)
	}
	return BadArgument(Bounded(word, clean.MaxQuoted), "%s has no flag %s", c.Name,
		Quoted(word)).WithHint("It takes %s, and what help %s lists", strings.Join(forms, ", "), c.Name)
}

// flagForms returns the parameter's flags as a user writes them.
func (p *Param) flagForms() (forms []string) {
	for _, f := range p.Flags {
		forms = append(forms, p.flagForm(f))
	}
	return forms
}

func (p *Param) flagForm(flag string) string {
	if begun(flag) {
		return flag + p.value()
	}
	if name, _, fixed := strings.Cut(flag, "="); fixed || p.Type == "yes/no" {
		return name
	}
	return flag + " " + p.value()
}

// next returns the parameter that a value without keyword fills after those given, or nil. If the
// main one is required it may come after others, as in the one-line form: then no word that is left
// over can have been meant otherwise.
func (c *Command) next(args Arguments) *Param {
	switch main := c.main(); {
	case main == nil:
		return nil
	case args[main.Name] == "" && main.Required:
		return main
	case args[main.Name] == "":
		return nil
	}
	for i := range c.Params {
		p := &c.Params[i]
		if _, given := args[p.Name]; p.Next && !given {
			return p
		}
	}
	return nil
}

// leading takes the values before the main one from the beginning of the words.
func (c *Command) leading(args Arguments, words []Word) []Word {
	for i := range c.Params {
		p := &c.Params[i]
		if p.Before && len(words) > 0 && !words[0].Quoted && c.param(words[0].Text) == nil && p.leads(words[0].Text) {
			args[p.Name] = words[0].Text
			if q := p.question(); q.numbered(words[0].Text) != "" {
				args[p.Name] = q.numbered(words[0].Text)
			}
			words = words[1:]
		}
	}
	return words
}

// leads reports whether a text before the main value can only be the parameter's.
func (p *Param) leads(text string) bool {
	text = strings.ToLower(text)
	if p.Type == "yes/no" {
		return slices.Contains([]string{"y", "yes", "n", "no"}, text)
	}
	number, err := strconv.Atoi(text)
	return slices.Contains(p.Choices, text) || err == nil && number >= 1 && number <= len(p.Choices)
}

// input returns the parameter that a line with these arguments takes from standard input, or "".
func (c *Command) input(args Arguments) string {
	if main := c.main(); main != nil && args[main.Name] != "" {
		return ""
	}
	for i := range c.Params {
		p := &c.Params[i]
		if _, given := args[p.Name]; p.Input && !given {
			return p.Name
		}
	}
	return ""
}

// looksLikePair recognises `telnet HOST prot 25`: prot is meant to be a keyword, and not a value
// before an unexpected one.
func (c *Command) looksLikePair(words []Word) bool {
	if len(words) == 1 || words[0].Quoted || c.nearestParam(words[0].Text) == "" {
		return false
	}
	flag, _, _ := c.flag(words[1])
	return flag == nil && c.param(words[1].Text) == nil
}

// fits reports whether a text can be the parameter's value, or with abbreviate the beginning of a
// choice, and is not just any text.
func (p *Param) fits(text string, abbreviate bool) bool {
	if len(p.Choices) > 0 {
		q := p.question()
		one := q.named
		if abbreviate {
			one = q.begun
		}
		_, err := q.each(text, one)
		return err == nil
	}
	return p.Type != "text" && p.parse(reflect.New(p.typ).Elem(), text) == nil
}
