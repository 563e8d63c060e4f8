package packetcapture

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"diagsh/capture/index"
	"diagsh/capture/summary"
	"diagsh/commands/shared/captures"
	"diagsh/commands/shared/tables"
	"diagsh/internal/menu"
)

type graphArgs struct {
	Name    menu.Packets `arg:"name,positional:1,required,headers" ask:"Capture or file" help:"Name of a capture or of a file of the diagnostic directory."`
	Buckets int          `arg:"buckets" default:"100" min:"1" max:"2000" help:"In how many equal parts the time is cut, at most."`
	From    *time.Time   `arg:"from" help:"Begin of the time, such as \"2026-03-01 10:15\" (UTC); without it the earliest packet."`
	To      *time.Time   `arg:"to" help:"End of the time; without it just after the latest packet."`
	Filter  string       `arg:"filter" help:"Counts only the packets that this tcpdump filter selects."`
	Filter2 string       `arg:"filter2" help:"A second filter, counted by itself."`
	Filter3 string       `arg:"filter3" help:"A third one."`
	Filter4 string       `arg:"filter4" help:"A fourth one."`
	Filter5 string       `arg:"filter5" help:"A fifth one."`
}

// A graphFilter is the filter of one series, with the argument that has it.
type graphFilter struct{ name, text string }

// filters returns the filters of the series; without any there is one of all packets.
func (a graphArgs) filters() (list []graphFilter) {
	for n, text := range []string{a.Filter, a.Filter2, a.Filter3, a.Filter4, a.Filter5} {
		name := "filter"
		if n > 0 {
			name += strconv.Itoa(n + 1)
		}
		if text = captures.Cleared(text); text != "" {
			list = append(list, graphFilter{name, text})
		}
	}
	if len(list) == 0 {
		list = []graphFilter{{}}
	}
	return list
}

// A rateGraph is how many packets came when.
type rateGraph struct {
	Name            string    `json:"name"`
	From            time.Time `json:"from,omitzero"`
	To              time.Time `json:"to,omitzero"`
	IntervalSeconds float64   `json:"intervalSeconds"` // of each part
	Complete        bool      `json:"complete"`        // no more packets will come
	Series          []series  `json:"series"`
}

// A series is the packets of one filter.
type series struct {
	Filter  string  `json:"filter"` // empty: all packets
	Packets []int64 `json:"packets"`
	Bytes   []int64 `json:"bytes"` // on the wire
}

func graphCommand(s indexService) *menu.Command {
	return menu.Decl[graphArgs, rateGraph]{
		Name: "graph",
		Help: "Count the packets of a capture or a file over time, for up to five filters.",
		Details: "All filters are asked in one pass over the packets. A packet is in the part that its time is in; " +
			"the parts begin at from.",
		Role:      menu.Operator,
		Shape:     menu.Object,
		Resources: []menu.Resource{{Method: "GET", Path: "captures/{name}/graph"}},
		Hidden:    noPackets(s),
		Ask:       askPackets[graphArgs](s),
		Suggest:   suggestPackets[graphArgs](s),
		Check: func(ctx context.Context, _ menu.Caller, a graphArgs, name string) error {
			for _, one := range a.filters() {
				if one.name == name {
					return menu.Blame(name, checkFilter(ctx, s, one.text, "filter"))
				}
			}
			return nil
		},
		Run: func(ctx context.Context, caller menu.Caller, a graphArgs, out *menu.Out[rateGraph]) error {
			g, err := a.graph(ctx, s, caller, out.Progress)
			if err != nil {
				return err
			}
			return out.Record(*g)
		},
		Text: graphText,
	}.Command()
}

func (a graphArgs) graph(ctx context.Context, s indexService, caller menu.Caller,
	progress func(string, ...any)) (*rateGraph, error) {
	look := look{name: a.Name, progress: progress}
	v, known, err := look.open(ctx, s, caller)
	if err != nil {
		return nil, err
	}
	g := &rateGraph{Name: string(a.Name), Complete: known.Complete, Series: []series{}}
	var matchers []index.Matcher
	for _, one := range a.filters() {
		g.Series = append(g.Series, series{Filter: one.text, Packets: []int64{}, Bytes: []int64{}})
		if one.text == "" {
			matchers = append(matchers, nil)
			continue
		}
		f, err := s.PacketsFilter(ctx, caller, v, one.text)
		if err != nil {
			return nil, menu.Blame(one.name, err)
		}
		m, err := f.New()
		if err != nil {
			return nil, menu.Blame(one.name, err)
		}
		matchers = append(matchers, m)
	}
	if known.Packets == 0 {
		return g, nil
	}
	from, to := time.Unix(0, known.Earliest).UTC(), time.Unix(0, known.Latest+1).UTC()
	if a.From != nil {
		from = a.From.UTC()
	}
	if a.To != nil {
		to = a.To.UTC()
	}
	switch {
	case from.Before(to):
	case a.To != nil:
		return nil, menu.BadArgument("to", "The end of the time is not after its begin")
	default:
		return nil, menu.BadArgument("from", "All packets are before that time")
	}
	interval, parts := summary.Parts(to.Sub(from), a.Buckets)
	g.From, g.To, g.IntervalSeconds = from, from.Add(time.Duration(parts)*interval), interval.Seconds()
	counts, err := v.Graph(ctx, from, interval, parts, matchers)
	if err != nil {
		return nil, look.failed(err)
	}
	for i, c := range counts {
		g.Series[i].Packets, g.Series[i].Bytes = c.Packets, c.Bytes
	}
	return g, nil
}

func graphText(w io.Writer, g rateGraph) {
	t := tables.Table{Head: []string{"TIME"}}
	for i := range g.Series {
		t.Head = append(t.Head, fmt.Sprintf("PACKETS %d", i+1), "SIZE")
	}
	if len(g.Series) == 1 {
		t.Head[1] = "PACKETS"
	}
	for n := range g.Series[0].Packets {
		at := g.From.Add(time.Duration(float64(n) * g.IntervalSeconds * float64(time.Second)))
		cells := []string{at.Format("15:04:05.000000")}
		for _, s := range g.Series {
			cells = append(cells, strconv.FormatInt(s.Packets[n], 10), captures.Bytes(s.Bytes[n]))
		}
		t.Add(cells...)
	}
	if len(g.Series[0].Packets) == 0 {
		fmt.Fprintf(w, "There is no packet.\n")
		return
	}
	t.Write(w)
	var names []string
	for i, s := range g.Series {
		if s.Filter != "" {
			names = append(names, fmt.Sprintf("%d: %s", i+1, s.Filter))
		}
	}
	fmt.Fprintf(w, "Each part has %s.\n", time.Duration(g.IntervalSeconds*float64(time.Second)))
	if len(names) > 0 {
		fmt.Fprintf(w, "%s\n", strings.Join(names, "\n"))
	}
}
