package tuples

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// A List is filters of which one is enough. As a text it is a line:
//
//	tcp remoteaddress 192.0.2.3 remoteport 80;443 or udp
//
// Each filter is a protocol, if it has one, then names of fields with their values. The word any
// stands for a value that may be any. The text may also be the JSON of the list.
type List []Filter

// A member is a field of a Filter with its names.
type member struct {
	name string // in JSON; in a line it is in lower case
	of   func(*Filter) *string
}

var members = []member{
	{protocol, func(f *Filter) *string { return &f.Protocol }},
	{localAddress, func(f *Filter) *string { return &f.LocalAddress }},
	{localPort, func(f *Filter) *string { return &f.LocalPort }},
	{remoteAddress, func(f *Filter) *string { return &f.RemoteAddress }},
	{remotePort, func(f *Filter) *string { return &f.RemotePort }},
}

// Members returns the names of the fields in JSON, in the order of a line.
func Members() (names []string) {
	for _, m := range members {
		names = append(names, m.name)
	}
	return names
}

// find returns the field of a name, in any case.
func find(name string) (member, bool) {
	for _, m := range members {
		if strings.EqualFold(m.name, name) {
			return m, true
		}
	}
	return member{}, false
}

// String returns the list as a line.
func (l List) String() string {
	filters := make([]string, len(l))
	for i, f := range l {
		filters[i] = f.String()
	}
	return strings.Join(filters, " "+or+" ")
}

const (
	or       = "or"
	anything = "any"
)

// String returns the filter as a part of a line.
func (f Filter) String() string {
	var words []string
	for _, m := range members {
		switch value := strings.Join(strings.Fields(*m.of(&f)), ""); {
		case value == "":
		case m.name == protocol:
			words = append(words, value)
		default:
			words = append(words, strings.ToLower(m.name), value)
		}
	}
	if len(words) == 0 {
		return anything
	}
	return strings.Join(words, " ")
}

// Set reads a line, or JSON. The word CLEAR is no filter. What the fields say is checked, too: the
// error is an *Error if it is about one of the filters. Filters that no packet can match are refused
// if there are no others beside them.
func (l *List) Set(text string) error {
	var list List
	var err error
	switch trimmed := strings.TrimSpace(text); {
	case text == "", strings.EqualFold(trimmed, "CLEAR"):
	case trimmed == "":
		return errBlank
	case trimmed[0] == '[', trimmed[0] == '{':
		list, err = fromJSON(trimmed)
	default:
		list, err = fromLine(trimmed)
	}
	if err != nil {
		return err
	}
	set, err := Parse(list)
	if err != nil {
		return err
	}
	if n := len(set.impossible); n > 0 && n == len(list) {
		return set.impossible[0]
	}
	if err := list.mapped(); err != nil {
		return err
	}
	*l = list
	return nil
}

// mapped returns the refusal of an address of IPv4 in the form of IPv6. No packet has it so.
func (l List) mapped() error {
	for i, f := range l {
		for _, m := range members {
			for word := range strings.FieldsFuncSeq(*m.of(&f), func(r rune) bool { return strings.ContainsRune(" ;,!()-/", r) }) {
				if a, err := netip.ParseAddr(word); err == nil && a.Is4In6() {
					return &Error{Index: i, Member: m.name, Text: fmt.Sprintf("%q: packets of IPv4 have no such address", bounded(word)),
						Try: "Write " + a.Unmap().String()}
				}
			}
		}
	}
	return nil
}

// azureNames are names that Azure has for fields, by their own.
var azureNames = map[string]string{"localIPAddress": localAddress, "remoteIPAddress": remoteAddress}

