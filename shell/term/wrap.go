package term

import "strings"

// Wrapped breaks the lines of a text that are wider than the window at blanks. Continuations are
// indented to the second column if the line has two, as lists of words with their help have, else
// to the line's beginning, after the mark of a list. A word that is too wide for that place moves
// further left. One that is wider than the window, such as the choices of an argument (a|b|c), is
// broken after a bar, or left to the terminal if it has none.
func Wrapped(text string, width int) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line, end := strings.TrimSuffix(line, "\n"), line[len(strings.TrimSuffix(line, "\n")):]
		words := strings.TrimLeft(line, " ")
		indent := len(line) - len(words) + len(mark(words))
		if gap := strings.Index(words, "  "); gap >= 0 {
			second := strings.TrimLeft(words[gap:], " ")
			if at := len(line) - len(second); at <= width/2 {
				indent = at
			}
		}
		indent = min(indent, width/2)
		for lead := indent; columns(line) > width; {
			at := breakAt(line, lead, width)
			if at < 0 {
				break
			}
			b.WriteString(strings.TrimRight(line[:at], " ") + "\n")
			rest := strings.TrimLeft(line[at:], " ")
			word, _, _ := strings.Cut(rest, " ")
			lead = min(indent, max(0, width-columns(word)))
			line = strings.Repeat(" ", lead) + rest
		}
		b.WriteString(line + end)
	}
	return b.String()
}

// mark returns the beginning of a list item: "- " in a menu, "12. " among choices.
func mark(line string) string {
	if strings.HasPrefix(line, "- ") {
		return "- "
	}
	if behind, is := strings.CutPrefix(strings.TrimLeft(line, "0123456789"), ". "); is &&
		!strings.HasPrefix(line, ".") {
		return line[:len(line)-len(behind)]
	}
	return ""
}

// breakAt returns where to break a line that does not fit the width, after the first stay bytes: at
// the last blank where it fits, else after the last bar, else before the second column, else at the
// first blank; -1 if there is none.
func breakAt(line string, stay, width int) int {
	blank, bar, gap, column := -1, -1, -1, 0
	for i, r := range line {
		if column > width && max(blank, bar, gap) >= 0 {
			break
		}
		switch {
		case r == ' ' && i > stay:
			blank = i
		case r == ' ' && strings.TrimLeft(line[:i], " ") != "":
			gap = i
		case r == '|' && i > stay && column < width:
			bar = i + 1
		}
		column += widths.RuneWidth(r)
	}
	switch {
	case blank >= 0:
		return blank
	case bar >= 0:
		return bar
	}
	return gap
}
