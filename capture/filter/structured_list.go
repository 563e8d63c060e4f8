package filter

import "strings"

// item is one entry of a list: a single value, or the ends of a range.
type item struct {
	text      string
	low, high string
	excluded  bool
}

// splitList takes a field apart. A range is an entry with one hyphen; hardware
// addresses, which may have five, are not.
func splitList(value string) []item {
	value = strings.TrimSpace(value)
	excluded := false
	if rest, ok := strings.CutPrefix(value, "!("); ok && strings.HasSuffix(rest, ")") {
		value, excluded = rest[:len(rest)-1], true
	} else if rest, ok := strings.CutPrefix(value, "("); ok && strings.HasSuffix(rest, ")") {
		value = rest[:len(rest)-1]
	}
	var items []item
	for text := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ';' || r == ',' }) {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		i := item{excluded: excluded}
		if rest, ok := strings.CutPrefix(text, "!"); ok {
			text, i.excluded = strings.TrimSpace(rest), !excluded
		}
		i.text, i.low, i.high = text, text, text
		if low, high, ok := strings.Cut(text, "-"); ok && !strings.Contains(high, "-") {
			i.low, i.high = strings.TrimSpace(low), strings.TrimSpace(high)
		}
		items = append(items, i)
	}
	return items
}

// eachItem hands out the entries of a field; an empty field has none.
func eachItem(name, value string, use func(item) *FieldError) *FieldError {
	if value == "" {
		return nil
	}
	items := splitList(value)
	if len(items) == 0 {
		return &FieldError{Field: name, Value: value, Message: "there is no value in it"}
	}
	for _, i := range items {
		if err := use(i); err != nil {
			err.Field, err.Value = name, i.text
			return err
		}
	}
	return nil
}

// listClause makes the clause of a field from the clauses of its entries. carrier
// matches the packets that have the field, if not all packets have it.
func listClause(name, value string, carrier clause, entry func(item) (clause, *FieldError)) (clause, *FieldError) {
	var wanted, excluded []clause
	err := eachItem(name, value, func(i item) *FieldError {
		c, err := entry(i)
		if i.excluded {
			excluded = append(excluded, c)
		} else {
			wanted = append(wanted, c)
		}
		return err
	})
	if err != nil || value == "" {
		return clause{}, err
	}
	if len(wanted) == 0 {
		wanted = []clause{carrier}
	}
	return allOf(anyOf(wanted...), noneOf(anyOf(excluded...))), nil
}
