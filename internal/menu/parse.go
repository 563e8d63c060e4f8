package menu

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"diagsh/internal/menu/clean"
	"diagsh/internal/menu/words"
)

// A Call is a line that was understood: an item, with arguments.
type Call struct {
	Path      []string  `json:"path"`
	Menu      bool      `json:"menu,omitempty"` // the path ends at a menu: enter it
	Arguments Arguments `json:"arguments,omitempty"`
	JSON      bool      `json:"json,omitempty"`      // the line had --json
	Secret    bool      `json:"secret,omitempty"`    // an argument is a secret: keep the line in no history
	Stream    bool      `json:"stream,omitempty"`    // the output comes as it happens: not for a pager
	Bytes     bool      `json:"bytes,omitempty"`     // the output is for a program: not for a terminal
	Input     string    `json:"input,omitempty"`     // the argument that standard input is
	Converses bool      `json:"converses,omitempty"` // it takes lines while it runs
}

// Parse parses one line typed in the menu at the path at (empty: at the top). With abbreviate it
// accepts unique beginnings of keywords and of the words that a declaration has to choose from; that
// is for users at a prompt, never for scripts. Names of things are whole everywhere. It suggests only
// usable items for an unknown word (nil: all are usable). It accepts all commands of a line, or none.
func (m *Menu) Parse(at []string, line string, abbreviate bool, usable func(Item) bool) ([]Call, error) {
	start, ok := m.Find(at).(*Menu)
	if !ok {
		return nil, Errorf(NotFound, "There is no menu %q", strings.Join(at, " "))
	}
	commands, err := Split(line)
	if err != nil {
		return nil, err
	}
	var calls []Call
	for _, words := range commands {
		call, err := start.parse(m, at, words, abbreviate, usable)
		if err != nil {
			err = m.elsewhere(at, words, err)
		}
		var wrong *Error
		if len(commands) > 1 && errors.As(err, &wrong) {
			return nil, wrong.NothingRun()
		}
		if err != nil {
			return nil, err
		}
		calls = append(calls, *call)
	}
	return calls, nil
}

func (m *Menu) parse(top *Menu, at []string, words []Word, abbreviate bool, usable func(Item) bool) (*Call, error) {
	call := &Call{Path: append([]string(nil), at...)}
	words, call.JSON = withoutJSON(words)
	line, here := words, Item(m)
	for len(words) > 0 {
		sub, ok := here.(*Menu)
		if !ok {
			break
		}
		item, err := sub.lookup(top, words[0], abbreviate, usable)
		if err != nil {
			return nil, err
		}
		call.Path = append(call.Path, called(item, words[0].Text))
		here, words = item, words[1:]
	}
	c, ok := here.(*Command)
	if !ok {
		call.Menu = true
		return call, nil
	}
	if c.asksHelp(words) {
		return nil, BadArgument(c.main().Name, "help stands before a command: help %s", strings.Join(call.Path, " ")).
			WithHint("As a value it needs its keyword: %s help", c.main().Name)
	}
	args, err := c.arguments(words, abbreviate)
	if err != nil {
		return nil, c.inQuotes(line, words, abbreviate, err)
	}
	call.Arguments, call.Secret, call.Input = args, c.HasSecret(args), c.input(args)
	shape := c.ShapeOf(args)
	call.Converses = c.Converses(args)
	call.Stream, call.Bytes = shape == Stream, shape == Bytes
	if call.Bytes && call.JSON {
		return nil, Errorf(Usage, "%s writes bytes for a program, which have no JSON form", c.Name)
	}
	return call, nil
}

// called returns the keyword of an item, or the alias that a word is.
func called(item Item, word string) string {
	for _, name := range item.names() {
		if strings.EqualFold(name, word) {
			return name
		}
	}
	return item.Keyword()
}

// withoutJSON removes an unquoted --json from any place in the line.
func withoutJSON(words []Word) ([]Word, bool) {
	kept, found := make([]Word, 0, len(words)), false
	for _, w := range words {
		if w.Text == "--json" && !w.Quoted {
			found = true
			continue
		}
		kept = append(kept, w)
	}
	return kept, found
}

