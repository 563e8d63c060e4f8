package certificate

import (
	"strings"
	"testing"
	"time"

	"diagsh/internal/access"
)

// What a CA has given, or why not, is said with the certificate that is shown meanwhile.
func TestACMEText(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 15, 2, 0, time.UTC)
	a := access.ACME{Directory: "https://ca/d", Names: []string{"mx1", "mx2"}, State: "waiting"}
	all := access.Certificates{Present: access.Certificate{Origin: access.SelfSigned}, ACME: &a, Trouble: "Something is wrong."}
	for state, want := range map[string]string{
		"waiting": "By ACME from https://ca/d, for mx1, mx2: the CA has not given one yet\n",
		"valid":   "for mx1, mx2: valid\nLast try:   2026-03-01 10:15:02 UTC\nNext try:   2026-03-01 10:16:02 UTC\n",
		"failed":  "for mx1, mx2: failed 3 times\nThe CA refuses: No.\nLast try:   2026-03-01 10:15:02 UTC\n",
	} {
		a.State = state
		if state != "waiting" {
			next := at.Add(time.Minute)
			a.LastTry, a.NextTry, a.Failures, a.Failure = &at, &next, 3, "The CA refuses: No."
		}
		var b strings.Builder
		statusText(&b, all)
		if text := b.String(); !strings.HasPrefix(text, "Something is wrong.\n\n") || !strings.Contains(text, want) {
			t.Errorf("%s:\n%s", state, text)
		}
		a.LastTry, a.NextTry, a.Failures, a.Failure = nil, nil, 0, ""
	}
}
