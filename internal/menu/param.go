package menu

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"diagsh/internal/menu/value"
)

// A Param is one argument of a command, read from a field of its argument struct:
//
//	Name   string        `arg:"name,positional:1,required" ask:"Name of the capture" help:"…"`
//	Size   menu.Size     `arg:"size" unit:"MB" default:"200MB"`
//	Wanted *bool         `arg:"dropped"`      a pointer stays nil when the argument is not given
//	Format string        `arg:"format" choices:"pcap|pcapng"`
//	Count  int           `arg:"packets" min:"1" max:"1000000"`
//
// A value needs no keyword if it is positional. The options are positional:1 for the main value,
// and positional:2 and so on for those after it, in the order of the fields and of the questions.
// positional:0? is for a value before the main one that can be nothing else: y or n of a yes or no,
// a choice or its number. The option stdin lets a line without this value and without the main one
// take it from standard input.
//
// The tag flag names other forms, separated by blanks: "-c" takes the next word (a yes or no takes
// none), and "-I=icmp" means the value after the sign. A single character such as "@", or a form
// that ends with a sign such as "+time=", begins the word that has the value.
//
// A tag without a name takes that of the field's JSON member, in lower case. The tag alias has
// former names of the argument, separated by blanks, which lines may still use. "size=MB" gives a
// bare number under that name a unit.
//
// The option zero lets the value also be 0, which the bounds do not allow, for not set. Where the
// value may be unlimited, a line has that word and only JSON has 0. The options size and seconds
// make an int64 a Size in bytes or a duration in whole seconds.
//
// The option unlimited lets a number, size or duration also be the word unlimited. The option after
// lets a time.Time also be a duration from now, within the bounds in seconds; its zero value is
// unlimited. The option stream says that the command, given this argument, yields a Stream whatever
// its Shape is otherwise; the option one, that a Table yields its one record as an Object. The option alone says that an interactive command, given this argument,
// takes no lines while it runs.
//
// The option bound is for a text or a list that bounds what is done, where leaving it out means no
// bound. A line or a request that gives it gives no empty one: a script whose variable is empty would
// get all. So it is for every other value that is no free text, except words of a field with a JSON name:
// in a record they may be empty for none.
//
// The option headers is for Packets of which the command shows a caller who may see headers only
// nothing but headers: such a caller may run it too.
//
// Types: string, int, int64, bool, time.Duration, time.Time, []string and []int (comma lists),
// Size, Secret, SecretText, Text, Packets, Confirm, lists of structs that are Records, and pointers
// to them. An embedded struct adds its own
// parameters in its place, and so does a field that is a struct and has a JSON name: JSON may give
// those as an object of that name.
//
// The tag label is what a form calls the argument; without it, the name of the JSON member in words.
// The tag group is first, more or expert: a form shows the first ones, and folds the others. Without
// it, an argument that is required, positional or asked for is first, and every other one is more.
//
// A field of type []string with the tag arg:"*" is given the names of the arguments that were
// given.
type Param struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Main     bool     `json:"main,omitempty"`     // may be given without its keyword
	Next     bool     `json:"next,omitempty"`     // may follow the main one without its keyword
	Before   bool     `json:"before,omitempty"`   // may precede the main one without its keyword
	Input    bool     `json:"input,omitempty"`    // a line takes it from standard input
	Flags    []string `json:"flags,omitempty"`    // other forms of keyword or of keyword and value
	Aliases  []Alias  `json:"aliases,omitempty"`  // other names of the argument
	Required bool     `json:"required,omitempty"` // required in the one-line form and the API
	Ask      string   `json:"question,omitempty"` // a dialogue's question; empty: a dialogue does not ask
	Label    string   `json:"label"`              // what a form calls it
	Group    string   `json:"group"`              // where a form has it: first, more or expert
	Member   string   `json:"member,omitempty"`   // its name in a record, if that is written otherwise
	Object   string   `json:"object,omitempty"`   // the object of a record that has it, if any
	Default  string   `json:"default,omitempty"`
	Choices  []string `json:"choices,omitempty"`
	Unit     string   `json:"unit,omitempty"` // unit of a bare number of a size or duration, such as MB or m
	Help     string   `json:"help"`
	Min      *int64   `json:"min,omitempty"`
	Max      *int64   `json:"max,omitempty"`
	Zero     bool     `json:"zero,omitempty"`      // also takes 0 for not set
	Limit    bool     `json:"unlimited,omitempty"` // also takes the word unlimited, which is -1
	After    bool     `json:"after,omitempty"`     // a time that may also be a duration from now
	Assisted bool     `json:"assisted,omitempty"`  // has a language of its own: Decl.CompleteValue completes it
	Stream   bool     `json:"stream,omitempty"`    // if given, the output is a stream
	One      bool     `json:"one,omitempty"`       // if given, the output is one record
	Alone    bool     `json:"alone,omitempty"`     // if given, no lines are taken while it runs
	Bound    bool     `json:"bound,omitempty"`     // if given in a line, it is not empty, and in JSON if it is of no record
	Headers  bool     `json:"headers,omitempty"`   // of these packets, the command can show the headers alone
	Fields   []Field  `json:"fields,omitempty"`    // of each of the records that the value is

	recorded bool // it has its name from a member of a record, where an empty word means none

	field   []int
	pointer bool
	typ     reflect.Type
	noted   []int  // index of the field that takes the names of the given arguments; nil if there is none
	askUnit string // unit of a bare number in the answer to its question
}

