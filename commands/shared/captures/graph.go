package captures

import (
	"fmt"
	"io"
	"strings"
	"time"

	"diagsh/capture/summary"
	"diagsh/internal/menu"
)

const (
	graphRows    = 8  // at most
	graphLeast   = 10 // columns, below which there is no graph
	graphStretch = 4  // characters of one column at most, where the terminal is wide
	unknownWidth = 80 // of a terminal
)

// Chart is how the graph is drawn.
type Chart string

// Charts. Blocks need a terminal that shows the characters U+2500 to U+259F.
const (
	BlockChart Chart = "blocks"
	ASCIIChart Chart = "ascii"
	NoChart    Chart = "none"
)

// ink is what a graph is drawn with.
type ink struct{ full, half, tick, corner, line, micro string }

var (
	blocks = ink{full: "█", half: "▄", tick: "┤", corner: "└", line: "─", micro: "µs"}
	ascii  = ink{full: "#", half: ".", tick: "|", corner: "+", line: "-", micro: "us"}
)

// graph draws how many packets there were over the time, if there is a time: a bar for each part of
// it, all within so many columns of a terminal. It shows numbers and no rates: one packet is none a
// second for most of its time. Half and full blocks are in the fonts of every terminal program;
// finer ones are not.
func graph(w io.Writer, s *summary.Summary, columns int, chart Chart) {
	if len(s.Rate.Packets) < 2 || chart == NoChart {
		return
	}
	ink := blocks
	if chart == ASCIIChart {
		ink = ascii
	}
	if columns <= 0 {
		columns = unknownWidth
	}
	// A label can be as wide as if all packets were in one column, and is less than twice what is
	// in it.
	space := columns - len(fmt.Sprint(2*s.Packets)) - len(" |")
	if space < graphLeast {
		return
	}
	rate := s.Rate.Within(space)
	stretch := min(space/len(rate.Packets), graphStretch)
	step, rows := scale(rate.Packets)
	label := len(fmt.Sprint(step * int64(rows)))

	fmt.Fprintf(w, "\nPackets in each column of %s:\n", strings.ReplaceAll(interval(rate.Interval()), "µs", ink.micro))
	for row := rows; row > 0; row-- {
		line := ""
		for _, n := range rate.Packets {
			line += strings.Repeat(ink.block(n, step, row), stretch)
		}
		fmt.Fprintf(w, "%*d %s%s\n", label, step*int64(row), ink.tick, strings.TrimRight(line, " "))
	}
	width := stretch * len(rate.Packets)
	fmt.Fprintf(w, "%*d %s%s\n", label, 0, ink.corner, strings.Repeat(ink.line, width))
	if times := timeAxis(s, rate.Interval(), width, columns-label-2); times != "" {
		fmt.Fprintf(w, "%*s%s\n", label+2, "", times)
	}
}

// scale is how many packets a row stands for, one or a number that people count by, and how many
// rows that makes.
func scale(counts []int64) (step int64, rows int) {
	most := int64(0)
	for _, n := range counts {
		most = max(most, n)
	}
	for power := int64(1); ; power *= 10 {
		for _, digit := range []int64{1, 2, 5} {
			if step := digit * power; (most+step-1)/step <= graphRows {
				return step, int((most + step - 1) / step)
			}
		}
	}
}

// block is a row's piece of the bar for n packets: the row is full, half full or empty. A begun
// half is a whole one, so where there is a packet there is a bar.
func (i ink) block(n, step int64, row int) string {
	switch halves := int((2*n + step - 1) / step); {
	case halves >= 2*row:
		return i.full
	case halves == 2*row-1:
		return i.half
	}
	return " "
}

// timeAxis has the times of the first and the last packet, below the columns that they are in, or
// one behind the other where the columns are too few for both; nothing, if there is no space for
// that.
func timeAxis(s *summary.Summary, interval time.Duration, width, space int) string {
	layout := "15:04:05"
	switch {
	case interval < time.Millisecond:
		layout += ".000000"
	case interval < time.Second:
		layout += ".000"
	case interval >= time.Minute && s.First.Format(time.DateOnly) != s.Last.Format(time.DateOnly):
		layout = "2006-01-02 15:04"
	}
	first, last := s.First.Format(layout), s.Last.Format(layout)
	if gap := width - len(first) - len(last); gap > 1 {
		return first + strings.Repeat(" ", gap) + last
	}
	if text := first + " - " + last; len(text) <= space {
		return text
	}
	return ""
}

// interval writes the length of a column.
func interval(d time.Duration) string {
	if d < time.Millisecond {
		return d.String()
	}
	return menu.FormatDuration(d)
}
