package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"
)

// besides are what a capture may keep beside its file, as options of packetcapture start. The first
// is nothing.
var besides = []struct{ name, options string }{
	{"nothing", ""}, {"drops", " drops yes"}, {"processes and drops", " processes yes drops yes"},
}

// besideLimit is how much processor time a capture with files beside it may take, of that without.
const besideLimit = 1.1

// captureBeside measures what the files beside a capture cost it at the large load, in turns with a
// capture without them. The capture with nothing writes pcapng too, as processes want it.
func captureBeside(ctx context.Context, b *bed) ([]figure, error) {
	return onWire(ctx, b, func(w *wire) ([]figure, error) {
		l := load{length: 1442, number: 1_000_000}
		results := make([][]result, len(besides))
		for round := range b.often(5) {
			fmt.Fprintf(os.Stderr, "  round %d: load average %s\n", round+1, loadAverage())
			for i, with := range besides {
				if _, _, err := w.probe(); err != nil {
					return nil, err
				}
				w.options = " format pcapng" + with.options
				r, err := w.withDiagsh(ctx, l, []string{"udp"})
				if err != nil {
					return nil, fmt.Errorf("with %s: %w", with.name, err)
				}
				fmt.Fprintf(os.Stderr, "    %-20s %d of %d lost, %.3f µs a packet\n", with.name, r.lost(), r.sent,
					micros(r.perPacket()))
				results[i] = append(results[i], r)
			}
		}
		return besideFigures(l, results), nil
	})
}

func besideFigures(l load, results [][]result) (figures []figure) {
	middle := func(list []result) time.Duration {
		var all []time.Duration
		for _, r := range list {
			all = append(all, r.perPacket())
		}
		return median(all)
	}
	without := middle(results[0])
	for i, with := range besides[1:] {
		list := results[i+1]
		each := middle(list)
		figures = append(figures, figure{
			what: l.String() + ", " + with.name + " beside: lost", ours: losses(list), peer: "without " + losses(results[0]),
			goal: "none in any round", met: !slices.ContainsFunc(list, func(r result) bool { return r.lost() != 0 }),
		}, figure{
			what: l.String() + ", " + with.name + " beside: CPU a packet", ours: fmt.Sprintf("%.3f µs", micros(each)),
			peer: fmt.Sprintf("without %.3f µs", micros(without)),
			goal: fmt.Sprintf("at most %.2f of it: %.2f", besideLimit, float64(each)/float64(without)),
			met:  float64(each) <= besideLimit*float64(without),
		})
	}
	return figures
}
