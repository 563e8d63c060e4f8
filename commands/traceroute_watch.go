package commands

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"diagsh/commands/shared/probes"
	"diagsh/diag/traceroute"
	"diagsh/internal/menu"
)

// watch shows a table that changes in place until ctx ends or all rounds are over, then prints it.
func (t tracer) watch(ctx context.Context, a traceArgs) error {
	last := func() string { return "" }
	show := func(round int, hops []traceroute.Watched) {
		last = func() string { return t.table(round, hops, t.names.of) }
		if ctx.Err() == nil {
			t.out.Progress("%s", menu.Text(t.table(round, hops, t.names.now)))
		}
	}
	record := func(round int, hops []traceroute.Watched) error {
		show(round, hops)
		for _, h := range hops {
			if err := t.out.Record(t.watched(round, h)); err != nil {
				return err
			}
		}
		return nil
	}
	err := traceroute.Watch(ctx, t.options, a.Interval, a.Rounds, show, record)
	t.out.Printf("%s", menu.Text(last()))
	return err
}

func (t tracer) watched(round int, h traceroute.Watched) traceHop {
	w := &watchedHop{Round: round, Routers: []traceRouter{}, Sent: h.Sent, Received: h.Received, LossPercent: h.Loss(),
		Last: probes.Seconds(h.Last), Average: probes.Seconds(h.Average), Best: probes.Seconds(h.Best),
		Worst: probes.Seconds(h.Worst), Deviation: probes.Seconds(h.Deviation), Mark: h.Letter}
	for _, r := range h.Routers {
		w.Routers = append(w.Routers, traceRouter{r.String(), t.names.of(r)})
	}
	return traceHop{Host: t.host, Address: t.options.Target.String(), Hop: h.Number, watchedHop: w}
}

// A watchColumn is a column of figures, one for each hop.
type watchColumn struct {
	heading string
	width   int // the least one, so that columns do not move while figures grow
	figure  func(traceroute.Watched) string
}

// watchColumns are the columns of mtr(8) in its order.
var watchColumns = []watchColumn{
	{"Loss", 6, func(h traceroute.Watched) string { return fmt.Sprintf("%.1f%%", h.Loss()) }},
	{"Sent", 5, func(h traceroute.Watched) string { return fmt.Sprint(h.Sent) }},
	{"Last ms", 7, func(h traceroute.Watched) string { return probes.Milliseconds(h.Last) }},
	{"Average", 7, func(h traceroute.Watched) string { return probes.Milliseconds(h.Average) }},
	{"Best", 7, func(h traceroute.Watched) string { return probes.Milliseconds(h.Best) }},
	{"Worst", 7, func(h traceroute.Watched) string { return probes.Milliseconds(h.Worst) }},
	{"Stddev", 7, func(h traceroute.Watched) string { return probes.Milliseconds(h.Deviation) }},
}

// droppedFirst are positions in watchColumns in the order in which a narrow terminal drops them,
// the least important first.
var droppedFirst = []int{6, 4, 5, 2, 1, 3, 0}

const (
	hopWidth    = 4  // the number of the hop and two blanks
	routerWidth = 15 // an IPv4 address; columns are dropped to leave that much
)

// table returns the view of mtr(8): a line a hop, and one for each further router of the hop. It is
// no wider than the terminal. name returns the name of a router, or "".
func (t tracer) table(round int, hops []traceroute.Watched, name func(netip.Addr) string) string {
	names := make([][]string, len(hops))
	router, letters := len("Router"), 0
	widths := make([]int, len(watchColumns))
	for c, column := range watchColumns {
		widths[c] = column.width
	}
	for i, h := range hops {
		names[i] = routersOf(h, name)
		for _, name := range names[i] {
			router = max(router, utf8.RuneCountInString(name))
		}
		if len(h.Letter) > 0 {
			letters = max(letters, len(h.Letter)+1)
		}
		for c, column := range watchColumns {
			widths[c] = max(widths[c], len(column.figure(h)))
		}
	}
	if t.columns > 0 {
		router = fit(t.columns-hopWidth-letters, router, widths)
	}

	var b strings.Builder
	row := func(number, name string, letter string, figure func(c int) string) {
		line := fmt.Sprintf("%2s  %-*s", number, router, short(name, router))
		for c, width := range widths {
			if width > 0 {
				line += fmt.Sprintf(" %*s", width, figure(c))
			}
		}
		b.WriteString(strings.TrimRight(line+" "+letter, " ") + "\n")
	}
	fmt.Fprintf(&b, "%s to %s (%s), round %d\n", t.word, menu.Clean(t.host), t.options.Target, round)
	row("", "Router", "", func(c int) string { return watchColumns[c].heading })
	for i, h := range hops {
		row(fmt.Sprint(h.Number), names[i][0], h.Letter, func(c int) string {
			if h.Received == 0 && c > 1 {
				return ""
			}
			return watchColumns[c].figure(h)
		})
		for _, name := range names[i][1:] {
			row("", name, "", func(int) string { return "" })
		}
	}
	return b.String()
}

// routersOf returns the names of a hop's routers, or an address if a name is not known.
func routersOf(h traceroute.Watched, nameOf func(netip.Addr) string) []string {
	var names []string
	for _, r := range h.Routers {
		name := menu.Clean(nameOf(r))
		if name == "" {
			name = r.String()
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return []string{"*"}
	}
	return names
}

// fit returns the width that is left for the router in space. It sets the widths of columns that
// have no room to 0.
func fit(space, router int, widths []int) int {
	left := space
	for _, width := range widths {
		left -= width + 1
	}
	for _, c := range droppedFirst {
		if left >= min(router, routerWidth) {
			break
		}
		left += widths[c] + 1
		widths[c] = 0
	}
	return max(1, min(router, left))
}

// short returns a text cut to a width, with ~ as its last character if it was longer.
func short(text string, width int) string {
	if runes := []rune(text); len(runes) > width {
		return string(runes[:width-1]) + "~"
	}
	return text
}
