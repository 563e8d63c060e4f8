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
	graphLeast   = 10 // columns; with less there is no graph
	graphStretch = 4  // most characters of one column, on a wide terminal
	unknownWidth = 80 // of a terminal whose width is unknown
)

// Chart is the characters that the graph is drawn with.
type Chart string

// The charts. Blocks need a terminal that shows the characters U+2500 to U+259F.
const (
	BlockChart Chart = "blocks"
	ASCIIChart Chart = "ascii"
	NoChart    Chart = "none"
)

// An ink is the texts that a graph is drawn with.
type ink struct{ full, half, tick, corner, line, micro string }

var (
	blocks = ink{full: "█", half: "▄", tick: "┤", corner: "└", line: "─", micro: "µs"}
	ascii  = ink{full: "#", half: ".", tick: "|", corner: "+", line: "-", micro: "us"}
)

// graph draws the number of packets over time, a bar for each part of the time, in at most that
// many columns of a terminal. It draws nothing if all packets have one time. It shows numbers and
// not rates, because a single packet has no rate. It uses half and full blocks: finer ones are not
// in the fonts of every terminal program.
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
	// A label has at most the digits of twice the number of packets: all may be in one column, and
	// the scale ends below twice the highest bar.
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

// scale returns how many packets a row stands for, 1 or a round number, and the number of rows.
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

// block returns the part of the bar for n packets in a row: full, half full or empty. It rounds up
// to halves, so every column with a packet has a bar.
func (i ink) block(n, step int64, row int) string {
	switch halves := int((2*n + step - 1) / step); {
	case halves >= 2*row:
		return i.full
	case halves == 2*row-1:
		return i.half
	}
	return " "
}

// timeAxis returns the times of the first and the last packet, each below its column. If the
// columns are too few the two follow each other, and if there is no room for that it returns "".
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

// interval returns the time of a column in words.
func interval(d time.Duration) string {
	if d < time.Millisecond {
		return d.String()
	}
	return menu.FormatDuration(d)
}
