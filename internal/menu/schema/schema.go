// Package schema says of a Go type what it is in JSON: as JSON Schema for OpenAPI, and in outline for
// people and forms.
package schema

import (
	"cmp"
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Schema is a JSON Schema (draft 2020-12), as far as OpenAPI 3.1 needs it here.
type Schema struct {
	Ref                  string     `json:"$ref,omitempty"`
	Type                 any        `json:"type,omitempty"` // a string, or a list of them
	Format               string     `json:"format,omitempty"`
	Description          string     `json:"description,omitempty"`
	Enum                 []string   `json:"enum,omitempty"`
	Const                string     `json:"const,omitempty"`
	Default              any        `json:"default,omitempty"`
	Minimum              *int64     `json:"minimum,omitempty"`
	Maximum              *int64     `json:"maximum,omitempty"`
	Items                *Schema    `json:"items,omitempty"`
	OneOf                []*Schema  `json:"oneOf,omitempty"`
	Properties           Properties `json:"properties,omitempty"`
	Required             []string   `json:"required,omitempty"`
	AdditionalProperties any        `json:"additionalProperties,omitempty"` // false, or a Schema
	WriteOnly            bool       `json:"writeOnly,omitempty"`
	Unit                 string     `json:"x-unit,omitempty"`
	Label                string     `json:"x-label,omitempty"`
	Group                string     `json:"x-group,omitempty"`
}

// A Property is a member of an object.
type Property struct {
	Name   string
	Schema *Schema
}

// Properties are the members of an object in their order.
type Properties []Property

// MarshalJSON implements json.Marshaler.
func (p Properties) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	b.WriteByte('{')
	for i, one := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(one.Name)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(one.Schema)
		if err != nil {
			return nil, err
		}
		b.Write(append(append(name, ':'), text...))
	}
	b.WriteByte('}')
	return []byte(b.String()), nil
}

// Components are the schemas of structs, by name. The zero value is empty and ready.
type Components struct {
	names  map[reflect.Type]string
	taken  map[string]bool
	Result Properties
}

// global are names of types that languages have already: a generated client could not use its own.
var global = []string{"array", "blob", "date", "error", "event", "file", "function", "headers", "map", "node", "number",
	"object", "promise", "record", "request", "response", "set", "string", "symbol", "text", "window"}

// refPrefix is where OpenAPI has components.
const refPrefix = "#/components/schemas/"

// Of returns the schema of a type. Structs become components, and are referred to.
func (c *Components) Of(t reflect.Type) *Schema {
	if s := special(t); s != nil {
		return s
	}
	switch t.Kind() {
	case reflect.Pointer:
		return nullable(c.Of(t.Elem()))
	case reflect.Bool:
		return &Schema{Type: "boolean"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return &Schema{Type: "integer", Format: "int64"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return &Schema{Type: "integer", Minimum: new(int64)}
	case reflect.Float32, reflect.Float64:
		return &Schema{Type: "number", Format: "double"}
	case reflect.String:
		return &Schema{Type: "string"}
	case reflect.Slice:
		return nullable(&Schema{Type: "array", Items: c.Of(t.Elem())})
	case reflect.Array:
		return &Schema{Type: "array", Items: c.Of(t.Elem())}
	case reflect.Map:
		return nullable(&Schema{Type: "object", AdditionalProperties: c.Of(t.Elem())})
	case reflect.Struct:
		if t.Name() == "" {
			object := &Schema{Type: "object"}
			c.members(t, object)
			return object
		}
		return &Schema{Ref: refPrefix + c.component(t, "")}
	}
	return &Schema{} // an interface: anything
}

// special returns the schema of a type that JSON writes otherwise than its kind says, or nil.
func special(t reflect.Type) *Schema {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return &Schema{Type: "string", Format: "date-time"}
	case t == reflect.TypeFor[json.RawMessage](), t == reflect.TypeFor[any]():
		return &Schema{}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return nullable(&Schema{Type: "string", Format: "byte"})
	case t.Kind() == reflect.Interface || t.Kind() == reflect.Pointer:
		return nil
	case t.Implements(reflect.TypeFor[json.Marshaler]()):
		return ofText(t)
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return &Schema{Type: "string"}
	}
	return nil
}

// ofText returns the schema of what a type's own method writes for its zero value.
func ofText(t reflect.Type) *Schema {
	text, err := json.Marshal(reflect.Zero(t).Interface())
	if err != nil || len(text) == 0 {
		return &Schema{}
	}
	switch text[0] {
	case '"':
		return &Schema{Type: "string"}
	case '[':
		return &Schema{Type: "array", Items: &Schema{}}
	case '{':
		return &Schema{Type: "object"}
	case 't', 'f':
		return &Schema{Type: "boolean"}
	case 'n':
		return &Schema{}
	}
	return &Schema{Type: "number"}
}

// nullable returns a schema that also allows null.
func nullable(s *Schema) *Schema {
	if text, ok := s.Type.(string); ok {
		s.Type = []string{text, "null"}
		return s
	}
	if s.Ref != "" {
		return &Schema{OneOf: []*Schema{s, {Type: "null"}}}
	}
	return s
}

// Named gives the component of a struct a name of its own.
func (c *Components) Named(t reflect.Type, name string) *Schema {
	return &Schema{Ref: refPrefix + c.component(t, name)}
}

// component returns the name of a struct's component, which it adds if it is new.
func (c *Components) component(t reflect.Type, want string) string {
	if name, known := c.names[t]; known {
		return name
	}
	if c.names == nil {
		c.names, c.taken = map[reflect.Type]string{}, map[string]bool{}
	}
	name := c.nameFor(t, want)
	c.names[t], c.taken[strings.ToLower(name)] = name, true
	c.Result = append(c.Result, Property{Name: name, Schema: &Schema{}})
	at := len(c.Result) - 1
	object := &Schema{Type: "object"}
	c.members(t, object)
	c.Result[at].Schema = object
	return name
}

// nameFor returns a name for a struct that no other component and no language has.
func (c *Components) nameFor(t reflect.Type, want string) string {
	name := cmp.Or(want, t.Name())
	if i := strings.IndexByte(name, '['); i >= 0 {
		name = name[:i]
	}
	name = upperFirst(name)
	folder := t.PkgPath()[strings.LastIndexByte(t.PkgPath(), '/')+1:]
	if slices.Contains(global, strings.ToLower(name)) || c.taken[strings.ToLower(name)] {
		name = upperFirst(folder) + name
	}
	for base, n := name, 2; c.taken[strings.ToLower(name)]; n++ {
		name = base + strconv.Itoa(n)
	}
	return name
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// members adds the members of a struct to the schema of an object, as encoding/json writes them.
func (c *Components) members(t reflect.Type, object *Schema) {
	for f := range fields(t) {
		s := c.Of(f.Type)
		if f.text {
			s = &Schema{Type: "string"}
		}
		if f.omitted && s.Type != nil {
			if list, ok := s.Type.([]string); ok {
				s.Type = list[0] // null is left out
			}
		} else if f.omitted && len(s.OneOf) == 2 && s.OneOf[1].Type == "null" {
			s = s.OneOf[0]
		}
		if i := slices.IndexFunc(object.Properties, func(p Property) bool { return p.Name == f.member }); i >= 0 {
			object.Properties[i].Schema = s // of an outer struct, which wins
			continue
		}
		object.Properties = append(object.Properties, Property{Name: f.member, Schema: s})
		if !f.omitted {
			object.Required = append(object.Required, f.member)
		}
	}
}