// fromJSON reads an array of objects, whose members have the names of the fields or those of Azure.
func fromJSON(text string) (List, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	var all []json.RawMessage
	if err := decoder.Decode(&all); err != nil {
		return nil, errNoList
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errNoList
	}
	list := make(List, len(all))
	for i, one := range all {
		if err := list[i].fromJSON(i, one); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// fromJSON reads an object.
func (f *Filter) fromJSON(index int, text json.RawMessage) error {
	if string(text) == "null" {
		return &Error{Index: index, Text: "it is null; {} is a filter that every packet matches"}
	}
	var object map[string]any
	if json.Unmarshal(text, &object) != nil {
		return &Error{Index: index, Text: "it is no object", Try: `Write such as {"protocol":"TCP","remotePort":"443"}`}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		m, known := find(name)
		for theirs, ours := range azureNames {
			if strings.EqualFold(theirs, name) {
				m, known = find(ours)
			}
		}
		value, isText := object[name].(string)
		switch {
		case !known:
			return &Error{Index: index, Text: fmt.Sprintf("there is no %q in a filter", bounded(name)),
				Try: "It may have " + strings.Join(Members(), ", ")}
		case !isText:
			return &Error{Index: index, Member: m.name, Text: "it is no text", Try: `Put the value in quotes, such as "443"; leave it out for any`}
		case value != "" && *m.of(f) != "":
			return &Error{Index: index, Member: m.name, Text: "it is given twice"}
		case value != "":
			*m.of(f) = value
		}
	}
	return nil
}

// A listError says what a text must be that is no list of filters.
type listError struct{ text string }

func (e *listError) Error() string { return e.text }

var errNoList = &listError{`In JSON filters are an array of objects with text, such as [{"protocol":"TCP","remotePort":"443"},{"protocol":"UDP"}]`}

var errBlank = &listError{"There is nothing but blanks in filters; CLEAR is no filter"}

// fromLine reads the form of a line.
func fromLine(line string) (List, error) {
	words := wordsOf(line)
	var list List
	for {
		f, rest, err := one(len(list), words)
		if err != nil {
			return nil, err
		}
		list = append(list, f)
		if len(rest) == 0 {
			return list, nil
		}
		words = rest[1:] // after the word or
	}
}

// one reads a filter, up to the word or.
func one(index int, words []string) (f Filter, rest []string, err error) {
	first := true
	seen := make(map[string]bool)
	for ; len(words) > 0 && !strings.EqualFold(words[0], or); first = false {
		m, known := find(words[0])
		value := ""
		switch {
		case known && len(words) == 1, known && strings.EqualFold(words[1], or):
			return f, nil, &Error{Index: index, Member: m.name, Text: "the value is missing"}
		case known:
			value, words = words[1], words[2:]
		case first:
			m = members[0]
			value, words = words[0], words[1:]
		default:
			return f, nil, &Error{Index: index, Text: fmt.Sprintf("%q is not understood here", bounded(words[0])), Try: instead(words[0])}
		}
		if seen[m.name] {
			return f, nil, &Error{Index: index, Member: m.name, Text: "it is given twice"}
		}
		seen[m.name] = true
		if !strings.EqualFold(value, anything) {
			*m.of(&f) = value
		}
	}
	if first {
		return f, nil, &Error{Index: index, Text: "the filter is missing; any is one that every packet matches"}
	}
	return f, words, nil
}

// instead says what to write in the place of a word that stands where the name of a field must.
func instead(word string) string {
	name, value, assigned := strings.Cut(strings.ToLower(word), "=")
	var near []string
	for _, m := range members[1:] {
		if field := strings.ToLower(m.name); len(name) >= 4 && strings.Contains(field, name) {
			near = append(near, field)
		}
	}
	switch {
	case len(near) == 1 && assigned && value != "":
		return "Write " + near[0] + " " + bounded(value)
	case len(near) > 0:
		return "Did you mean " + strings.Join(near, " or ") + "?"
	case slices.Contains([]string{"and", "not", "src", "dst", "host", "net"}, name):
		return "The argument filter takes expressions as tcpdump has them; here it is such as tcp remoteaddress 192.0.2.3 remoteport 443"
	}
	return "After the protocol write " + strings.ToLower(strings.Join(Members()[1:], ", ")) +
		", each with its value, and the word or before the next filter"
}

// wordsOf returns the words of a line. Blanks beside the signs of lists and ranges are in no value.
func wordsOf(line string) (words []string) {
	for _, word := range strings.Fields(line) {
		last := len(words) - 1
		_, field := find(word)
		switch {
		case last < 0, field, strings.EqualFold(word, or):
		case strings.ContainsAny(words[last][len(words[last])-1:], "-;,!("), strings.ContainsAny(word[:1], "-;,)"):
			words[last] += word
			continue
		}
		words = append(words, word)
	}
	return words
}

// Next returns the field, by its name in JSON, that the last filter of a line does not say yet: "" if it
// says all. What the line says is checked. It may end with the word or, or be empty.
func Next(line string) (member string, err error) {
	words := strings.Fields(line)
	last := words
	for i, word := range words {
		if strings.EqualFold(word, or) {
			last = words[i+1:]
		}
	}
	before := strings.Join(words[:len(words)-len(last)], " ")
	if len(last) == 0 {
		before = strings.TrimSuffix(before, or)
	}
	for _, part := range []string{before + " " + strings.Join(last, " "), strings.Join(last, " ")} {
		if err := new(List).Set(strings.TrimSpace(part)); err != nil {
			return "", err
		}
	}
	for _, m := range members {
		if !slices.ContainsFunc(last, func(word string) bool { return strings.EqualFold(word, m.name) }) {
			return m.name, nil
		}
	}
	return "", nil
}

// bounded returns the beginning of a word for a message.
func bounded(word string) string {
	const most = 40
	if len(word) <= most {
		return word
	}
	return strings.ToValidUTF8(word[:most], "") + "..."
}
