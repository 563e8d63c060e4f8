package captures

import (
	"fmt"
	"io"
	"strings"
	"time"

	"diagsh/capture"
	"diagsh/internal/menu"
)

// Target writes a target.
func Target(w io.Writer, t capture.Target) {
	auto := "when asked"
	if t.Auto {
		auto = "every capture as it closes"
	}
	if t.Manifest {
		auto += ", with a list of its files"
	}
	if t.Paused {
		auto += "; paused"
	}
	fmt.Fprintf(w, "Target:      %s\nTo:          %s\nLogin:       by %s\nCopies:      %s\n", t.Name,
		t.URL, t.Login, auto)
	for _, one := range []struct{ label, text string }{
		{"Host key:    ", t.HostKey}, {"Through:     ", t.Proxy}, {"Place:       ", t.Template},
	} {
		if one.text != "" {
			fmt.Fprintf(w, "%s%s\n", one.label, menu.Clean(one.text))
		}
	}
	if n := strings.Count(t.Authorities, "BEGIN CERTIFICATE"); n > 0 {
		fmt.Fprintf(w, "Authorities: %s of its own\n", Count(n, "certificate"))
	}
	if t.BytesPerSecond > 0 {
		fmt.Fprintf(w, "Bandwidth:   at most %s/s\n", Bytes(t.BytesPerSecond))
	}
}

// ExportSettings writes the bounds of all copies.
func ExportSettings(w io.Writer, s capture.ExportSettings) {
	bandwidth, giveUp := "no limit", "never"
	if s.BytesPerSecond > 0 {
		bandwidth = "at most " + Bytes(s.BytesPerSecond) + "/s together"
	}
	if s.GiveUpSeconds > 0 {
		giveUp = "after " + menu.FormatDuration(time.Duration(s.GiveUpSeconds)*time.Second) + " without progress"
	}
	fmt.Fprintf(w, "At a time:   %s, %d to one target\nBandwidth:   %s\nGives up:    %s\n", Count(int(s.Parallel), "file"), s.PerTarget,
		bandwidth, giveUp)
}

// Exports writes a line for each copy, and below it its error.
func Exports(w io.Writer, list []capture.Export) {
	if len(list) == 0 {
		fmt.Fprintln(w, "Nothing was copied and nothing waits.")
		return
	}
	rows := [][]string{{"FILE", "TARGET", "STATE", "SENT", "OF", "RATE", "LEFT", "TRIES"}}
	for _, e := range list {
		rate, left := "", ""
		if e.BytesPerSecond > 0 {
			rate = Bytes(e.BytesPerSecond) + "/s"
		}
		if e.SecondsLeft != nil {
			left = menu.FormatDuration(time.Duration(*e.SecondsLeft) * time.Second)
		}
		state := string(e.State)
		if e.State == capture.ExportSending && e.Checked > 0 {
			state = fmt.Sprintf("checking %d%%", 100*e.Checked/max(e.Bytes, 1))
		}
		rows = append(rows, []string{e.File, e.Target, state, Bytes(e.Sent), Bytes(e.Bytes), rate, left, fmt.Sprint(e.Tries)})
	}
	fitted(w, rows, "TRIES", "OF", "RATE", "LEFT", "SENT")
	for _, e := range list {
		held := ""
		if e.Held {
			held = " Its file is kept until you begin it anew or cancel it (copies)."
		}
		if e.Error != "" {
			fmt.Fprintf(w, "%s to %s: %s.%s\n", e.File, e.Target, e.Error, held)
		}
	}
}

// Queued is a file that will be copied.
type Queued struct {
	File    string `json:"file"`
	Capture string `json:"capture,omitempty"`
	Target  string `json:"target"`
}

// QueuedText writes a file that will be copied.
func QueuedText(w io.Writer, q Queued) { fmt.Fprintf(w, "Queued: %s to %s.\n", q.File, q.Target) }
