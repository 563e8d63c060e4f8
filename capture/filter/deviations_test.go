package filter

import (
	"strings"
	"testing"
)

// A deviation is one difference from libpcap that we have decided on, or can
// explain, and the expressions of the corpus on which it shows.
type deviation struct {
	reason string
	kind   findingKind
	// cases are expressions by context; "*" stands for every context that has
	// been compiled with the expression.
	cases map[string]string
}

var deviations = []deviation{}

// explainedFindings spells the table out, one entry a finding.
func explainedFindings(tb testing.TB) map[finding]bool {
	tb.Helper()
	all := make(map[finding]bool)
	for _, d := range deviations {
		if d.reason == "" {
			tb.Errorf("a deviation without a reason: %v", d)
		}
		for context, ids := range d.cases {
			for _, id := range strings.Fields(ids) {
				f := finding{context, id, d.kind}
				if _, twice := all[f]; twice {
					tb.Errorf("twice in the table of deviations: %v", f)
				}
				all[f] = false
			}
		}
	}
	return all
}
