package netstat

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"time"

	"diagsh/commands/shared/probes"
	"diagsh/diag/interfaces"
	"diagsh/internal/menu"
)

type trafficArgs struct {
	Every     time.Duration `arg:"every" ask:"Enter the number of seconds between displays" default:"1" min:"1" max:"3600" help:"Seconds between two lines."`
	OtherWord time.Duration `arg:"seconds" min:"1" max:"3600" help:"Another word for every."`
	Interface string        `arg:"interface,positional:1" ask:"Choose the interface" default:"ALL" help:"Name of an interface, or ALL for the sum of all."`
	Dropped   bool          `arg:"dropped" ask:"Show the number of dropped packets?" default:"yes" help:"Show dropped packets too."`
	Each      bool          `arg:"each" default:"no" help:"A line for each interface that is up, with its name, instead of their sum."`
	Count     int           `arg:"count" min:"1" max:"1000000" help:"Ends after this many lines; without it, when it is interrupted."`
}

// A trafficRow is the traffic of one interface, or of all, since its row before. Its numbers are
// rates per second.
type trafficRow struct {
	Time      time.Time `json:"time"`
	Seconds   float64   `json:"seconds"` // that the numbers are the mean of
	Interface string    `json:"interface"`
	Receive   rates     `json:"receive"`
	Transmit  rates     `json:"transmit"`

	heading, dropped, each bool
}

type rates struct {
	Packets    float64 `json:"packets"`
	Errors     float64 `json:"errors"`
	Dropped    float64 `json:"dropped"`
	Bytes      float64 `json:"bytes"`
	Collisions float64 `json:"collisions"` // 0 for the receiving side
}

// headingEvery is the number of lines after which the heading is repeated.
const headingEvery = 20

func trafficCommand() *menu.Command {
	return menu.Decl[trafficArgs, trafficRow]{
		Name:    "traffic",
		Help:    "Packet traffic information.",
		Details: "Every number is per second, the mean since the line before. It runs until it is interrupted.",
		Role:    menu.ReadOnly,
		Shape:   menu.Stream,
		Ask: func(ctx context.Context, _ menu.Caller, _ trafficArgs, q *menu.Question) error {
			if q.Name == "interface" {
				return chooseInterface(ctx, q)
			}
			return nil
		},
		Run:  runTraffic,
		Text: trafficLine,
	}.Command()
}

// A reading is the counters of all interfaces at one moment.
type reading struct {
	at    time.Time
	links map[int]interfaces.Counters
	up    []interfaces.Interface // those of links that are up, in the order of their indexes
}

func runTraffic(ctx context.Context, _ menu.Caller, a trafficArgs, out *menu.Out[trafficRow]) error {
	a.Every, a.Interface = cmp.Or(a.OtherWord, a.Every), interfaces.RealName(a.Interface)
	before, err := read(ctx, a.Interface)
	if before.links != nil && err != nil {
		return &menu.Error{Code: menu.NotFound, Argument: "interface",
			Message: fmt.Sprintf("There is no interface %q", menu.Clean(a.Interface)),
			Hint:    "netstat interfaces lists them"}
	}
	if err != nil {
		return err
	}
	if a.Count == 0 {
		out.Printf("%s", probes.StopHint)
	}
	tick := time.NewTicker(a.Every)
	defer tick.Stop()
	for line := 0; a.Count == 0 || line < a.Count; line++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		now, err := read(ctx, a.Interface)
		if err != nil {
			return err
		}
		for n, row := range a.rows(before, now) {
			row.dropped, row.each, row.heading = a.Dropped, a.Each, line%headingEvery == 0 && n == 0
			if err := out.Record(row); err != nil {
				return err
			}
		}
		before = now
	}
	return nil
}

