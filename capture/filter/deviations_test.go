package filter

import (
	"slices"
	"strings"
	"testing"
)

// A deviation is one difference from libpcap that was decided on, or can be
// explained, and the expressions of the corpus on which it shows.
type deviation struct {
	reason string
	kinds  []findingKind
	// expressions are those of the corpus, by id; each must show one of the kinds in
	// at least one context. Empty: those whose libpcap program reads a scratch word
	// that it has not written (marked "uninit" in the corpus).
	expressions string
	contexts    []string // empty: all
}

var deviations = []deviation{
	{
		reason:      "libpcap 1.10 forgets to load the byte of `byte N & V` and `byte N | V` and tests what is left of the test before",
		kinds:       []findingKind{otherPackets, otherCutPackets, longer},
		expressions: "r0596 r0598 s1371 s1372 s1550 g0647 g0648 g0650 g0651 g0652 g0653 g0655 g0656 g0659",
	},
	{
		reason:      "`gateway` is compiled out of Debian's libpcap; it is part of the language",
		kinds:       []findingKind{accepts, acceptsUnoptimised},
		expressions: "r0101 r0104 s1132 s1134",
	},
	{
		reason:      "libpcap 1.10 takes `x & 0xffffffff = 0` for always false",
		kinds:       []findingKind{accepts},
		expressions: "s1422 s1430 s1438",
	},
	{
		reason:      "`vxlan` came after libpcap 1.10",
		kinds:       []findingKind{accepts, acceptsUnoptimised},
		expressions: "s1475",
	},
	{
		reason:      "libpcap's live program is short because it takes the place of the type in a tagged packet for that in an untagged one (its issue 1513)",
		kinds:       []findingKind{longer},
		expressions: "r0406 r0419",
		contexts:    []string{"en10mb-live"},
	},
	{
		reason:      "libpcap keeps the length of the 802.11 header in a scratch word that arithmetic further left uses too: `len > 100 or tcp`",
		kinds:       []findingKind{otherPackets, otherCutPackets},
		expressions: "g0749 g1012 g1035 g1041 g1714 g1731 g1750 g1837 g1866 g1923 g1998 g2009 g2021 g2033 g2083 g2116 g2122 g2130 g2195",
		contexts:    []string{"radiotap", "ieee802_11"},
	},
	{
		reason: "libpcap's program takes offsets from scratch words that it has not written (pppoes and geneve on 802.11 and live)",
		kinds:  []findingKind{otherPackets, otherCutPackets, longer},
	},
}

// deviationAccount keeps account of which deviations were needed.
type deviationAccount struct{ used []map[string]bool }

func newDeviationAccount() *deviationAccount {
	x := &deviationAccount{}
	for range deviations {
		x.used = append(x.used, make(map[string]bool))
	}
	return x
}

// explain finds the reason for a difference, or returns "".
func (x *deviationAccount) explain(f finding) string {
	for i, d := range deviations {
		if !slices.Contains(d.kinds, f.kind) || len(d.contexts) > 0 && !slices.Contains(d.contexts, f.context) {
			continue
		}
		if d.expressions == "" && f.uninitialised || slices.Contains(strings.Fields(d.expressions), f.id) {
			x.used[i][f.id] = true
			return d.reason
		}
	}
	return ""
}

// checkUsed fails for what stands in the table and no longer deviates.
func (x *deviationAccount) checkUsed(t *testing.T) {
	t.Helper()
	for i, d := range deviations {
		if len(x.used[i]) == 0 {
			t.Errorf("nothing deviates any more because %s", d.reason)
		}
		for _, id := range strings.Fields(d.expressions) {
			if !x.used[i][id] {
				t.Errorf("%s no longer deviates because %s", id, d.reason)
			}
		}
	}
}