// lookup returns the item that a word names here. If it is not here, it may be elsewhere below the
// top.
func (m *Menu) lookup(top *Menu, w Word, abbreviate bool, usable func(Item) bool) (Item, error) {
	if item := m.find(w.Text); item != nil {
		return item, nil
	}
	var names []string
	for _, item := range m.Items {
		names = append(names, item.Keyword())
	}
	if abbreviate && !w.Quoted {
		found := begins(names, w.Text)
		switch {
		case len(found) == 1:
			return m.find(found[0]), nil
		case len(found) > 1:
			return nil, Errorf(Usage, "%q is not unique here", w.Text).WithHint("It could be %s", words.Or(found))
		}
	}
	if _, err := strconv.Atoi(w.Text); err == nil && m.Choice != "" {
		return nil, Errorf(Usage, "%s is not one of the choices", Quoted(w.Text)).WithHint("Choose 1 to %d, or %s",
			len(m.Items), words.Or(names))
	}
	e := Errorf(Usage, "%s is not known here", Quoted(w.Text))
	var suggested []string
	for _, item := range m.Items {
		if usable == nil || usable(item) {
			suggested = append(suggested, item.Keyword())
		}
	}
	if near := Nearest(w.Text, suggested); near != "" {
		return nil, e.WithHint("Did you mean %s?", near)
	}
	switch place := top.placeOf(w.Text, usable); {
	case len(place) == 0:
		return nil, e.WithHint("Type ? or help to see what is")
	case m == top:
		return nil, e.WithHint("Did you mean %s?", strings.Join(place, " "))
	default:
		return nil, e.WithHint("At the top prompt it is %s; Ctrl-C goes there", strings.Join(place, " "))
	}
}

// placeOf returns the path of the only usable item below the menu with this keyword, or nil.
func (m *Menu) placeOf(word string, usable func(Item) bool) (place []string) {
	found := 0
	m.Walk(func(path []string, item Item) {
		if strings.EqualFold(item.Keyword(), word) && (usable == nil || usable(item)) {
			place, found = path, found+1
		}
	})
	if found != 1 {
		return nil
	}
	return place
}

// arguments parses `{VALUE} {KEYWORD VALUE}`. The value yes of a yes or no may be left out. Flags
// may be anywhere, also before the main value.
func (c *Command) arguments(words []Word, abbreviate bool) (Arguments, error) {
	args := Arguments{}
	words = c.leading(args, words)
	for first := true; len(words) > 0; first = false {
		rest, err := c.flags(args, words)
		if err != nil {
			return nil, err
		}
		if words = rest; len(words) == 0 {
			break
		}
		main := c.main()
		first = first && (main == nil || args[main.Name] == "")
		if !words[0].Quoted && c.likeFlag(words[0].Text) {
			return nil, c.unknownFlag(words[0].Text)
		}
		p, keyword := c.place(args, words[0], first, abbreviate)
		switch {
		case keyword:
			if words, err = c.pair(args, p, words, abbreviate); err != nil {
				return nil, err
			}
			continue
		case first && main != nil:
		case p == nil, c.looksLikePair(words), !p.fits(words[0].Text, abbreviate) && c.mistypedKeyword(args, words) != nil:
			if e := c.mistypedKeyword(args, words); e != nil {
				return nil, e
			}
			return nil, c.unknownArgument(words[0].Text)
		}
		args[p.Name], words = words[0].Text, words[1:]
	}
	if abbreviate {
		c.lengthen(args)
	}
	return args, nil
}

// lengthen replaces beginnings of the words that the declaration has to choose from by these words.
// Names of things are not among them: at a prompt they are whole, too.
func (c *Command) lengthen(args Arguments) {
	for name, text := range args {
		if p := c.param(name); len(p.Choices) > 0 && text != "" {
			q := p.question()
			if whole, err := q.each(text, q.begun); err == nil {
				args[name] = whole
			}
		}
	}
}

// pair takes a keyword and its value. At a prompt the value of Records may be left out at the end of
// the line: its parts are asked for then.
func (c *Command) pair(args Arguments, p *Param, words []Word, prompt bool) ([]Word, error) {
	value, used := "yes", 1
	switch {
	case c.switchedOn(p, words[1:]):
	case len(words) > 1:
		value, used = p.underAlias(words[0].Text, words[1].Text), 2
	case prompt && p.Type == "records":
		value = Asking
	default:
		return nil, BadArgument(p.Name, "The value of %s is missing", p.Name).WithHint("Write %s", p.pair())
	}
	if value == "" && p.Bound {
		return nil, p.emptyError() // also of a member of a record, where it means none: as of a script whose variable is not set
	}
	if err := p.give(args, value); err != nil {
		return nil, err
	}
	return words[used:], nil
}

