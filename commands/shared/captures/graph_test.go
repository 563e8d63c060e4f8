package captures

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"diagsh/capture"
	"diagsh/capture/summary"
)

// at sums up packets at these times after a first one.
func at(offsets ...time.Duration) *summary.Summary {
	begin := time.Date(2026, 3, 1, 10, 15, 0, 0, time.UTC).UnixNano()
	c := summary.NewCounter()
	for _, o := range offsets {
		c.Add(&capture.Packet{Time: begin + int64(o), Data: make([]byte, 60), Length: 60}, capture.Ethernet)
	}
	return c.Summary(1, summary.Slowest)
}

// evenly returns n times, spread evenly over a time.
func evenly(count int, over time.Duration) (offsets []time.Duration) {
	for n := range count {
		offsets = append(offsets, over/time.Duration(count)*time.Duration(n))
	}
	return offsets
}

// The axes say what is there, whether the packets are few or many and the time is short or long,
// and the graph fits the terminal.
func TestGraph(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		name    string
		packets *summary.Summary
		columns int
		want    string
	}{
		{"no packet", at(), 80, ""},
		{"one", at(0), 80, ""},
		{"two at once", at(0, 0), 80, ""},
		{"two in no time", at(0, 3*time.Microsecond), 80, `
Packets in each column of 1µs:
1 ┤████        ████
0 └────────────────
   10:15:00.000000 - 10:15:00.000003
`},
		{"two in 5 ms", at(0, 5*time.Millisecond), 80, `
Packets in each column of 100µs:
1 ┤█                                                 █
0 └───────────────────────────────────────────────────
   10:15:00.000000                     10:15:00.005000
`},
		{"three in 5 s", at(0, time.Second, 5*time.Second), 80, `
Packets in each column of 100ms:
1 ┤█         █                                       █
0 └───────────────────────────────────────────────────
   10:15:00.000                           10:15:05.000
`},
		{"three in 5 h", at(0, time.Hour, 5*time.Hour), 80, `
Packets in each column of 5m:
1 ┤█           █                                               █
0 └─────────────────────────────────────────────────────────────
   10:15:00                                             15:15:00
`},
		{"three in 5 days", at(0, time.Hour, 5*day), 80, `
Packets in each column of 2h:
2 ┤█
1 ┤█                                                           █
0 └─────────────────────────────────────────────────────────────
   2026-03-01 10:15                             2026-03-06 10:15
`},
		{"many in 5 days", at(append(evenly(1000, 5*day), evenly(300, 2*day)...)...), 50, `
Packets in each column of 4h:
60 ┤████████████
50 ┤████████████
40 ┤████████████▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄
30 ┤██████████████████████████████
20 ┤██████████████████████████████
10 ┤██████████████████████████████
 0 └──────────────────────────────
    2026-03-01 10:15 - 2026-03-06 10:07
`},
		{"on a narrow terminal", at(evenly(1000, 5*time.Second)...), 20, `
Packets in each column of 500ms:
100 ┤██████████
 80 ┤██████████
 60 ┤██████████
 40 ┤██████████
 20 ┤██████████
  0 └──────────
`},
		{"on one too narrow", at(evenly(1000, 5*time.Second)...), 12, ""},
	} {
		var got strings.Builder
		graph(&got, c.packets, c.columns, BlockChart)
		if got.String() != c.want {
			t.Errorf("%s:%s\nwant:%s", c.name, got.String(), c.want)
		}
	}
}

// However long, many and wide: no line is wider than the terminal, bars fill at least a third of
// what there is, up to what a summary has, and the highest ends in the top row.
func TestGraphFits(t *testing.T) {
	for over := 10 * time.Microsecond; over < 2000*24*time.Hour; over = over * 7 / 3 {
		s := at(append(evenly(3000, over), over)...)
		for columns := 20; columns < 400; columns += 7 {
			var out strings.Builder
			graph(&out, s, columns, BlockChart)
			lines := strings.Split(strings.Trim(out.String(), "\n"), "\n")
			if len(lines) < 4 || !strings.ContainsAny(lines[1], "█▄") {
				t.Fatalf("%v in %d columns:\n%s", over, columns, out.String())
			}
			widest := 0
			for _, line := range lines[1:] {
				widest = max(widest, utf8.RuneCountInString(line))
			}
			if widest > columns || over > time.Millisecond && widest < min(columns, 128)/3 {
				t.Errorf("%v in %d columns is %d wide:\n%s", over, columns, widest, out.String())
			}
		}
	}
}

// A terminal without other characters has the same graph in ASCII, and one can be left out.
func TestGraphInASCII(t *testing.T) {
	s := at(append(evenly(1000, 5*24*time.Hour), evenly(300, 2*24*time.Hour)...)...)
	var got strings.Builder
	graph(&got, s, 50, ASCIIChart)
	if want := `
Packets in each column of 4h:
60 |############
50 |############
40 |############..................
30 |##############################
20 |##############################
10 |##############################
 0 +------------------------------
    2026-03-01 10:15 - 2026-03-06 10:07
`; got.String() != want {
		t.Errorf("%s\nwant:%s", got.String(), want)
	}
	got.Reset()
	graph(&got, at(0, 3*time.Microsecond), 80, ASCIIChart)
	beyondASCII := func(r rune) bool { return r >= utf8.RuneSelf }
	if text := got.String(); !strings.Contains(text, "column of 1us:") || strings.ContainsFunc(text, beyondASCII) {
		t.Errorf("%s", text)
	}
	got.Reset()
	if graph(&got, s, 80, NoChart); got.Len() > 0 {
		t.Errorf("%s", got.String())
	}
}
