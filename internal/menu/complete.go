package menu

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Candidate is a word that may be at the cursor.
type Candidate struct {
	Text string `json:"text"`
	Help string `json:"help"`
}

// A Completion is what may follow in a line.
type Completion struct {
	Start      int         `json:"start"` // byte offset in the line of the word that candidates replace
	Candidates []Candidate `json:"candidates"`
	// if there are no candidates: what another system's words are here, in lines
	Remark string `json:"remark,omitempty"`
	// a value other than the candidates is possible: its placeholder and its help
	Value *Candidate `json:"value,omitempty"`
}

// Complete returns what may be at the end of line (the part left of the cursor), typed in the menu
// at the path at. allowed reports which roles the caller may use.
func (m *Menu) Complete(ctx context.Context, caller Caller, at []string, line string,
	allowed func(Role) bool) Completion {
	c := m.candidates(ctx, caller, at, line, allowed)
	if len(c.Candidates) > 0 || c.Value != nil {
		return c
	}
	words, partial, _, quoted, err := unfinished(line[lastCommand(line):])
	if err != nil || quoted {
		return c
	}
	var texts []string
	for _, w := range words {
		texts = append(texts, w.Text)
	}
	if here, ok := m.Find(at).(*Menu); ok && len(texts) == 0 && here.beginsAny(partial) {
		return c // another caller may use it
	}
	c.Remark = m.remark(at, texts, partial)
	return c
}

// beginsAny reports whether a text is the beginning of an item's keyword.
func (m *Menu) beginsAny(text string) bool {
	return slices.ContainsFunc(m.Items, func(i Item) bool { return len(begins(i.names(), text)) > 0 })
}

func (m *Menu) candidates(ctx context.Context, caller Caller, at []string, line string,
	allowed func(Role) bool) Completion {
	empty := Completion{Start: len(line), Candidates: []Candidate{}}
	here, ok := m.Find(at).(*Menu)
	if !ok || len(line) > maxLine {
		return empty
	}
	if i := lastCommand(line); i > 0 {
		c := m.candidates(ctx, caller, at, line[i:], allowed)
		c.Start += i
		return c
	}
	words, partial, start, quoted, err := unfinished(line)
	empty.Start = start
	if err != nil {
		return empty
	}
	item := Item(here)
	for len(words) > 0 {
		sub, ok := item.(*Menu)
		if !ok {
			break
		}
		next, err := sub.lookup(m, words[0], true, nil)
		if err != nil {
			return empty
		}
		item, words = next, words[1:]
	}
	c := empty
	switch item := item.(type) {
	case *Menu:
		if quoted {
			return empty
		}
		for _, i := range item.Listed(ctx, caller, allowed) {
			c.add(partial, i.Keyword(), i.Summary())
		}
	case *Command:
		if allowed(item.Role) {
			item.complete(ctx, caller, words, partial, quoted, &c)
		}
	}
	return c
}

// complete returns the values of the argument whose keyword precedes the cursor, or the keywords
// that are left. In a quote that is not closed it only helps with assisted arguments.
func (c *Command) complete(ctx context.Context, caller Caller, words []Word, partial string, quoted bool,
	found *Completion) {
	given, args := Arguments{}, reflect.New(c.argType).Elem()
	first := true // the main parameter's bare value may still come
	words = c.leading(given, words)
	for name, value := range given {
		_ = c.param(name).set(args, value) // a wrong value is refused when the line is run
	}
	take := func(p *Param, value string, used int) {
		given[p.Name] = value
		_ = p.set(args, value)
		words = words[used:]
	}
	for len(words) > 0 {
		word := words[0]
		if p, value, carried := c.flag(word); p != nil {
			switch {
			case carried:
				take(p, value, 1)
			case len(words) == 1:
				c.values(ctx, caller, args, p, partial, quoted, found)
				return
			default:
				take(p, words[1].Text, 2)
			}
			first = first && !p.Main
			continue
		}
		p, keyword := c.place(given, word, first, true)
		if p == nil {
			return
		}
		if !keyword {
			take(p, word.Text, 1)
			first = first && !p.Main
			continue
		}
		if len(words) == 1 {
			c.values(ctx, caller, args, p, partial, quoted, found)
			if p.Type == "yes/no" && !quoted {
				given[p.Name] = "yes"
				c.keywords(given, partial, found)
			}
			return
		}
		first = false
		if c.switchedOn(p, words[1:]) {
			take(p, "yes", 1)
		} else {
			take(p, p.underAlias(word.Text, words[1].Text), 2)
		}
	}
	p, alone := c.bare(given, first)
	if p != nil {
		c.values(ctx, caller, args, p, partial, quoted, found)
	}
	if !quoted && (!alone || partial == "") {
		c.keywords(given, partial, found)
	}
}

// bare returns the parameter that a word without keyword is for now, or nil. first says that the
// main one's value may still come. alone reports that the word can be no keyword, because the main
// parameter has a language of its own.
func (c *Command) bare(given Arguments, first bool) (p *Param, alone bool) {
	if main := c.main(); first && main != nil {
		return main, main.Assisted
	}
	return c.next(given), false
}

