package captures

import (
	"fmt"
	"io"

	"diagsh/capture"
)

// Target writes a target.
func Target(w io.Writer, t capture.Target) {
	auto := "when asked"
	if t.Auto {
		auto = "every capture as it closes"
	}
	fmt.Fprintf(w, "Target:      %s\nTo:          %s\nLogin:       by %s\nCopies:      %s\n", t.Name,
		t.URL, t.Login, auto)
	if t.HostKey != "" {
		fmt.Fprintf(w, "Host key:    %s\n", t.HostKey)
	}
}

// Exports writes a line for each copy, and below it its error.
func Exports(w io.Writer, list []capture.Export) {
	if len(list) == 0 {
		fmt.Fprintln(w, "Nothing was copied and nothing waits.")
		return
	}
	rows := [][]string{{"FILE", "TARGET", "STATE", "SENT", "OF", "TRIES"}}
	for _, e := range list {
		rows = append(rows, []string{e.File, e.Target, string(e.State), Bytes(e.Sent), Bytes(e.Bytes),
			fmt.Sprint(e.Tries)})
	}
	fitted(w, rows, "TRIES", "OF", "SENT")
	for _, e := range list {
		if e.Error != "" {
			fmt.Fprintf(w, "%s to %s: %s.\n", e.File, e.Target, e.Error)
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
