package term

import "strings"

// Wrapped breaks the lines of a text that are wider than the window at their blanks. What follows stands under the second column if the
// line has two, as lists of words with their help have, else under the line's beginning. A word that is too wide is left to the terminal.
func Wrapped(text string, width int) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line, end := strings.TrimSuffix(line, "\n"), line[len(strings.TrimSuffix(line, "\n")):]
		words := strings.TrimLeft(line, " ")
		indent := len(line) - len(words)
		if gap := strings.Index(words, "  "); gap >= 0 {
			second := strings.TrimLeft(words[gap:], " ")
			if at := len(line) - len(second); at <= width/2 {
				indent = at
			}
		}
		indent = min(indent, width/2)
		for columns(line) > width {
			blank := lastBlank(line, indent, width)
			if blank < 0 {
				break
			}
			b.WriteString(strings.TrimRight(line[:blank], " ") + "\n")
			line = strings.Repeat(" ", indent) + strings.TrimLeft(line[blank:], " ")
		}
		b.WriteString(line + end)
	}
	return b.String()
}

// lastBlank is the place of the last blank by which a line fits the width, behind the columns that stay; -1 if there is none.
func lastBlank(line string, behind, width int) int {
	last, column := -1, 0
	for i, r := range line {
		if column > width {
			break
		}
		if r == ' ' && i > behind {
			last = i
		}
		column += widths.RuneWidth(r)
	}
	return last
}
