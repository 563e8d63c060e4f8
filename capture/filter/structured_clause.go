package filter

import "strings"

// clause is part of an expression, and how its parts are joined.
type clause struct {
	text   string
	joined string // "and", "or", or empty for a part that needs no parentheses
}

func (c clause) group() string {
	if c.joined == "" {
		return c.text
	}
	return "(" + c.text + ")"
}

func join(word string, parts []clause) clause {
	var texts []string
	var only clause
	for _, c := range parts {
		if c.text == "" {
			continue
		}
		only = c
		texts = append(texts, c.group())
	}
	if len(texts) <= 1 {
		return only
	}
	return clause{strings.Join(texts, " "+word+" "), word}
}

// anyOf and allOf pass over empty clauses. And and or have the same precedence in
// the language, so a joined clause inside another is always in parentheses.
func anyOf(parts ...clause) clause { return join("or", parts) }
func allOf(parts ...clause) clause { return join("and", parts) }

func noneOf(c clause) clause {
	if c.text == "" {
		return c
	}
	return clause{text: "not " + c.group()}
}

// written writes a primitive from its words, without those that are empty.
func written(words ...string) clause {
	var set []string
	for _, w := range words {
		if w != "" {
			set = append(set, w)
		}
	}
	return clause{text: strings.Join(set, " ")}
}

// oneOrMore writes values for a primitive that takes several in parentheses.
func oneOrMore(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	return "(" + strings.Join(values, " or ") + ")"
}
