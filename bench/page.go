package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// markdown returns f as a row of the table of docs/performance.md. Its last cell is the command
// that takes it again.
func (f figure) markdown() string {
	what, peer := f.what, f.peer
	if ours, theirs, named := strings.Cut(f.what, " | "); named {
		what, peer = ours, theirs+": "+f.peer
	}
	cells := []string{what, f.ours, peer, f.goal, f.verdict(), "`" + f.command + "`"}
	for i, cell := range cells {
		cells[i] = strings.ReplaceAll(cell, "|", `\|`)
	}
	return "| " + strings.Join(cells, " | ") + " |"
}

// measurementOf returns the name of the measurement that a row of the page is of, "" for other
// lines.
func measurementOf(row string) string {
	_, command, found := strings.Cut(row, "`go run ./bench ")
	words := strings.Fields(strings.TrimSuffix(command, "` |"))
	if !found || !strings.HasPrefix(row, "| ") || len(words) == 0 {
		return ""
	}
	return words[len(words)-1]
}

// withRows returns page with figures in place of the rows of the same measurements. Rows of other
// measurements stay. It fails if the page has none of a measurement.
func withRows(page string, figures []figure) (string, error) {
	lines := strings.Split(page, "\n")
	for _, m := range measurements {
		var rows []string
		for _, f := range figures {
			if row := f.markdown(); measurementOf(row) == m.name {
				rows = append(rows, row)
			}
		}
		if rows == nil {
			continue
		}
		isOld := func(line string) bool { return measurementOf(line) == m.name }
		at := slices.IndexFunc(lines, isOld)
		if at < 0 {
			return "", fmt.Errorf("the page has no row of `go run ./bench %s`", m.name)
		}
		lines = slices.Insert(slices.DeleteFunc(lines, isOld), at, rows...)
	}
	return strings.Join(lines, "\n"), nil
}

// writePage puts figures into the page in a file.
func writePage(file string, figures []figure) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text, err := withRows(string(page), figures)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(text), 0o644)
}