// place returns the parameter that a word is for, and whether it is its keyword or its value; nil
// if it is for none. One rule holds for typed and for sent lines. A whole keyword is a keyword;
// else a value that is possible here is that value. Only if none is possible, a typed beginning of
// a keyword is the keyword. So a sent line means the same when it is typed. A quoted word is a
// value.
func (c *Command) place(args Arguments, word Word, first, abbreviate bool) (p *Param, keyword bool) {
	if !word.Quoted {
		if p := c.param(word.Text); p != nil {
			return p, true
		}
	}
	if main := c.main(); first && main != nil {
		return main, false
	}
	next := c.next(args)
	if next != nil && (next.fits(word.Text, abbreviate) || next.Type == "text" && len(next.Choices) == 0) {
		return next, false
	}
	if p := c.abbreviated(word.Text); p != nil && !word.Quoted {
		if abbreviate {
			return p, true
		}
		return nil, false // a user does not mean what is left over by it
	}
	return next, false
}

// asksHelp reports whether the only argument asks for help as in other systems. A user who did so would
// have a capture, an account or a token of the name help.
func (c *Command) asksHelp(given []Word) bool {
	return len(given) == 1 && !given[0].Quoted && c.main() != nil && !c.likeFlag(given[0].Text) && words.AsksHelp(given[0].Text)
}

// switchedOn reports whether the keyword of a yes or no has no value, at the end or before another
// keyword: then it means yes. A confirmation always needs its value.
func (c *Command) switchedOn(p *Param, rest []Word) bool {
	return p.Type == "yes/no" && (len(rest) == 0 || !rest[0].Quoted && c.param(rest[0].Text) != nil)
}

// mistypedKeyword recognises `start sizee 3` and `start du 10s`: sizee and du were taken for the
// main value, so that what follows looks like the mistake. It returns nil unless the main value is
// all that was given, and is nearly a keyword or the beginning of one.
func (c *Command) mistypedKeyword(args Arguments, rest []Word) *Error {
	main := c.main()
	if main == nil || len(args) != 1 {
		return nil
	}
	word, given := args[main.Name]
	if !given {
		return nil
	}
	if p := c.abbreviated(word); p != nil {
		return c.unknownArgument(rest[0].Text).WithHint(
			"%s was taken for the %s; keywords are written whole here: %s %s", Bounded(word, clean.MaxQuoted), main.Name,
			p.Name, Quote(Bounded(rest[0].Text, clean.MaxQuoted)))
	}
	if len(rest) != 1 || c.nearestParam(word) == "" {
		return nil
	}
	return c.unknownArgument(word)
}

func (c *Command) paramNames() []string {
	var names []string
	for i := range c.Params {
		names = append(names, c.Params[i].Name)
	}
	return names
}

func (c *Command) main() *Param {
	if i := slices.IndexFunc(c.Params, func(p Param) bool { return p.Main }); i >= 0 {
		return &c.Params[i]
	}
	return nil
}

// abbreviated returns the only parameter whose current name begins so, else the one with such a
// former name.
func (c *Command) abbreviated(word string) *Param {
	for _, names := range [][]string{c.paramNames(), c.allNames()} {
		if found := begins(names, word); len(found) > 0 {
			if len(found) == 1 {
				return c.param(found[0])
			}
			return nil
		}
	}
	return nil
}

func (c *Command) unknownArgument(word string) *Error {
	names := c.paramNames()
	e := BadArgument(Bounded(word, clean.MaxQuoted), "%s has no argument %s", c.Name, Quoted(word))
	if len(names) == 0 {
		return e.WithHint("It takes none")
	}
	if p := c.abbreviated(word); p != nil {
		return e.WithHint("Did you mean %s?", p.Name)
	}
	if near := c.nearestParam(word); near != "" {
		return e.WithHint("Did you mean %s?", near)
	}
	return e.WithHint("It takes %s", strings.Join(names, ", "))
}

// begins returns the names that begin with word, in any case.
func begins(names []string, word string) []string {
	var found []string
	for _, n := range names {
		if word != "" && len(n) >= len(word) && strings.EqualFold(n[:len(word)], word) {
			found = append(found, n)
		}
	}
	return found
}
