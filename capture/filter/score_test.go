package filter

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"text/tabwriter"
)

var printScore = flag.Bool("score", false, "TestCorpus prints the score of every context and all that deviates")

// A finding is a difference between libpcap and this package that shows on one
// expression of the corpus in one context.
type finding struct {
	context, id   string
	kind          findingKind
	uninitialised bool // libpcap's program reads a scratch word that it has not written
}

type findingKind string

const (
	accepts            findingKind = "accepts what libpcap refuses"
	refuses            findingKind = "refuses what libpcap accepts"
	acceptsUnoptimised findingKind = "accepts unoptimised what libpcap refuses"
	refusesUnoptimised findingKind = "refuses unoptimised what libpcap accepts"
	otherPackets       findingKind = "matches other packets" // whole, snapped or mutated ones
	otherCutPackets    findingKind = "matches other cut packets"
	otherReturn        findingKind = "keeps another length than the snapshot length"
	longer             findingKind = "is longer than libpcap's program"
)

// What the package owes on length: no real expression longer than libpcap makes
// it, nearly all others neither, and all together shorter.
const (
	lengthShare = 0.99
	lengthRatio = 0.90
)

// A contextScore counts agreement in one context.
type contextScore struct {
	context  string
	verdicts map[string]*ratio // accepted or refused as by libpcap, by class
	packets  map[string]*ratio // packets decided as by libpcap, by kind
	lengths  ratio             // programs no longer than libpcap's
	longReal int               // programs of class real longer than libpcap's
	ours     int               // instructions of all programs
	libpcaps int
	findings []finding
}

type ratio struct{ good, all int }

func (r *ratio) count(good bool) {
	r.all++
	if good {
		r.good++
	}
}

func (r *ratio) String() string {
	switch {
	case r == nil || r.all == 0:
		return "-"
	case r.good == r.all:
		return fmt.Sprintf("all %d", r.all)
	}
	return fmt.Sprintf("%d of %d", r.good, r.all)
}

var (
	corpusClasses = []string{"real", "edge", "suite", "gen", "invalid"}
	packetKinds   = []string{"whole", "snapped", "mutated", "cut"}
)

// TestCorpus compares every expression of the corpus in every context with what
// libpcap made of it. All differences must stand in the table of deviations, and
// everything in the table must still differ.
func TestCorpus(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of cases, or a peer for each")
	}
	t.Parallel()
	expressions := readCorpusExpressions(t)
	names := corpusNames(t)
	known := newDeviationAccount()
	total := newContextScore("total")
	var scores []*contextScore
	for _, c := range corpusContexts {
		s := scoreContext(t, c, names, expressions)
		scores = append(scores, s)
		total.merge(s)
		for _, f := range s.findings {
			if known.explain(f) == "" && f.matters(expressions) {
				t.Errorf("%s %s %s: %q", f.context, f.id, f.kind, expressions[f.id].text)
			}
		}
	}
	known.checkUsed(t)
	if share := float64(total.lengths.good) / float64(total.lengths.all); share < lengthShare {
		t.Errorf("%.2f %% of all programs are no longer than libpcap's, want %.0f %%", 100*share, 100*lengthShare)
	}
	if r := float64(total.ours) / float64(total.libpcaps); r > lengthRatio {
		t.Errorf("all programs together have %.3f times the length of libpcap's, want %.2f", r, lengthRatio)
	}
	if *printScore {
		writeScores(os.Stdout, append(scores, total), expressions, known)
	}
}

// matters is false for the length of what nobody would write: of that, only the
// share of programs that are no longer than libpcap's counts.
func (f finding) matters(expressions map[string]corpusExpression) bool {
	return f.kind != longer || expressions[f.id].class == "real"
}

func newContextScore(context string) *contextScore {
	s := &contextScore{context: context, verdicts: make(map[string]*ratio), packets: make(map[string]*ratio)}
	for _, class := range corpusClasses {
		s.verdicts[class] = new(ratio)
	}
	for _, kind := range packetKinds {
		s.packets[kind] = new(ratio)
	}
	return s
}

func scoreContext(tb testing.TB, c corpusContext, names Names, expressions map[string]corpusExpression) *contextScore {
	s := newContextScore(c.name)
	packets := readCorpusPackets(tb, c)
	target := c.corpusTarget(names)
	unoptimised := target
	unoptimised.Unoptimised = true
	for _, want := range readCorpusResults(tb, c.name) {
		e := expressions[want.ID]
		program, err := Compile(e.text, target)
		s.verdicts[e.class].count((err == nil) == want.OK)
		s.compareVerdict(want, err == nil, want.OK, accepts, refuses)
		_, err = Compile(e.text, unoptimised)
		wantUnoptimised := want.OK
		if want.OK0 != nil {
			wantUnoptimised = *want.OK0
		}
		s.compareVerdict(want, err == nil, wantUnoptimised, acceptsUnoptimised, refusesUnoptimised)
		if program == nil || !want.OK {
			continue
		}
		s.compareLength(want, len(program.Instructions), e.class)
		s.comparePackets(tb, want, program, packets, target.SnapLength)
	}
	return s
}

