// Package tables writes tables that fit their terminal.
package tables

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"diagsh/internal/menu"
)

// A Table is rows of cells below a heading. If it is wider than the terminal (menu.Columns) it
// becomes narrower in three steps. Cells continue in the next row, broken at blanks, those of the
// widest columns first. Columns are separated by one blank instead of two. The columns named in
// Spare are left out, in that order.
type Table struct {
	Head  []string
	Spare []string // headings of columns that a narrow terminal leaves out
	rows  [][]string
	below map[int]string // by the number of the row
}

// Add adds a row, with a cell for each column.
func (t *Table) Add(cells ...string) { t.rows = append(t.rows, cells) }

// Below sets what stands below the last row, across all columns: what is too long for one.
func (t *Table) Below(text string) {
	if t.below == nil {
		t.below = map[int]string{}
	}
	t.below[len(t.rows)-1] = text
}

// Whole returns a text, such as a time, that is not broken at its blanks.
func Whole(text string) string { return strings.ReplaceAll(text, " ", "\u00a0") }

// OrDash returns text, or a dash if it is empty.
func OrDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// Minute is the format of a time in tables whose heading says that it is UTC.
const Minute = "2006-01-02 15:04"

// Write writes the table.
func (t *Table) Write(w io.Writer) {
	all := append([][]string{t.Head}, t.rows...)
	limit := menu.Columns(w)
	gap := 2
	widths, fits := fitted(all, limit, gap)
	if !fits {
		gap = 1
		widths, fits = fitted(all, limit, gap)
	}
	for _, spare := range t.Spare {
		if fits {
			break
		}
		if i := slices.Index(all[0], spare); i >= 0 {
			for r := range all {
				all[r] = slices.Delete(slices.Clone(all[r]), i, i+1)
			}
			widths, fits = fitted(all, limit, gap)
		}
	}
	var b strings.Builder
	for i, row := range all {
		writeRow(&b, row, widths, gap)
		if text := t.below[i-1]; text != "" {
			writeLine(&b, limit, 4, "  "+text)
		}
	}
	io.WriteString(w, strings.ReplaceAll(b.String(), "\u00a0", " "))
}

// fitted returns the widths of the columns in rows of at most limit characters (0: no limit), and
// whether the rows fit.
func fitted(rows [][]string, limit, gap int) (widths []int, fits bool) {
	widths, least := make([]int, len(rows[0])), make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
			for _, word := range strings.Split(cell, " ") {
				least[i] = max(least[i], utf8.RuneCountInString(word))
			}
		}
	}
	excess := gap*(len(widths)-1) - limit
	for _, width := range widths {
		excess += width
	}
	if limit == 0 {
		return widths, true
	}
	for ; excess > 0; excess-- {
		at := -1
		for i := range widths {
			if widths[i] > least[i] && (at < 0 || widths[i] > widths[at]) {
				at = i
			}
		}
		if at < 0 {
			return widths, false
		}
		widths[at]--
	}
	return widths, true
}

// writeRow writes a row of cells, in as many lines as the longest of them needs.
func writeRow(b *strings.Builder, row []string, widths []int, gap int) {
	lines := make([][]string, len(row))
	deep := 0
	for i, cell := range row {
		lines[i] = broken(cell, widths[i])
		deep = max(deep, len(lines[i]))
	}
	for n := range deep {
		var line strings.Builder
		for i := range row {
			text := ""
			if n < len(lines[i]) {
				text = lines[i][n]
			}
			line.WriteString(text + strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(text))+gap))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// Line writes a line. A line that is too wide for the terminal continues in the next, after indent
// blanks.
func Line(w io.Writer, indent int, format string, args ...any) {
	var b strings.Builder
	writeLine(&b, menu.Columns(w), indent, fmt.Sprintf(format, args...))
	io.WriteString(w, strings.ReplaceAll(b.String(), "\u00a0", " "))
}

// writeLine writes a line of at most limit characters (0: no limit), and its rest after indent blanks.
func writeLine(b *strings.Builder, limit, indent int, text string) {
	if limit == 0 {
		limit = len(text)
	}
	begin := text[:len(text)-len(strings.TrimLeft(text, " "))] // a line is not broken at its leading blanks
	pieces := broken(Whole(begin)+text[len(begin):], limit)
	if len(pieces) > 1 {
		rest := strings.TrimPrefix(Whole(begin)+text[len(begin):], pieces[0]+" ")
		pieces = append(pieces[:1], broken(rest, limit-indent)...)
	}
	b.WriteString(strings.Join(pieces, "\n"+strings.Repeat(" ", indent)) + "\n")
}

// broken returns a text cut at blanks into pieces of at most width characters.
func broken(text string, width int) (pieces []string) {
	piece := ""
	for _, word := range strings.Split(text, " ") {
		switch {
		case piece == "":
			piece = word
		case utf8.RuneCountInString(piece)+1+utf8.RuneCountInString(word) <= width:
			piece += " " + word
		default:
			pieces = append(pieces, piece)
			piece = word
		}
	}
	return append(pieces, piece)
}