// keywords returns those that are left.
func (c *Command) keywords(given Arguments, partial string, found *Completion) {
	for i := range c.Params {
		p := &c.Params[i]
		if _, ok := given[p.Name]; !ok {
			found.add(partial, p.Name, p.Help)
			for _, a := range p.Aliases {
				if partial != "" {
					found.add(partial, a.Name, "The same as "+p.Name+".")
				}
			}
			for _, f := range p.Flags {
				if name, _, _ := strings.Cut(f, "="); partial != "" && !begun(name) {
					found.add(partial, name, p.Help)
				}
			}
		}
	}
}

// values returns the choices of one parameter. In a comma list it completes the last member.
func (c *Command) values(ctx context.Context, caller Caller, args reflect.Value, p *Param, partial string, quoted bool,
	found *Completion) {
	if p.Assisted && c.assist != nil {
		if len(partial) > maxAssisted {
			return
		}
		s := c.assist(ctx, caller, args, p.Name, partial)
		found.Start += s.Start
		found.Candidates = append(found.Candidates, s.Candidates...)
		return
	}
	if quoted {
		return
	}
	q := p.question()
	if c.ask(ctx, caller, args, &q) != nil {
		q = p.question() // what the choice depends on is not given yet, or wrong
	}
	head := ""
	if p.Type == "list" {
		if i := strings.LastIndexByte(partial, ','); i >= 0 {
			head = partial[:i+1]
		}
	}
	switch {
	case len(q.Choices) > 0:
		for _, choice := range q.Choices {
			help := choice.Help
			if help == "" {
				help = choice.Label
			}
			found.add(partial, head+choice.Value, help)
		}
		if q.Open {
			for _, s := range c.suggest(ctx, caller, args, p.Name, partial[len(head):]) {
				found.add(partial, head+s.Value, s.Help)
			}
		}
	case p.Type == "yes/no", p.Type == "confirm":
		found.add(partial, "yes", p.Help)
		found.add(partial, "no", "")
	default:
		for _, s := range c.suggest(ctx, caller, args, p.Name, partial[len(head):]) {
			found.add(partial, head+s.Value, s.Help)
		}
		found.Value = &Candidate{Text: p.value(), Help: p.Help}
	}
}

func (c *Completion) add(partial, text, help string) {
	if len(text) >= len(partial) && strings.EqualFold(text[:len(partial)], partial) {
		c.Candidates = append(c.Candidates, Candidate{Text: text, Help: help})
	}
}

// lastCommand returns the offset after the last `;` that separates commands.
func lastCommand(line string) int {
	last, quote := 0, byte(0)
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '\\':
			i++
		case c == ';':
			last = i + 1
		}
	}
	return last
}

// unfinished splits a line into its finished words and the one with the cursor. quoted reports that
// this one is in a quote that is not closed; start is then after the quote.
func unfinished(line string) (words []Word, partial string, start int, quoted bool, err error) {
	if open := openQuote(line); open >= 0 {
		partial, start, quoted, line = line[open+1:], open+1, true, line[:open]
	}
	commands, err := Split(line)
	if err != nil {
		return nil, "", len(line), quoted, err
	}
	if len(commands) > 0 {
		words = commands[len(commands)-1]
	}
	if quoted {
		return words, partial, start, quoted, nil
	}
	if len(words) == 0 || words[len(words)-1].End < len(line) {
		return words, "", len(line), false, nil
	}
	last := words[len(words)-1]
	return words[:len(words)-1], last.Text, last.Start, false, nil
}

// openQuote returns the offset of a quote that begins a word and is not closed, or -1.
func openQuote(line string) int {
	open := -1
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case open >= 0:
			if c == line[open] {
				open = -1
			}
		case (c == '\'' || c == '"') && (i == 0 || endsInSpace(line[:i])):
			open = i
		case c == '\\':
			i++
		}
	}
	return open
}

func endsInSpace(text string) bool {
	r, _ := utf8.DecodeLastRuneInString(text)
	return unicode.IsSpace(r)
}

// maxAssisted limits in bytes the text of an assisted argument that is completed. To find what may
// follow, the text is parsed once for each word of the language, which takes some milliseconds for
// this length.
const maxAssisted = 4 << 10

// CompleteValue returns what may follow at the end of text for one argument, given those before it.
func (c *Command) CompleteValue(ctx context.Context, caller Caller, given Arguments, name, text string) Completion {
	empty := Completion{Start: len(text), Candidates: []Candidate{}}
	p := c.param(name)
	if p == nil || !p.Assisted || c.assist == nil || len(text) > maxAssisted {
		return empty
	}
	args := reflect.New(c.argType).Elem()
	for name, value := range given {
		if before := c.param(name); before != nil {
			_ = before.set(args, value) // a wrong value is refused when its question is asked
		}
	}
	return c.assist(ctx, caller, args, p.Name, text)
}
