// Package portload says how often the port log is right. A workload (load) makes sockets of every
// kind and writes down who did what with them; the scorer looks for each of these truths in the
// log's records. Nothing here is shared with the engine but the words of a record.
package portload

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"path"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"diagsh/diag/ports"
	"diagsh/internal/test/portload/truth"
)

// A Tally counts the truths of one class and event.
type Tally struct {
	Class, Event string
	Truths       int
	Found        int // with any process or none
	Right        int
	Wrong        int // another process, or the right PID with another file or name
	Bytes        int // of a close: both sums are exact
	Counted      int // truths that know the bytes

	Faults []string // the first few that were not right
}

// Recall and WrongRate are percentages of the truths.
func (t *Tally) Recall() float64    { return 100 * float64(t.Right) / float64(max(t.Truths, 1)) }
func (t *Tally) WrongRate() float64 { return 100 * float64(t.Wrong) / float64(max(t.Truths, 1)) }

// A Score is all tallies in the order of the truths, and what the log says beside them.
type Score struct {
	Tallies []*Tally

	// Surplus are connections and attempts that name a process of the workload and match no truth,
	// such as one that was told twice.
	Surplus []ports.Record
}

// slack is how far the stamps of a record and of a truth may be apart. The process says what it did
// after it did it, and may have to wait for the processor.
const slack = 5 * time.Second

// maxFaults is how many faults of a class are kept.
const maxFaults = 5

// counted are the events of which each must be a truth.
var counted = []ports.Event{ports.Connected, ports.Accepted, ports.Used, ports.Refused, ports.TimedOut, ports.Aborted,
	ports.Failed, ports.Flowed}

// ends finds records. Ports of a truth may be 0, if the process did not ask for them.
type ends struct {
	event         ports.Event
	protocol      ports.Protocol
	netns         uint64
	local, remote uint16
}

// Judge looks for each truth in the records.
func Judge(truths []truth.Truth, records []ports.Record) *Score {
	matches, used := match(truths, records)
	s := &Score{}
	tallies := map[[2]string]*Tally{}
	own := map[int]bool{}
	for i, t := range truths {
		key := [2]string{t.Class, t.Event}
		tally := tallies[key]
		if tally == nil {
			tally = &Tally{Class: t.Class, Event: t.Event}
			tallies[key] = tally
			s.Tallies = append(s.Tallies, tally)
		}
		own[t.PID] = t.PID != 0
		if matches[i] < 0 {
			tally.add(t, nil)
			continue
		}
		tally.add(t, &records[matches[i]])
	}
	first := classOrder(truths)
	slices.SortFunc(s.Tallies, func(a, b *Tally) int {
		return cmp.Or(cmp.Compare(first[a.Class], first[b.Class]),
			cmp.Compare(slices.Index(ports.Events, ports.Event(a.Event)), slices.Index(ports.Events, ports.Event(b.Event))))
	})
	for i, r := range records {
		if !used[i] && own[r.PID] && slices.Contains(counted, r.Event) {
			s.Surplus = append(s.Surplus, r)
		}
	}
	return s
}

// match returns the record of each truth, or -1, and which records are of one.
func match(truths []truth.Truth, records []ports.Record) (matches []int, used []bool) {
	at := map[ends][]int{}
	for i, r := range records {
		k := ends{r.Event, r.Protocol, r.NetNS, r.LocalPort, r.RemotePort}
		for _, local := range slices.Compact([]uint16{0, k.local}) {
			for _, remote := range slices.Compact([]uint16{0, k.remote}) {
				at[ends{k.event, k.protocol, k.netns, local, remote}] =
					append(at[ends{k.event, k.protocol, k.netns, local, remote}], i)
			}
		}
	}
	used = make([]bool, len(records))
	matches = make([]int, len(truths))
	for i := range matches {
		matches[i] = -1
	}
	// The same two ends may be those of a later connection, of other processes. So a record is of the
	// truth that is nearest to it, and not of the first one that lacks its own.
	take := func(only func(*truth.Truth, *ports.Record) bool) {
		var pairs []pair
		for i := range truths {
			t := &truths[i]
			if matches[i] >= 0 {
				continue
			}
			for _, n := range at[ends{ports.Event(t.Event), ports.Protocol(t.Protocol), t.NetNS, t.Local.Port(), t.Remote.Port()}] {
				if d, ok := apart(t, &records[n]); ok && !used[n] && only(t, &records[n]) {
					pairs = append(pairs, pair{i, n, d})
				}
			}
		}
		slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(a.apart, b.apart) })
		for _, p := range pairs {
			if matches[p.truth] < 0 && !used[p.record] {
				matches[p.truth], used[p.record] = p.record, true
			}
		}
	}
	// Several sockets may have the same end and no other, and several processes the same socket. So
	// each truth of such takes a record of its own process, if there is one, and then what is left.
	take(func(t *truth.Truth, r *ports.Record) bool { return t.Remote.Port() == 0 && r.PID == t.PID })
	take(func(*truth.Truth, *ports.Record) bool { return true })
	return matches, used
}

