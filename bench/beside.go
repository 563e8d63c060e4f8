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

// besideLimit is how much processor time a packet may take of a capture with files beside it, of that
// without.
const besideLimit = 1.1

// captureBeside measures what the files beside a capture cost it at the large load, in turns with a
// capture without them. The capture with nothing writes pcapng too, as processes want it.
func captureBeside(ctx context.Context, b *bed) ([]figure, error) {
	return onWire(ctx, b, func(w *wire) ([]figure, error) {
		// What a capture begins with takes as long for any number of packets, and to follow the sockets of
		// the machine takes as much of each second: both are told apart.
		l := load{length: 1442, number: 1_000_000}
		w.rests = 3 * time.Second
		results := make([][]result, len(besides))
		for round := range b.often(5) + 1 {
			fmt.Fprintf(os.Stderr, "  round %d: load average %s\n", round, loadAverage())
			for turn := range besides {
				i := (turn + round) % len(besides) // each is first once
				if _, _, err := w.probe(); err != nil {
					return nil, err
				}
				w.options = " format pcapng" + besides[i].options
				r, err := w.withDiagsh(ctx, l, []string{"udp"})
				if err != nil {
					return nil, fmt.Errorf("with %s: %w", besides[i].name, err)
				}
				fmt.Fprintf(os.Stderr, "    %-20s %d of %d lost, %.3f µs a packet: start %.1f ms, packets %.1f ms in %.1f s, a second without %.1f ms, end %.1f ms\n",
					besides[i].name, r.lost(), r.sent, micros(r.perPacket()), millis(r.start), millis(r.packets), r.came.Seconds(),
					millis(r.resting), millis(r.end))
				if round > 0 { // those of round 0 have no memory of another
					results[i] = append(results[i], r)
				}
			}
		}
		return besideFigures(l, results), nil
	})
}

func besideFigures(l load, results [][]result) (figures []figure) {
	coming := func(r result) time.Duration {
		alone := r.packets - time.Duration(float64(r.resting)*r.came.Seconds())
		return alone / time.Duration(max(r.written, 1))
	}
	resting := func(r result) time.Duration { return r.resting }
	ends := func(r result) time.Duration { return r.start + r.end }
	without := results[0]
	for i, with := range besides[1:] {
		list, what := results[i+1], l.String()+", "+with.name+" beside: "
		each, before := middleOf(list, coming), middleOf(without, coming)
		figures = append(figures, figure{
			what: what + "lost", ours: losses(list), peer: "without " + losses(without), goal: "none in any round",
			met: !slices.ContainsFunc(list, func(r result) bool { return r.lost() != 0 }),
		}, figure{
			what: what + "CPU a packet, without what each second costs", ours: fmt.Sprintf("%.3f µs", micros(each)),
			peer: fmt.Sprintf("without %.3f µs", micros(before)),
			goal: fmt.Sprintf("at most %.2f of it: %.2f", besideLimit, float64(each)/float64(before)),
			met:  float64(each) <= besideLimit*float64(before),
		}, figure{
			what: what + "CPU of a second without packets", ours: fmt.Sprintf("%.1f ms", millis(middleOf(list, resting))),
			peer: fmt.Sprintf("without %.1f ms", millis(middleOf(without, resting))),
		}, figure{
			what: what + "CPU of start and end", ours: fmt.Sprintf("%.0f ms", millis(middleOf(list, ends))),
			peer: fmt.Sprintf("without %.0f ms", millis(middleOf(without, ends))),
		})
	}
	return figures
}
