package captures

import (
	"strings"
	"testing"
	"time"

	"diagsh/capture"
)

// None were dropped is said only of a capture that counts them, and of which no part is missing.
func TestDropsOfAStatus(t *testing.T) {
	zero := uint64(0)
	some := []capture.FileBeside{{Kind: "drops", Reasons: []capture.DropReason{{Reason: "NO_SOCKET", Packets: 3, Recorded: 2}}}}
	for _, test := range []struct {
		state   capture.State
		dropped *uint64
		beside  []capture.FileBeside
		want    string
	}{
		{capture.NotStarted, &zero, nil, "Drops: recorded beside the file, with the reasons"},
		{capture.Running, &zero, nil, "Drops: none"},
		{capture.Stopped, &zero, some, "Drops: NO_SOCKET 3 (2 in the file)"},
		{capture.Stopped, nil, nil, "Drops: none are known; " + uncounted},
		{capture.Running, nil, some, "Drops: NO_SOCKET 3 (2 in the file); " + uncounted},
	} {
		var text strings.Builder
		Status(&text, capture.Status{State: test.state, StartTime: time.Now(), Options: capture.Options{Drops: true},
			PacketsDropped: test.dropped, FilesBeside: test.beside})
		if got := strings.Join(strings.Fields(text.String()), " "); !strings.Contains(got, test.want+" Filter:") {
			t.Errorf("%s: %q is missing:\n%s", test.state, test.want, text.String())
		}
	}
	var text strings.Builder
	DropTable(&text, nil, true)
	if !strings.Contains(text.String(), uncounted) {
		t.Errorf("beside a summary: %q", text.String())
	}
}

// Settings say what else they select beside the filter: nobody looks for packets that no capture takes.
func TestSettingsInBrief(t *testing.T) {
	for _, test := range []struct {
		options capture.Options
		want    string
	}{
		{capture.Options{Interfaces: []string{"ALL"}}, "interfaces ALL | size unlimited"},
		{capture.Options{Interfaces: []string{"ALL"}, Process: "curl", Scenario: "web"}, "interfaces ALL | process curl | scenario web | "},
	} {
		var text strings.Builder
		Brief(&text, nil, capture.Settings{Options: test.options})
		if got := strings.Join(strings.Fields(text.String()), " "); !strings.Contains(got, test.want) {
			t.Errorf("%q is missing:\n%s", test.want, got)
		}
	}
	var text strings.Builder
	Settings(&text, capture.Settings{Options: capture.Options{Drops: true}})
	if !strings.Contains(text.String(), "Drops:       recorded beside the file") {
		t.Errorf("the settings are\n%s", text.String())
	}
}
