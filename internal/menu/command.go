package menu

import (
	"bytes"
	"context"
	"io"
	"reflect"
	"runtime"
	"slices"

	"diagsh/internal/menu/clean"
	"diagsh/internal/menu/schema"
	"diagsh/internal/menu/value"
)

// A Shape is the form of a command's JSON.
type Shape int

const (
	Table  Shape = iota // one array of records
	Object              // one object
	Stream              // one line per record, as they come
	Bytes               // no records: bytes for a program, such as a capture file as it grows
)

func (s Shape) String() string { return [...]string{"table", "object", "stream", "bytes"}[s] }

// A Decl declares a command. A is its argument struct (see Param), R the record that it yields.
type Decl[A, R any] struct {
	Name    string   // the keyword, lower case
	Aliases []string // other keywords for the same command; not listed
	Help    string   // one sentence for the menu, with its full stop
	Details string   // further sentences for help; may be empty
	// Terminal are those that hold at a terminal or in a pipe only, which a page does not show; may be empty.
	Terminal string
	Role     Role // the least role of the caller; empty: Administrator
	Shape    Shape
	Topic    string // of the events that tell callers who may run it that what it lists changed; may be empty
	Shows    bool   // it only shows how things are: it changes nothing

	// Interactive says that Run takes lines while it runs, see Out.Typing. An argument with the
	// option alone says everything beforehand.
	Interactive bool

	// Resources are the command as resources of the REST API. May be nil.
	Resources []Resource

	// Record is an example of a record if R is an interface: the reference names its members.
	Record any

	// Hidden reports that the command cannot work now, so that the menu does not list it. It can
	// still be typed, and Run says why not.
	Hidden func(ctx context.Context) bool
	// HiddenFrom is Hidden where it depends on the caller, as for changes that only they have made
	// so far.
	HiddenFrom func(ctx context.Context, caller Caller) bool
	// Ask fits one question to the current state and to the answers before it: default, choices,
	// whether to ask it at all. It is called for given arguments too, which must name one of its
	// choices whole, unless it is open.
	Ask func(ctx context.Context, caller Caller, args A, q *Question) error
	// Dialogue has the questions that a dialogue asks first, in this order, about arguments whose
	// declaration has no question: those of a struct that several commands embed.
	Dialogue []Asked
	// Suggest returns suggestions for one argument that is being completed or asked for; other
	// answers are valid too. begun is what was typed of it: only what begins so (ignoring case) is
	// offered, so with many suggestions the others may be left out. May be nil.
	Suggest func(ctx context.Context, caller Caller, args A, name, begun string) []Choice
	// Check checks the argument that was just set, before the next is asked.
	Check func(ctx context.Context, caller Caller, args A, name string) error
	// CompleteValue returns what may follow at the end of text, the beginning of the argument name. It is
	// for arguments with the option assisted, which have a language of their own. Start counts in
	// text.
	CompleteValue func(ctx context.Context, caller Caller, args A, name, text string) Completion
	// Run runs the command. It returns when ctx ends, which asks it for an early end; it may still
	// write its last output.
	Run func(ctx context.Context, caller Caller, args A, out *Out[R]) error

	// Text writes one record as the screen shows it. TextTable writes all of them at once, for
	// columns that fit their contents, and is also called without records. Exactly one of them is
	// set, and none if the shape is Bytes.
	Text      func(w io.Writer, r R)
	TextTable func(w io.Writer, rs []R)
}

// Asked is the question of a dialogue for one argument.
type Asked struct {
	Name string
	Text string
	Unit string // unit of a bare number in the answer
}

// A Command is a Decl without its types: what the tree holds.
type Command struct {
	Name, Help, Details, Terminal string
	Topic                         string // of the events that tell of what it lists; may be empty
	Shows                         bool   // it only shows how things are

	Aliases     []string // other keywords
	Role        Role
	Shape       Shape
	Params      []Param
	Members     []string     // of a record in JSON
	Record      reflect.Type // of a record; nil if the shape is Bytes
	Resources   []Resource
	Interactive bool // takes lines while it runs
	Hidden      func(ctx context.Context) bool
	File        string // the source file that declares it

	hidden  func(ctx context.Context, caller Caller) bool
	argType reflect.Type
	asks    bool // ask may change what is needed
	ask     func(ctx context.Context, caller Caller, args reflect.Value, q *Question) error
	suggest func(ctx context.Context, caller Caller, args reflect.Value, name, begun string) []Choice
	check   func(ctx context.Context, caller Caller, args reflect.Value, name string) error
	assist  func(ctx context.Context, caller Caller, args reflect.Value, name, text string) Completion
	run     func(ctx context.Context, caller Caller, args reflect.Value, shape Shape, sink Sink) error
}