// classOrder returns the place of the first truth of each class: the order in which tables list them.
func classOrder(truths []truth.Truth) map[string]int {
	first := map[string]int{}
	for i, t := range truths {
		if _, ok := first[t.Class]; !ok {
			first[t.Class] = i
		}
	}
	return first
}

// A pair is a truth and a record that may be of it, and how far apart their times are.
type pair struct {
	truth, record int
	apart         time.Duration
}

// apart returns how far apart the times of a truth and a record are, and whether the record may be of
// the truth's socket.
func apart(t *truth.Truth, r *ports.Record) (time.Duration, bool) {
	if !same(t.Local, r.LocalAddress) || !same(t.Remote, r.RemoteAddress) {
		return 0, false
	}
	// A process that has a socket without another end says none. The kernel, which rejects, says
	// nothing.
	if t.PID != 0 && t.Protocol != string(ports.UDP) && t.Remote.Port() == 0 && r.RemotePort != 0 {
		return 0, false
	}
	if t.Event == string(ports.Held) {
		return 0, true // it was opened long before
	}
	d := r.Time.Sub(t.Time).Abs()
	return d, d < slack
}

// same reports whether an address of the log can be that of the truth: a socket that is bound to
// all addresses has none of its own.
func same(said netip.AddrPort, logged netip.Addr) bool {
	return !said.IsValid() || said.Addr().IsUnspecified() || !logged.IsValid() || logged.IsUnspecified() ||
		said.Addr().Unmap() == logged
}

func (y *Tally) add(t truth.Truth, r *ports.Record) {
	y.Truths++
	if t.Sent != nil {
		y.Counted++
	}
	if r == nil {
		y.fault(t, "no record")
		return
	}
	y.Found++
	switch {
	case r.PID == 0 && t.PID != 0:
		y.fault(t, "no process: %s", say(r))
	case r.PID != t.PID || t.Exe != "" && r.Exe != "" && r.Exe != t.Exe || t.Process != "" && r.Name != "" && r.Name != t.Process:
		y.Wrong++
		y.fault(t, "wrong: %s", say(r))
	default:
		y.Right++
	}
	if t.Sent == nil {
		return
	}
	if r.BytesSent != nil && r.BytesReceived != nil && *r.BytesSent == *t.Sent && *r.BytesReceived == *t.Received {
		y.Bytes++
	} else {
		y.fault(t, "bytes: %s", say(r))
	}
}

// fault notes a fault, the wrong processes first.
func (y *Tally) fault(t truth.Truth, format string, args ...any) {
	wrong := strings.HasPrefix(format, "wrong")
	if len(y.Faults) < maxFaults || wrong && y.Wrong <= maxFaults {
		sums := ""
		if t.Sent != nil {
			sums = fmt.Sprintf(" %d/%d bytes", *t.Sent, *t.Received)
		}
		text := fmt.Sprintf("%s %s #%d at %s by %d %s %s %v-%v netns %d%s: ", t.Class, t.Event,
			t.Index, t.Time.Format("05.000000"), t.PID, path.Base(t.Exe), t.Protocol, t.Local, t.Remote, t.NetNS, sums) +
			fmt.Sprintf(format, args...)
		if wrong {
			y.Faults = slices.Insert(y.Faults, 0, text)
		} else {
			y.Faults = append(y.Faults, text)
		}
	}
}

