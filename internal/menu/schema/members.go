package schema

import (
	"reflect"
	"strings"
)

// Members returns the names of a record's members in JSON, those of structs and lists inside it in
// braces: name, files{name, bytes}.
func Members(t reflect.Type) []string {
	if t.Kind() != reflect.Struct {
		return nil
	}
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			names = append(names, Members(element(f.Type))...)
			continue
		case !f.IsExported() || name == "-":
			continue
		case name == "":
			name = f.Name
		}
		if inner := Members(element(f.Type)); len(inner) > 0 {
			name += "{" + strings.Join(inner, ", ") + "}"
		}
		names = append(names, name)
	}
	return names
}

// element returns the type that a list or pointer holds.
func element(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Array {
		t = t.Elem()
	}
	return t
}
