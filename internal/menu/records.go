package menu

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"

	"diagsh/internal/menu/words"
)

// Records are an argument whose value is a list of structs with texts: filters of a capture. A
// pointer to the list implements it. In JSON the value is an array of objects. The tags of the
// structs' fields say what a form calls each (label) and what it is (help).
type Records interface {
	// Set reads the form of a line, or the JSON of the list. What its error says is for users. It
	// may have a method Hint, which returns what to do.
	Set(text string) error

	// String returns the form of a line.
	String() string
}

// A Field is a member of each of some Records.
type Field struct {
	Name  string `json:"name"` // in JSON
	Label string `json:"label"`
	Help  string `json:"help"`
}

// areRecords reports whether the type of the parameter is one of Records.
func (p *Param) areRecords() bool {
	return p.typ.Kind() == reflect.Slice && p.typ.Elem().Kind() == reflect.Struct &&
		reflect.PointerTo(p.typ).Implements(reflect.TypeFor[Records]())
}

func fieldsOf(t reflect.Type) (list []Field) {
	for i := range t.NumField() {
		f := t.Field(i)
		field := Field{Name: memberName(f), Label: f.Tag.Get("label"), Help: f.Tag.Get("help")}
		if field.Label == "" {
			field.Label = words.OfMember(field.Name)
		}
		list = append(list, field)
	}
	return list
}

// wrongRecords returns the error for a value that Records.Set refused.
func wrongRecords(name string, err error) *Error {
	e := BadArgument(name, "%s", strings.TrimSuffix(err.Error(), "."))
	if hinted, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		e.Hint = Sentence(hinted.Hint())
	}
	return e
}

// jsonRecords converts an array of objects to the text of the argument: its JSON.
func jsonRecords(p *Param, list []any) (string, *Error) {
	text, err := json.Marshal(list)
	if err != nil {
		return "", notJSON(p.Name, p.Name, list, p.inJSON())
	}
	return string(text), nil
}