// NoArgs is the argument struct of a command without arguments.
type NoArgs struct{}

// Arguments are a command's arguments as text, by parameter name. Dialogue, line and API share the
// text form.
type Arguments map[string]string

var paramTypes = map[reflect.Type]string{
	reflect.TypeFor[string]():        "text",
	reflect.TypeFor[int]():           "number",
	reflect.TypeFor[int64]():         "number",
	reflect.TypeFor[bool]():          "yes/no",
	reflect.TypeFor[time.Duration](): "duration",
	reflect.TypeFor[time.Time]():     "time",
	reflect.TypeFor[[]string]():      "list",
	reflect.TypeFor[[]int]():         "list",
	reflect.TypeFor[Size]():          "size",
	reflect.TypeFor[Secret]():        "secret",
	reflect.TypeFor[SecretText]():    "secret lines",
	reflect.TypeFor[Text]():          "lines",
	reflect.TypeFor[Packets]():       "packets",
	reflect.TypeFor[Confirm]():       "confirm",
}

// params reads the parameters of an argument struct. A faulty declaration is a fault of the
// program, so it panics; the tests walk over the whole tree and find it.
func params(t reflect.Type) []Param {
	var list []Param
	given := []int(nil)
	walkParams(t, nil, "", func(f reflect.StructField, group string) {
		if f.Tag.Get("arg") == "*" {
			given = f.Index
			return
		}
		list = append(list, paramOf(f, group))
	})
	names := make(map[string]bool)
	for i := range list {
		list[i].noted = given
		for _, name := range list[i].names() {
			if names[name] {
				panic(fmt.Sprintf("menu: two parameters have the name %s", name))
			}
			names[name] = true
		}
	}
	return list
}

// walkParams calls do for each field with an argument, with its index from the outermost struct,
// also those of embedded structs and of groups.
func walkParams(t reflect.Type, index []int, group string, do func(f reflect.StructField, group string)) {
	for i := range t.NumField() {
		f := t.Field(i)
		f.Index = append(slices.Clone(index), i)
		_, argument := f.Tag.Lookup("arg")
		switch {
		case argument:
			do(f, group)
		case f.Type.Kind() != reflect.Struct:
		case f.Anonymous:
			walkParams(f.Type, f.Index, group, do)
		case f.Tag.Get("json") != "":
			walkParams(f.Type, f.Index, memberName(f), do)
		}
	}
}

// memberName returns the name of a field in JSON.
func memberName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

