package clean

import (
	"bytes"
	"fmt"
	"reflect"
)

// Every text form of every command passes this file on its way to a screen or a pipe (menu.Out),
// and so do failures (problem.Errorf, BadArgument, WithHint).

// Text is a text of several lines, ended in a dialogue by a line with a single full stop.
type Text string

// Bytes is Line for a text of several lines. It keeps line feeds and tabs, and converts the
// line ends of network protocols.
func Bytes(text []byte) []byte {
	if bytes.IndexFunc(text,
		func(r rune) bool { return r != '\n' && r != '\t' && (r < ' ' || r >= 0x7f) && harmful(r) }) < 0 {
		return text
	}
	var b bytes.Buffer
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	for rest := text; len(rest) > 0; {
		n := bytes.IndexAny(rest, "\n\t")
		if n < 0 {
			b.WriteString(Line(string(rest)))
			break
		}
		b.WriteString(Line(string(rest[:n])))
		b.WriteByte(rest[n])
		rest = rest[n+1:]
	}
	return b.Bytes()
}

// Lines is Line for a text of several lines. It keeps line feeds and tabs, and converts the
// line ends of network protocols.
func Lines(text string) string { return string(Bytes([]byte(text))) }

// ascii reports printable ASCII, as most texts are, which needs no change.
func ascii(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// Value returns v with every text in it as Line makes it: in exported fields, in lists, maps and
// through pointers. A Text keeps its lines. It does not change v itself, and returns it if nothing
// needs to change.
func Value[T any](v T) T {
	value := reflect.ValueOf(&v).Elem()
	if !dirty(value) {
		return v
	}
	copied := reflect.New(value.Type()).Elem()
	cleanInto(copied, value)
	return copied.Interface().(T)
}

// textType is the type of texts that keep their lines.
var textType = reflect.TypeFor[Text]()

// cleanText returns a text of such a type as it is shown.
func cleanText(t reflect.Type, s string) string {
	if t == textType {
		return Lines(s)
	}
	return Line(s)
}

// dirty reports whether Value changes anything.
func dirty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		s := v.String()
		return !ascii(s) && cleanText(v.Type(), s) != s
	case reflect.Pointer, reflect.Interface:
		return !v.IsNil() && dirty(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanInterface() && dirty(f) { // only an exported field can
				return true
			}
		}
	case reflect.Slice, reflect.Array:
		if !holdsText(v.Type().Elem()) {
			return false
		}
		for i := range v.Len() {
			if dirty(v.Index(i)) {
				return true
			}
		}
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			if dirty(entries.Key()) || dirty(entries.Value()) {
				return true
			}
		}
	}
	return false
}

// holdsText reports whether a type of list members can contain texts.
func holdsText(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Pointer, reflect.Interface, reflect.Struct, reflect.Slice, reflect.Array, reflect.Map:
		return true
	}
	return false
}

// cleanInto makes to, which can be set, a clean copy of from.
func cleanInto(to, from reflect.Value) {
	to.Set(from)
	switch from.Kind() {
	case reflect.String:
		to.SetString(cleanText(from.Type(), from.String()))
	case reflect.Pointer:
		if !from.IsNil() {
			to.Set(reflect.New(from.Type().Elem()))
			cleanInto(to.Elem(), from.Elem())
		}
	case reflect.Interface:
		if !from.IsNil() {
			copied := reflect.New(from.Elem().Type()).Elem()
			cleanInto(copied, from.Elem())
			to.Set(copied)
		}
	case reflect.Struct:
		for i := range from.NumField() {
			if f := from.Field(i); f.CanInterface() {
				cleanInto(to.Field(i), f)
			}
		}
	case reflect.Slice:
		if !from.IsNil() && holdsText(from.Type().Elem()) {
			to.Set(reflect.MakeSlice(from.Type(), from.Len(), from.Len()))
			for i := range from.Len() {
				cleanInto(to.Index(i), from.Index(i))
			}
		}
	case reflect.Array:
		for i := range from.Len() {
			cleanInto(to.Index(i), from.Index(i))
		}
	case reflect.Map:
		if from.IsNil() {
			return
		}
		to.Set(reflect.MakeMapWithSize(from.Type(), from.Len()))
		for entries := from.MapRange(); entries.Next(); {
			key, value := reflect.New(from.Type().Key()).Elem(), reflect.New(from.Type().Elem()).Elem()
			cleanInto(key, entries.Key())
			cleanInto(value, entries.Value())
			to.SetMapIndex(key, value)
		}
	}
}

// Sprintf is fmt.Sprintf with the texts among its arguments as Line makes them. A Text keeps its
// lines. What is quoted by the verb q is clean by that.
func Sprintf(format string, args ...any) string {
	verbs := verbsOf(format)
	clean := make([]any, len(args))
	for i, arg := range args {
		clean[i] = arg
		if arg == nil || i < len(verbs) && verbs[i] == 'q' {
			continue
		}
		switch value := reflect.ValueOf(arg); {
		case value.Kind() == reflect.String:
			if s := value.String(); cleanText(value.Type(), s) != s {
				clean[i] = cleanText(value.Type(), s)
			}
		case value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.String:
			clean[i] = Value(arg)
		default:
			if err, ok := arg.(error); ok && Line(err.Error()) != err.Error() {
				clean[i] = Line(err.Error())
			}
		}
	}
	return string(Bytes(fmt.Appendf(nil, format, clean...)))
}

// verbsOf returns the verbs of a format in the order of its arguments. A star has an argument too.
func verbsOf(format string) (verbs []byte) {
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		for i++; i < len(format); i++ {
			c := format[i]
			if c == '*' {
				verbs = append(verbs, c)
			}
			if c == '%' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
				if c != '%' {
					verbs = append(verbs, c)
				}
				break
			}
		}
	}
	return verbs
}
