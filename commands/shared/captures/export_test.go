package captures

import (
	"strings"
	"testing"

	"diagsh/capture"
)

// Of a copy that is read back at its target the list says so.
func TestCopiesThatAreChecked(t *testing.T) {
	var text strings.Builder
	Exports(&text, []capture.Export{{File: "a.pcap", Target: "vault", State: capture.ExportSending, Bytes: 1000, Sent: 1000, Checked: 250}})
	if !strings.Contains(text.String(), "checking 25%") {
		t.Errorf("it says %q", text.String())
	}
}
