package captures

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// columns is how wide a text is at most, unless one of its words is wider.
const columns = 80

// fold writes a label and what it is about, which begins at the column at. What is too wide goes on
// there in the next line.
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

// unbroken has blanks at which fold does not break a line, broken blanks again.
func unbroken(text string) string { return strings.ReplaceAll(text, " ", "\u00a0") }
func broken(text string) string   { return strings.ReplaceAll(text, "\u00a0", " ") }

// indent is where the values of a list of labels begin, and briefly that in what stands above a
// menu.
const (
	indent  = 13
	briefly = 11
)

// fitted writes rows as a table that is no wider than columns: where it would be, columns of it are
// shed, in the order of shed, by their headings. What they say is in the JSON form, and in the
// status of one.
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