// rows returns what is shown of the time between two readings: one row, or one for each interface
// that is up.
func (a trafficArgs) rows(before, now reading) []trafficRow {
	if !a.Each {
		row := between(before, now)
		row.Interface = a.Interface
		return []trafficRow{row}
	}
	rows := []trafficRow{}
	for _, l := range now.up {
		one := now
		one.links = map[int]interfaces.Counters{l.Index: now.links[l.Index]}
		row := between(before, one)
		row.Interface = l.Name
		rows = append(rows, row)
	}
	return rows
}

func read(ctx context.Context, name string) (reading, error) {
	list, err := interfaces.Bare(ctx)
	if err != nil {
		return reading{}, err
	}
	r := reading{at: time.Now(), links: map[int]interfaces.Counters{}}
	for _, l := range list {
		if name == allInterfaces || name == l.Name {
			r.links[l.Index] = l.Counters
			if l.Up {
				r.up = append(r.up, l)
			}
		}
	}
	if len(r.links) == 0 && name != allInterfaces {
		return r, menu.Errorf(menu.NotFound, "The interface %s has gone", menu.Clean(name))
	}
	return r, nil
}

// between returns the rates between two readings. Interfaces that are only in one of them do not
// count, nor do counters that went back, as after the reset of a driver.
func between(before, now reading) trafficRow {
	r := trafficRow{Time: now.at.UTC().Truncate(time.Millisecond), Seconds: now.at.Sub(before.at).Seconds()}
	add := func(to *float64, was, is uint64) {
		if is > was {
			*to += float64(is-was) / r.Seconds
		}
	}
	for index, is := range now.links {
		was, ok := before.links[index]
		if !ok {
			continue
		}
		add(&r.Receive.Packets, was.RxPackets, is.RxPackets)
		add(&r.Receive.Errors, was.RxErrors, is.RxErrors)
		add(&r.Receive.Dropped, was.RxDropped, is.RxDropped)
		add(&r.Receive.Bytes, was.RxBytes, is.RxBytes)
		add(&r.Transmit.Packets, was.TxPackets, is.TxPackets)
		add(&r.Transmit.Errors, was.TxErrors, is.TxErrors)
		add(&r.Transmit.Dropped, was.TxDropped, is.TxDropped)
		add(&r.Transmit.Bytes, was.TxBytes, is.TxBytes)
		add(&r.Transmit.Collisions, was.Collisions, is.Collisions)
	}
	return r
}

// trafficLine writes a row in the columns of netstat(1) -w on BSD.
func trafficLine(w io.Writer, r trafficRow) {
	name := r.Interface
	if name == allInterfaces {
		name = "(Total)"
	}
	if r.heading && r.each {
		name = "(Each)"
	}
	if r.heading {
		fmt.Fprintf(w, "%13s %14s %16s\n", "input", name, "output")
		if r.dropped {
			fmt.Fprintf(w, "%10s %5s %6s %10s %10s %5s %10s %5s %5s\n", "packets", "errs", "idrops", "bytes", "packets",
				"errs", "bytes", "colls", "drops")
		} else {
			fmt.Fprintf(w, "%10s %5s %10s %10s %5s %10s %5s\n", "packets", "errs", "bytes", "packets",
				"errs", "bytes", "colls")
		}
	}
	n := func(rate float64) uint64 { return uint64(math.Round(rate)) }
	in, out, end := r.Receive, r.Transmit, ""
	if r.each {
		end = "  " + menu.Clean(r.Interface)
	}
	if r.dropped {
		fmt.Fprintf(w, "%10d %5d %6d %10d %10d %5d %10d %5d %5d%s\n", n(in.Packets), n(in.Errors), n(in.Dropped),
			n(in.Bytes), n(out.Packets), n(out.Errors), n(out.Bytes), n(out.Collisions), n(out.Dropped), end)
		return
	}
	fmt.Fprintf(w, "%10d %5d %10d %10d %5d %10d %5d%s\n", n(in.Packets), n(in.Errors), n(in.Bytes), n(out.Packets),
		n(out.Errors), n(out.Bytes), n(out.Collisions), end)
}