// A Sink takes the output of a running command. Its methods are called from one goroutine at a
// time.
type Sink interface {
	// Form returns which of Text and Record the reader wants, or both.
	Form() Form
	// Text writes a piece of the text form, which is valid during the call.
	Text(b []byte) error
	// Record writes one record of the JSON form.
	Record(v any, shape Shape) error
	// Data writes a piece of the output of a command whose shape is Bytes, and sends it at once.
	Data(p []byte) error
	// Progress shows how far long work has got, or a table of several rows that the next call
	// replaces. Readers that are no terminal ignore it.
	Progress(s string)
	// View(true) says that the text from here to View(false) replaces the previous view. Readers
	// that are no terminal get one after the other.
	View(begins bool)
}

// A Form says which form of output is wanted.
type Form int

const (
	TextForm Form = iota
	JSONForm
	BothForms // of each record, so that both describe the same moment
)

// Out takes the records of a running command.
type Out[R any] struct {
	sink  Sink
	shape Shape
	text  func(io.Writer, R)
	piece page // one record's text
	rows  []R
	table bool
	err   error
}

// A page is what a text form is written to. It knows the columns of its terminal; 0 if there is
// none or they are unknown.
type page struct {
	bytes.Buffer
	columns int
}

// Columns returns how many columns the text has.
func (p *page) Columns() int {
	if p.columns == 0 {
		return DefaultColumns
	}
	return p.columns
}

// DefaultColumns is the width of a text form without a known terminal.
const DefaultColumns = 80

// Columns returns how many columns a text form written to w has; 0 is no limit.
func Columns(w io.Writer) int {
	if p, ok := w.(interface{ Columns() int }); ok {
		return p.Columns()
	}
	return DefaultColumns
}

// Record yields one record. An error means that the reader has gone; Run then returns it.
func (o *Out[R]) Record(r R) error {
	form := o.sink.Form()
	if form != TextForm && o.keep(o.sink.Record(r, o.shape)) != nil {
		return o.err
	}
	switch {
	case form == JSONForm:
		return o.err
	case o.table:
		o.rows = append(o.rows, Cleaned(r))
		return o.err
	}
	o.piece.Reset()
	o.text(&o.piece, Cleaned(r))
	return o.keep(o.sink.Text(clean.Bytes(o.piece.Bytes())))
}

// Records yields the records of a list, one after the other.
func (o *Out[R]) Records(list []R) error {
	for _, r := range list {
		if err := o.Record(r); err != nil {
			return err
		}
	}
	return nil
}

