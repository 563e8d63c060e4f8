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

// drops says in a line what the kernel dropped.
func drops(s capture.Status) string {
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
	if text == "" {
		text = "none"
	}
	if noise > 0 {
		text += "; and " + Count(int(noise), "packet") + " of everyday noise"
	}
	return text
}

// DropTable writes what the kernel dropped while a capture ran.
func DropTable(w io.Writer, list []capture.DropReason) {
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
