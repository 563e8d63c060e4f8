package captures

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// columns is the largest width of a text, unless one of its words is wider.
const columns = 80

// fold writes a label, and a text that begins at the column at. A text that is too wide continues
// in the next line at the same column.
func fold(w io.Writer, label string, at int, format string, arguments ...any) {
	line := fmt.Sprintf("%-*s", at, label)
	begun := false
	breakable := func(r rune) bool { return r == ' ' || r == '\n' || r == '\t' }
	for _, word := range strings.FieldsFunc(fmt.Sprintf(format, arguments...), breakable) {
		switch {
		case !begun:
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > columns:
			fmt.Fprintln(w, broken(line))
			line = strings.Repeat(" ", at)
		default:
			line += " "
		}
		line, begun = line+word, true
	}
	fmt.Fprintln(w, broken(line))
}

// unbroken returns a text with blanks at which fold does not break a line; broken undoes it.
func unbroken(text string) string { return strings.ReplaceAll(text, " ", "\u00a0") }
func broken(text string) string   { return strings.ReplaceAll(text, "\u00a0", " ") }

// indent is the column of the values in a list of labels, and briefly that in the Status of a menu.
const (
	indent  = 13
	briefly = 11
)

// fitted writes rows as a table that is no wider than columns. If it would be, it drops the columns
// with the headings of shed, in that order. Their values are in JSON and in the status of one
// capture.
func fitted(w io.Writer, rows [][]string, shed ...string) {
	for {
		var b strings.Builder
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, row := range rows {
			fmt.Fprintln(t, strings.Join(row, "\t"))
		}
		t.Flush()
		wide := slices.ContainsFunc(strings.Split(b.String(), "\n"),
			func(line string) bool { return utf8.RuneCountInString(line) > columns })
		if !wide || len(shed) == 0 {
			io.WriteString(w, b.String())
			return
		}
		at := slices.Index(rows[0], shed[0])
		shed = shed[1:]
		if at < 0 {
			continue
		}
		for n := range rows {
			rows[n] = slices.Delete(slices.Clone(rows[n]), at, at+1)
		}
	}
}