// Write writes bytes, if the command's shape is Bytes. They are sent at once.
func (o *Out[R]) Write(p []byte) (int, error) {
	if err := o.keep(o.sink.Data(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Printf writes words that are only in the text form: a hint, a summary. Texts among its arguments
// become one line, except a Text.
func (o *Out[R]) Printf(format string, args ...any) error {
	if o.sink.Form() == JSONForm {
		return o.err
	}
	return o.keep(o.sink.Text([]byte(clean.Sprintf(format, args...))))
}

// Progress shows how far the work has got, on a terminal only.
func (o *Out[R]) Progress(format string, args ...any) {
	o.sink.Progress(clean.Sprintf(format, args...))
}

// View writes, by what do writes, the current state of something that is shown again and again: a
// terminal replaces the previous view. If do fails, the view is not shown.
func (o *Out[R]) View(do func() error) error {
	if o.sink.Form() == JSONForm {
		return do()
	}
	o.sink.View(true)
	if err := do(); err != nil {
		return err
	}
	o.sink.View(false)
	return o.err
}

func (o *Out[R]) keep(err error) error {
	if o.err == nil {
		o.err = err
	}
	return o.err
}

// Command converts the Decl to a Command, without its types.
func (s Decl[A, R]) Command() *Command {
	if texts := (s.Text != nil) != (s.TextTable != nil); texts == (s.Shape == Bytes) {
		panic("menu: " + s.Name + ": one of Text and TextTable must be set, or the shape be Bytes")
	}
	c := &Command{Name: s.Name, Aliases: s.Aliases, Help: s.Help, Details: s.Details, Terminal: s.Terminal, Role: s.Role, Shape: s.Shape,
		Interactive: s.Interactive, Topic: s.Topic, Shows: s.Shows, argType: reflect.TypeFor[A]()}
	_, c.File, _, _ = runtime.Caller(1)
	c.Params = asked(params(c.argType), s.Dialogue)
	c.hidden = func(ctx context.Context, caller Caller) bool {
		return s.Hidden != nil && s.Hidden(ctx) || s.HiddenFrom != nil && s.HiddenFrom(ctx, caller)
	}
	if c.Record = reflect.TypeFor[R](); s.Record != nil {
		c.Record = reflect.TypeOf(s.Record)
	}
	c.Members = schema.Members(c.Record)
	if s.Shape == Bytes {
		c.Record = nil
	}
	c.Resources = c.checked(s.Resources)
	c.asks = s.Ask != nil
	c.ask = func(ctx context.Context, caller Caller, args reflect.Value, q *Question) error {
		if s.Ask == nil {
			return nil
		}
		words := q.values()
		defer func() { q.anyCase(words) }()
		return s.Ask(ctx, caller, args.Interface().(A), q)
	}
	c.suggest = func(ctx context.Context, caller Caller, args reflect.Value, name, begun string) []Choice {
		if s.Suggest == nil {
			return nil
		}
		return s.Suggest(ctx, caller, args.Interface().(A), name, begun)
	}
	if s.Check != nil {
		c.check = func(ctx context.Context, caller Caller, args reflect.Value, name string) error {
			return s.Check(ctx, caller, args.Interface().(A), name)
		}
	}
	if s.CompleteValue != nil {
		c.assist = func(ctx context.Context, caller Caller, args reflect.Value, name, text string) Completion {
			return s.CompleteValue(ctx, caller, args.Interface().(A), name, text)
		}
	}
	c.run = func(ctx context.Context, caller Caller, args reflect.Value, shape Shape, sink Sink) error {
		out := &Out[R]{sink: sink, shape: shape, text: s.Text, table: s.TextTable != nil,
			piece: page{columns: caller.Columns}}
		if err := s.Run(ctx, caller, args.Interface().(A), out); err != nil {
			return err
		}
		if out.table && sink.Form() != JSONForm {
			b := page{columns: caller.Columns}
			s.TextTable(&b, out.rows)
			return out.keep(sink.Text(clean.Bytes(b.Bytes())))
		}
		return out.err
	}
	return c
}

// asked sets the questions of a dialogue in their parameters, and puts these first.
func asked(all []Param, dialogue []Asked) (list []Param) {
	for _, a := range dialogue {
		i := slices.IndexFunc(all, func(p Param) bool { return p.Name == a.Name })
		if i < 0 {
			panic("menu: a dialogue asks for " + a.Name + ", which is no parameter")
		}
		all[i].Ask, all[i].askUnit = a.Text, a.Unit
		if all[i].Group == GroupMore {
			all[i].Group = GroupFirst
		}
		list = append(list, all[i])
		all = slices.Delete(all, i, i+1)
	}
	return append(list, all...)
}

// Next works through the given arguments and returns the next question, or nil when the command can
// run. An Error names the argument at fault; the dialogue asks for that one again.
func (c *Command) Next(ctx context.Context, caller Caller, given Arguments, mode Mode) (*Question, error) {
	_, q, err := c.work(ctx, caller, given, mode)
	return q, c.meaning(ctx, caller, given, err)
}

// Run checks the arguments and runs the command. It compares no roles: package api has done that.
// mayRead is package api's check for what an argument of type Packets names, once that is known;
// headers says that the command can show the headers of packets alone.
func (c *Command) Run(ctx context.Context, caller Caller, given Arguments,
	mayRead func(packets string, headers bool) error, sink Sink) error {
	return c.meaning(ctx, caller, given, c.checkAndRun(ctx, caller, given, mayRead, sink))
}

func (c *Command) checkAndRun(ctx context.Context, caller Caller, given Arguments,
	mayRead func(packets string, headers bool) error, sink Sink) error {
	// Who may not have the packets is told so first, and not what else is wrong.
	err := c.permit(mayRead, func(p *Param) string { return given[p.Name] })
	if err != nil {
		return err
	}
	args, _, err := c.work(ctx, caller, given, AskNothing)
	if err != nil {
		return err
	}
	for i := range c.Params {
		p := &c.Params[i]
		if text, ok := given[p.Name]; p.Type == "confirm" && ok {
			if yes, _ := value.ParseBool(text); !yes {
				return Errorf(Failed, "It was not confirmed, so nothing was changed")
			}
		}
	}
	if err := c.permit(mayRead, func(p *Param) string { return p.text(args) }); err != nil {
		return err
	}
	return c.run(ctx, caller, args, c.ShapeOf(given), sink)
}

// permit asks mayRead about what each argument of type Packets names.
func (c *Command) permit(mayRead func(packets string, headers bool) error, nameOf func(*Param) string) error {
	for i := range c.Params {
		p := &c.Params[i]
		if p.Type != "packets" {
			continue
		}
		if name := nameOf(p); name != "" {
			if err := mayRead(name, p.Headers); err != nil {
				return err
			}
		}
	}
	return nil
}

// ShapeOf returns the shape of the output with these arguments.
func (c *Command) ShapeOf(given Arguments) Shape {
	shape := c.Shape
	for name, text := range given {
		switch p := c.param(name); {
		case p == nil:
		case p.Stream:
			return Stream
		case p.One && text != "":
			shape = Object
		}
	}
	return shape
}
