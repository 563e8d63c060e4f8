package schema

import (
	"encoding/json"
	"iter"
	"reflect"
	"slices"
	"strings"
)

// A field is a member of a struct in JSON.
type field struct {
	Type    reflect.Type
	member  string
	omitted bool // if it is empty
	text    bool // a number in quotes
}

// fields returns the members that encoding/json writes of a struct, those of embedded structs first.
func fields(t reflect.Type) iter.Seq[field] {
	return func(yield func(field) bool) {
		for i := range t.NumField() {
			f := t.Field(i)
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			embedded := f.Type
			if embedded.Kind() == reflect.Pointer {
				embedded = embedded.Elem()
			}
			switch {
			case f.Tag.Get("json") == "-":
				continue
			case f.Anonymous && name == "" && embedded.Kind() == reflect.Struct:
				for inner := range fields(embedded) {
					inner.omitted = inner.omitted || f.Type.Kind() == reflect.Pointer // which may be nil
					if !yield(inner) {
						return
					}
				}
				continue
			case !f.IsExported():
				continue
			case name == "":
				name = f.Name
			}
			one := field{Type: f.Type, member: name}
			for option := range strings.SplitSeq(options, ",") {
				one.omitted = one.omitted || option == "omitempty" || option == "omitzero"
				one.text = one.text || option == "string"
			}
			if !yield(one) {
				return
			}
		}
	}
}

// Outline returns the members of a record with their types, for GET /v1/tree: the types are string,
// integer, number, boolean, date-time and any; a list has one element, an object its members, and what
// is named in map has any names.
func Outline(t reflect.Type) any { return outline(t, nil) }

func outline(t reflect.Type, above []reflect.Type) any {
	if t == nil {
		return nil
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if s := special(t); s != nil {
		return nameOf(s)
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		return []any{outline(t.Elem(), above)}
	case reflect.Map:
		return map[string]any{"map": outline(t.Elem(), above)}
	case reflect.Struct:
		if slices.Contains(above, t) {
			return "any" // a record in itself
		}
		above = append(above[:len(above):len(above)], t)
		object := outlined{}
		for f := range fields(t) {
			object = append(object, outlinedMember{f.member, outline(f.Type, above)})
		}
		return object
	}
	var c Components
	return nameOf(c.Of(t))
}

func nameOf(s *Schema) string {
	if s.Format == "date-time" {
		return s.Format
	}
	switch kind := s.Type.(type) {
	case string:
		return kind
	case []string:
		return kind[0]
	}
	return "any"
}

// An outlined is an object that keeps the order of its members.
type outlined []outlinedMember

type outlinedMember struct {
	name string
	of   any
}

// MarshalJSON implements json.Marshaler.
func (o outlined) MarshalJSON() ([]byte, error) {
	text := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			text = append(text, ',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.of)
		if err != nil {
			return nil, err
		}
		text = append(append(append(text, name...), ':'), value...)
	}
	return append(text, '}'), nil
}
