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
	context, id string
	kind        findingKind
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
	expressions := readCorpusExpressions(t)
	names := corpusNames(t)
	explained := explainedFindings(t)
	total := newContextScore("total")
	var scores []*contextScore
	for _, c := range corpusContexts {
		s := scoreContext(t, c, names, expressions)
		scores = append(scores, s)
		total.merge(s)
		for _, f := range s.findings {
			if _, known := explained[f]; known {
				explained[f] = true
			} else if f.kind != longer || expressions[f.id].class == "real" {
				t.Errorf("%s %s %s: %q", f.context, f.id, f.kind, expressions[f.id].text)
			}
		}
	}
	for f, still := range explained {
		if !still {
			t.Errorf("remove from the table of deviations: %s %s %s", f.context, f.id, f.kind)
		}
	}
	if share := float64(total.lengths.good) / float64(total.lengths.all); share < lengthShare {
		t.Errorf("%.2f %% of all programs are no longer than libpcap's, want %.0f %%", 100*share, 100*lengthShare)
	}
	if r := float64(total.ours) / float64(total.libpcaps); r > lengthRatio {
		t.Errorf("all programs together have %.3f times the length of libpcap's, want %.2f", r, lengthRatio)
	}
	if *printScore {
		writeScores(os.Stdout, append(scores, total), expressions, explained)
	}
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
		s.compareVerdict(want.ID, err == nil, want.OK, accepts, refuses)
		_, err = Compile(e.text, unoptimised)
		wantUnoptimised := want.OK
		if want.OK0 != nil {
			wantUnoptimised = *want.OK0
		}
		s.compareVerdict(want.ID, err == nil, wantUnoptimised, acceptsUnoptimised, refusesUnoptimised)
		if program == nil || !want.OK {
			continue
		}
		s.compareLength(want, len(program.Instructions), e.class)
		s.comparePackets(tb, want, program, packets, target.SnapLength)
	}
	return s
}

func (s *contextScore) find(id string, kind findingKind) {
	s.findings = append(s.findings, finding{s.context, id, kind})
}

func (s *contextScore) compareVerdict(id string, ours, libpcaps bool, accepts, refuses findingKind) {
	switch {
	case ours && !libpcaps:
		s.find(id, accepts)
	case !ours && libpcaps:
		s.find(id, refuses)
	}
}

func (s *contextScore) compareLength(want corpusResult, length int, class string) {
	s.ours += length
	s.libpcaps += want.Nopt
	s.lengths.count(length <= want.Nopt)
	if length > want.Nopt {
		s.find(want.ID, longer)
		if class == "real" {
			s.longReal++
		}
	}
}

// comparePackets leaves out the packets on which libpcap's optimised and
// unoptimised programs disagree: either decision will do there.
func (s *contextScore) comparePackets(tb testing.TB, want corpusResult, program *Program, packets []corpusPacket, snapLength uint32) {
	if len(packets) == 0 {
		return
	}
	accepted := parsePacketSet(tb, want.Bits)
	differ := make(map[findingKind]bool)
	for i, p := range packets {
		if slices.Contains(want.Udiff, i) {
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
			s.find(want.ID, kind)
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
// and the findings with the expression, those without a reason marked.
func writeScores(w io.Writer, scores []*contextScore, expressions map[string]corpusExpression, explained map[finding]bool) {
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
	fmt.Fprintln(table, "\nlength of programs\tno longer than libpcap's\treal ones longer\tinstructions\tlibpcap's\tratio")
	for _, s := range scores {
		if s.lengths.all == 0 {
			continue
		}
		fmt.Fprintf(table, "%s\t%.2f %%\t%d\t%d\t%d\t%.3f\n", s.context, 100*float64(s.lengths.good)/float64(s.lengths.all),
			s.longReal, s.ours, s.libpcaps, float64(s.ours)/float64(s.libpcaps))
	}
	table.Flush()
	fmt.Fprintln(w, "\ndifferences (! without a reason in the table of deviations)")
	for _, s := range scores {
		for _, f := range s.findings {
			mark := " "
			if _, known := explained[f]; !known && (f.kind != longer || expressions[f.id].class == "real") {
				mark = "!"
			}
			fmt.Fprintf(w, "%s %s %s %s: %q\n", mark, f.context, f.id, f.kind, expressions[f.id].text)
		}
	}
}
