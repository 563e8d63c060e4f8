package captures

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"diagsh/capture"
)

// What stands on a screen of 80 columns is no wider, whatever the names and filters are; words are
// not torn, and the user's own filter is there as it was given.
func TestTextsFitIn80Columns(t *testing.T) {
	long := strings.Repeat("host 192.0.2.1 or ", 12) + "port 25"
	s := capture.Status{Name: strings.Repeat("n", 30), State: capture.Stopped, StopReason: capture.PacketCountReached,
		StartTime: time.Unix(1e9, 0), EndTime: time.Unix(1e9+9e4, 0),
		Options: capture.Options{Filter: long, Interfaces: strings.Split(strings.Repeat("interface,", 20), ","),
			Limits: capture.Limits{SizeBytes: 1 << 30, DurationSeconds: 90, Packets: 1 << 40}},
		EffectiveFilter: "not (tcp) and (" + long + ")", Owner: "administrator", PacketsWritten: 1 << 40,
		PacketsDropped: new(uint64(3)), PacketsMatched: new(uint64(1 << 40)), PacketsReceived: 1 << 40,
		PacketsBehindLimit: 7, BytesWritten: 1 << 40,
		Files: []capture.FileInfo{{Name: "mx1.lab.example-" + strings.Repeat("n", 30) +
			"-20261120-101502.pcapng"}},
		InterfacesLeftOut: []capture.LeftOut{{Interface: "tun0",
			Reason: "there are no Ethernet addresses on link type RAW"}}}
	running := s
	running.State, running.StopReason, running.EndTime, running.StartTime = capture.Running, "", time.Time{}, time.Now()
	planned := capture.Status{Name: "later", State: capture.NotStarted, Start: time.Unix(2e9, 0), Owner: "op"}
	settings := capture.Settings{Options: capture.Options{Filter: long, Interfaces: []string{"eth0", "eth1"},
		Limits: capture.Limits{SizeBytes: 200 << 20}}}
	var b strings.Builder
	for _, list := range [][]capture.Status{{s, running, planned}, {s, planned}} {
		Brief(&b, list, settings)
		Statuses(&b, list)
		Table(&b, list)
	}
	Settings(&b, settings)
	Exports(&b, []capture.Export{{File: "mx1-web-20261120-101502.pcapng", Target: "archive",
		State: "waiting", Bytes: 1 << 40}})
	b.WriteString(EffectiveFilter(s) + Whereabouts(s) +
		Unseen(capture.Status{FilesBeside: []capture.FileBeside{{Blind: []string{strings.Repeat("sockets of others ", 9), "second"}}}}) +
		Whereabouts(capture.Status{Options: capture.Options{Mode: capture.Ring}}))
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > columns &&
			strings.Count(strings.TrimSpace(line), " ") > 0 && !strings.Contains(line, ".pcapng") {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if folded := strings.Join(strings.Fields(b.String()), " "); !strings.Contains(folded,
		"Filter: "+long+" Management: left out") {
		t.Errorf("the user's own filter is not there as it was given:\n%s", b.String())
	}
	b.Reset()
	Brief(&b, nil, capture.Settings{Options: capture.Options{Interfaces: []string{"ALL"},
		Limits: capture.Limits{SizeBytes: 200 << 20}}})
	if want := "Capture:   none running\nSettings:  filter none | interfaces ALL | size 200MB | management left " +
		"out\n"; b.String() != want {
		t.Errorf("the settings of a new appliance are\n%s", b.String())
	}
}