func say(r *ports.Record) string {
	sums := ""
	if r.BytesSent != nil && r.BytesReceived != nil {
		sums = fmt.Sprintf(" %d/%d bytes", *r.BytesSent, *r.BytesReceived)
	}
	return fmt.Sprintf("%s at %s by %d %q %s %s %s:%d-%s:%d netns %d socket %d%s %s", r.Event, r.Time.Format("05.000000"), r.PID,
		r.Name, path.Base(r.Exe), r.Protocol, r.LocalAddress, r.LocalPort, r.RemoteAddress, r.RemotePort, r.NetNS, r.Socket,
		sums, r.Reason)
}

// Sum adds all tallies up.
func (s *Score) Sum() *Tally {
	all := &Tally{Class: "all"}
	for _, t := range s.Tallies {
		all.Truths += t.Truths
		all.Found += t.Found
		all.Right += t.Right
		all.Wrong += t.Wrong
		all.Bytes += t.Bytes
		all.Counted += t.Counted
	}
	return all
}

// Compare returns a table of scores of the same workload beside each other, those of the tiers A, B
// and C, with that of a log whose processes are all replaced in its last row. packets are the scores of their
// flows.
func Compare(tiers, packets []*Score, control *Score) string {
	var b strings.Builder
	b.WriteString("| class | event | truths | A: right % | wrong % | bytes exact % | B: right % | wrong % | C: found % | right % | wrong % |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, scores := range [][]*Score{tiers, packets} {
		for _, t := range scores[0].Tallies {
			row(&b, t.Class, t.Event, scores, func(s *Score) *Tally { return s.of(t.Class, t.Event) })
		}
		row(&b, "**all of these**", "", scores, (*Score).Sum)
	}
	sum := control.Sum()
	fmt.Fprintf(&b, "| control: all processes replaced | | %d | %s | %s | | | | | | |\n", sum.Truths, percent(sum.Right, sum.Truths),
		percent(sum.Wrong, sum.Truths))
	return b.String()
}

// row writes a row of the table: a tally of each score.
func row(b *strings.Builder, class, event string, scores []*Score, of func(*Score) *Tally) {
	fmt.Fprintf(b, "| %s | %s | %d", class, event, of(scores[0]).Truths)
	for i, s := range scores {
		t := of(s)
		if i == 2 {
			b.WriteString(" | " + percent(t.Found, t.Truths))
		}
		b.WriteString(" | " + percent(t.Right, t.Truths) + " | " + percent(t.Wrong, t.Truths))
		if i == 0 {
			b.WriteString(" | " + percent(t.Bytes, t.Counted))
		}
	}
	b.WriteString(" |\n")
}

// of returns the tally of a class and event.
func (s *Score) of(class, event string) *Tally {
	for _, t := range s.Tallies {
		if t.Class == class && t.Event == event {
			return t
		}
	}
	return &Tally{Class: class, Event: event}
}

// Text writes the tallies for a terminal, with the faults.
func (s *Score) Text(w io.Writer) {
	tabs := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tabs, "class\tevent\ttruths\tfound %\tright %\twrong %\tbytes exact %")
	for _, t := range append(slices.Clone(s.Tallies), s.Sum()) {
		fmt.Fprintf(tabs, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", t.Class, t.Event, t.Truths, percent(t.Found, t.Truths),
			percent(t.Right, t.Truths), percent(t.Wrong, t.Truths), percent(t.Bytes, t.Counted))
	}
	tabs.Flush()
	s.Faults(w)
}

// Faults writes what was not right, and what was told without a truth.
func (s *Score) Faults(w io.Writer) {
	for _, t := range s.Tallies {
		for _, f := range t.Faults {
			fmt.Fprintln(w, f)
		}
	}
	for i, r := range s.Surplus {
		if i == 4*maxFaults {
			fmt.Fprintf(w, "and %d more\n", len(s.Surplus)-i)
			break
		}
		fmt.Fprintln(w, "without a truth:", say(&r))
	}
}

func percent(part, whole int) string {
	if whole == 0 {
		return ""
	}
	text := fmt.Sprintf("%.2f", 100*float64(part)/float64(whole))
	if part < whole && text == "100.00" {
		return "99.99"
	}
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}
