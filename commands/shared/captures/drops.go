package captures

import (
	"fmt"
	"io"
	"strings"

	"diagsh/capture"
	"diagsh/internal/menu"
)

// Drops returns why the kernel dropped packets while a capture ran, of the file beside it; empty if
// it has no such file.
func Drops(s capture.Status) (list []capture.DropReason) {
	for _, f := range s.FilesBeside {
		list = append(list, f.Reasons...)
	}
	return list
}

// drops says in a line what the kernel dropped, or of a capture that has not begun, and of settings,
// that it will be said.
func drops(s capture.Status) string {
	if s.State == "" || s.State == capture.NotStarted {
		return "recorded beside the file, with the reasons"
	}
	var parts []string
	noise := uint64(0)
	for _, r := range Drops(s) {
		if r.Noise {
			noise += r.Packets
			continue
		}
		parts = append(parts, fmt.Sprintf("%s %d (%d in the file)", menu.Clean(r.Reason), r.Packets, r.Recorded))
	}
	text := strings.Join(parts, ", ")
	switch {
	case Uncounted(s) && text == "":
		text = "none are known; " + uncounted
	case Uncounted(s):
		text += "; " + uncounted
	case text == "":
		text = "none"
	}
	if noise > 0 {
		text += "; and " + Count(int(noise), "packet") + " of everyday noise"
	}
	return text
}

// Uncounted reports whether a part of a capture with drops was interrupted, so that it is not known
// how many packets the kernel dropped then.
func Uncounted(s capture.Status) bool { return s.Drops && s.PacketsDropped == nil }

const uncounted = "how many more there were until the appliance was interrupted is not known"

// DropTable writes what the kernel dropped while a capture ran, and whether there may be more.
func DropTable(w io.Writer, list []capture.DropReason, more bool) {
	if more {
		defer fmt.Fprintf(w, "\nPackets that the kernel dropped: %s.\n", uncounted)
	}
	if len(list) == 0 {
		return
	}
	rows := [][]string{{"DROPPED BY THE KERNEL", "PACKETS", "IN THE FILE"}}
	for _, r := range list {
		recorded := fmt.Sprint(r.Recorded)
		if r.Noise {
			recorded = "everyday noise"
		}
		rows = append(rows, []string{menu.Clean(r.Reason), fmt.Sprint(r.Packets), recorded})
	}
	fmt.Fprintln(w)
	fitted(w, rows)
}