func paramOf(f reflect.StructField, group string) Param {
	name, options, _ := strings.Cut(f.Tag.Get("arg"), ",")
	if name == "" {
		name = strings.ToLower(memberName(f))
	}
	p := Param{
		Name: name, Ask: f.Tag.Get("ask"), Default: f.Tag.Get("default"), Unit: f.Tag.Get("unit"),
		Help:  f.Tag.Get("help"),
		Flags: strings.Fields(f.Tag.Get("flag")), Aliases: aliases(f.Tag.Get("alias")), field: f.Index, typ: f.Type,
		Object: group, Label: f.Tag.Get("label"), Group: f.Tag.Get("group"),
	}
	if member := memberName(f); member != name && strings.EqualFold(member, name) {
		p.Member = member
	}
	p.recorded = memberName(f) != ""
	if f.Type.Kind() == reflect.Pointer {
		p.pointer, p.typ = true, f.Type.Elem()
	}
	p.Type = paramTypes[p.typ]
	if p.areRecords() {
		p.Type, p.Fields = "records", fieldsOf(p.typ.Elem())
	}
	if p.Type == "" && p.typ.Kind() == reflect.String {
		p.Type = "text" // a word of a type of its own
	}
	for _, o := range strings.Split(options, ",") {
		p.option(o)
	}
	if p.Type == "" {
		panic(fmt.Sprintf("menu: parameter %s has type %s, which no argument can have", name, f.Type))
	}
	if c := f.Tag.Get("choices"); c != "" {
		p.Choices = strings.Split(c, "|")
	}
	p.Min, p.Max = bound(f, "min"), bound(f, "max")
	p.inForms()
	return p
}

// option reads an option of the tag arg.
func (p *Param) option(o string) {
	set, known := map[string]*bool{
		"positional:0?": &p.Before, "positional:1": &p.Main,
		"positional:2": &p.Next, "positional:3": &p.Next, "positional:4": &p.Next,
		"stdin": &p.Input, "required": &p.Required, "zero": &p.Zero, "unlimited": &p.Limit, "after": &p.After,
		"assisted": &p.Assisted, "stream": &p.Stream, "one": &p.One, "alone": &p.Alone, "bound": &p.Bound, "headers": &p.Headers,
	}[o]
	switch {
	case known:
		*set = true
	case o == "size":
		p.Type = "size"
	case o == "seconds":
		p.Type = "duration"
	case o != "":
		panic(fmt.Sprintf("menu: parameter %s has the unknown option %q", p.Name, o))
	}
}

func bound(f reflect.StructField, key string) *int64 {
	text := f.Tag.Get(key)
	if text == "" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("menu: field %s: %s is not a number", f.Name, key))
	}
	return &n
}

// Elements returns the type of the value in JSON, that of its elements for a list.
func (p *Param) Elements() reflect.Type {
	if p.typ.Kind() == reflect.Slice {
		return p.typ.Elem()
	}
	return p.typ
}

// set parses text into the parameter's field of the argument struct, and records that the argument
// is given.
func (p *Param) set(args reflect.Value, text string) error {
	if err := p.put(args, text); err != nil {
		return err
	}
	if p.noted != nil {
		names := args.FieldByIndex(p.noted)
		names.Set(reflect.Append(names, reflect.ValueOf(p.Name)))
	}
	return nil
}

// put parses text into the parameter's field.
func (p *Param) put(args reflect.Value, text string) error {
	field := args.FieldByIndex(p.field)
	value := reflect.New(p.typ).Elem()
	if err := p.parse(value, text); err != nil {
		switch p.Type {
		case "confirm", "yes/no":
			return BadArgument(p.Name, "%q is neither yes nor no", p.shown(text))
		case "records":
			return wrongRecords(p.Name, err)
		}
		return BadArgument(p.Name, "%s %q is not right", p.Name, p.shown(text)).WithHint("%s", Sentence(err.Error()))
	}
	if p.pointer {
		field.Set(value.Addr())
	} else {
		field.Set(value)
	}
	return nil
}

// text returns the value of a parameter that is a text, or "" if it is not given.
func (p *Param) text(args reflect.Value) string {
	field := args.FieldByIndex(p.field)
	if p.pointer {
		if field.IsNil() {
			return ""
		}
		field = field.Elem()
	}
	return field.String()
}

// shown returns the value as a message may repeat it.
func (p *Param) shown(text string) string {
	if strings.HasPrefix(p.Type, "secret") {
		return "******"
	}
	if len(text) > 200 {
		return text[:200] + "..."
	}
	return text
}