func (s *contextScore) find(want corpusResult, kind findingKind) {
	s.findings = append(s.findings, finding{s.context, want.ID, kind, want.Uninitialised})
}

func (s *contextScore) compareVerdict(want corpusResult, ours, libpcaps bool, accepts, refuses findingKind) {
	switch {
	case ours && !libpcaps:
		s.find(want, accepts)
	case !ours && libpcaps:
		s.find(want, refuses)
	}
}

func (s *contextScore) compareLength(want corpusResult, length int, class string) {
	s.ours += length
	s.libpcaps += want.Nopt
	s.lengths.count(length <= want.Nopt)
	if length > want.Nopt {
		s.find(want, longer)
		if class == "real" {
			s.longReal++
		}
	}
}

// comparePackets leaves out the packets on which libpcap's optimised and
// unoptimised programs disagree: either decision will do there.
func (s *contextScore) comparePackets(tb testing.TB, want corpusResult, program *Program, packets []corpusPacket,
	snapLength uint32) {
	accepted, disagree := want.accepted(tb, packets)
	differ := make(map[findingKind]bool)
	for i, p := range packets {
		if slices.Contains(disagree, i) {
			continue
		}
		keep := program.Match(p.data, p.meta)
		same := (keep != 0) == accepted.has(i)
		s.packets[p.kind].count(same)
		switch {
		case !same && p.kind == "cut":
			differ[otherCutPackets] = true
		case !same:
			differ[otherPackets] = true
		case keep != 0 && keep != snapLength:
			differ[otherReturn] = true
		}
	}
	for _, kind := range []findingKind{otherPackets, otherCutPackets, otherReturn} {
		if differ[kind] {
			s.find(want, kind)
		}
	}
}

func (s *contextScore) merge(other *contextScore) {
	for class, r := range other.verdicts {
		s.verdicts[class].good += r.good
		s.verdicts[class].all += r.all
	}
	for kind, r := range other.packets {
		s.packets[kind].good += r.good
		s.packets[kind].all += r.all
	}
	s.lengths.good += other.lengths.good
	s.lengths.all += other.lengths.all
	s.longReal += other.longReal
	s.ours += other.ours
	s.libpcaps += other.libpcaps
}

// writeScores prints the three tables of the score (verdicts, packets, lengths),
// then what differs and why, and at the end what differs without a reason.
func writeScores(w io.Writer, scores []*contextScore, expressions map[string]corpusExpression,
	known *deviationAccount) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\naccepted and refused as by libpcap\treal\tedge\tsuite\tgen\tinvalid")
	for _, s := range scores {
		fmt.Fprint(table, s.context)
		for _, class := range corpusClasses {
			fmt.Fprint(table, "\t", s.verdicts[class])
		}
		fmt.Fprintln(table)
	}
	fmt.Fprintln(table, "\npackets decided as by libpcap\twhole\tsnapped\tmutated\tcut")
	for _, s := range scores {
		fmt.Fprint(table, s.context)
		for _, kind := range packetKinds {
			fmt.Fprint(table, "\t", s.packets[kind])
		}
		fmt.Fprintln(table)
	}
	fmt.Fprintln(table,
		"\nlength of programs\tno longer than libpcap's\treal ones longer\tinstructions\tlibpcap's\tratio")
	for _, s := range scores {
		if s.lengths.all == 0 {
			continue
		}
		fmt.Fprintf(table, "%s\t%.2f %%\t%d\t%d\t%d\t%.3f\n", s.context,
			100*float64(s.lengths.good)/float64(s.lengths.all),
			s.longReal, s.ours, s.libpcaps, float64(s.ours)/float64(s.libpcaps))
	}
	table.Flush()
	writeDifferences(w, scores, expressions, known)
}

func writeDifferences(w io.Writer, scores []*contextScore, expressions map[string]corpusExpression,
	known *deviationAccount) {
	reasons := make(map[string]int)
	var unexplained, longerToo []string
	for _, s := range scores {
		for _, f := range s.findings {
			line := fmt.Sprintf("%s %s %s: %q", f.context, f.id, f.kind, expressions[f.id].text)
			switch reason := known.explain(f); {
			case reason != "":
				reasons[reason]++
			case f.matters(expressions):
				unexplained = append(unexplained, line)
			default:
				longerToo = append(longerToo, line)
			}
		}
	}
	fmt.Fprintln(w, "\ndifferences that are explained")
	for _, d := range deviations {
		fmt.Fprintf(w, "%6d  %s\n", reasons[d.reason], d.reason)
	}
	fmt.Fprintf(w, "\n%d other programs are longer than libpcap's, none of them of a real expression\n", len(longerToo))
	for _, line := range longerToo {
		fmt.Fprintln(w, " ", line)
	}
	fmt.Fprintf(w, "\n%d differences are not explained\n", len(unexplained))
	for _, line := range unexplained {
		fmt.Fprintln(w, " ", line)
	}
}