func (p *Param) parse(v reflect.Value, text string) error {
	if p.Limit && strings.EqualFold(text, "unlimited") {
		if v.CanInt() {
			v.SetInt(Unlimited)
		}
		return nil
	}
	switch p.Type {
	case "text", "secret", "secret lines", "lines", "packets":
		v.SetString(text)
	case "number":
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if err != nil || v.OverflowInt(n) || p.outside(n, 1) {
			return p.rangeError()
		}
		v.SetInt(n)
	case "yes/no", "confirm":
		b, err := value.ParseBool(text)
		if err != nil {
			return err
		}
		v.SetBool(b)
	case "duration":
		if strings.Trim(text, "0123456789.") == "" {
			text += p.Unit
		}
		d, err := ParseDuration(text)
		if err != nil {
			return err
		}
		if p.outside(int64(d), int64(time.Second)) {
			return p.rangeError()
		}
		if p.typ != durationType {
			d = (d + time.Second - 1) / time.Second
		}
		v.SetInt(int64(d))
	case "size":
		s, err := ParseSize(text, p.Unit)
		if err != nil {
			return err
		}
		if p.outside(int64(s), 1) {
			return p.rangeError()
		}
		v.SetInt(int64(s))
	case "time":
		t, err := p.parseTime(text)
		if err != nil {
			return err
		}
		v.Set(reflect.ValueOf(t))
	case "list":
		return p.parseList(v, text)
	case "records":
		return v.Addr().Interface().(Records).Set(text)
	}
	return nil
}

var durationType = reflect.TypeFor[time.Duration]()

func (p *Param) parseList(v reflect.Value, text string) error {
	parts := SplitList(text)
	if v.Type().Elem().Kind() == reflect.String {
		v.Set(reflect.ValueOf(parts))
		return nil
	}
	numbers := make([]int, len(parts))
	for i, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return errors.New("it is numbers from 0, separated by commas")
		}
		numbers[i] = n
	}
	v.Set(reflect.ValueOf(numbers))
	return nil
}

// outside reports whether a value is beyond the limits, which count in unit.
func (p *Param) outside(n, unit int64) bool {
	if n == 0 && p.Zero && !p.Limit {
		return false
	}
	return p.Min != nil && n < *p.Min*unit || p.Max != nil && n > *p.Max*unit
}

// parseTime parses RFC 3339, or a date with or without a time of day in UTC. If the parameter
// allows it, text may also be a duration from now.
func (p *Param) parseTime(text string) (time.Time, error) {
	t, wrong := value.ParseTime(text)
	if wrong == nil || !p.After {
		return t, wrong
	}
	d, err := ParseDuration(text)
	if err != nil {
		return t, fmt.Errorf("%w, and a duration from now such as 12h or 7d", wrong)
	}
	if p.outside(int64(d), int64(time.Second)) {
		return time.Time{}, p.rangeError()
	}
	return time.Now().Add(d).Truncate(time.Second), nil
}

// Range returns the limits of a value, such as "from 24 to 65507", or "".
func (p *Param) Range() string {
	form := func(n int64) string {
		switch p.Type {
		case "duration", "time":
			return FormatDuration(time.Duration(n) * time.Second)
		case "size":
			return Size(n).String()
		}
		return strconv.FormatInt(n, 10)
	}
	or := ""
	if p.Zero && !p.Limit {
		or = ", or 0"
	}
	switch {
	case p.Min != nil && p.Max != nil:
		return fmt.Sprintf("from %s to %s%s", form(*p.Min), form(*p.Max), or)
	case p.Min != nil:
		return "of at least " + form(*p.Min) + or
	case p.Max != nil:
		return "of at most " + form(*p.Max) + or
	}
	return ""
}

func (p *Param) rangeError() error {
	what := cmp.Or(map[string]string{"number": "a whole number", "time": "a time, or a duration from now"}[p.Type],
		"a "+p.Type)
	text := strings.TrimSpace("it is " + what + " " + p.Range())
	if p.Limit {
		text += ", or unlimited"
	}
	return errors.New(text)
}

// Sentence converts a phrase to the form of an Error's Message and Hint: with a capital letter and
// without a full stop.
func Sentence(s string) string {
	s = strings.TrimSuffix(strings.TrimSpace(s), ".")
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
