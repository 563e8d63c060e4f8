package scenarios

import (
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"diagsh/internal/daemon/reports"
)

// differences are the lines by which tables after the capture differ from those of its beginning.
func (r *Room) differences(j *job, before, after []reading) reports.Section {
	section := reports.Section{Title: "What changed meanwhile", Note: "- is a line that was there when the capture began, + one that is there after its end."}
	for _, b := range before {
		i := slices.IndexFunc(after, func(a reading) bool { return a.Line == b.Line })
		if i < 0 || b.Text == "" || after[i].Text == "" {
			continue
		}
		first, err := r.text(j, b.Text)
		second, err2 := r.text(j, after[i].Text)
		if err = errors.Join(err, err2); err != nil {
			section.Members = append(section.Members, reports.Member{Title: b.Title, Note: "it cannot be read"})
			continue
		}
		if lines := changed(first, second); lines != "" {
			role := b.Role
			if after[i].Role.Includes(role) { // the one that may see less may not see what changed
				role = after[i].Role
			}
			name := titled("changes/"+path.Base(b.Text), b.Title)
			section.Members = append(section.Members, content(name, b.Title, b.Line, role, []byte(lines)))
		}
	}
	if len(section.Members) == 0 {
		section.Note = "Nothing that the tables show."
	}
	return section
}

func (r *Room) text(j *job, name string) (string, error) {
	f, err := r.open(j, name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 2*tableBytes))
	return string(text), err
}

// lapse is what differs each time: how long something took in a test of the network, and the clock of
// a web server.
var lapse = regexp.MustCompile(`\d+(\.\d+)? m?s\b|^Date: .*`)

// changed returns the lines that only one of two texts has, each text's in its order. A line that
// only moved is in both, and so is one that differs only in a lapse.
func changed(before, after string) string {
	count := map[string]int{}
	for line := range strings.Lines(after) {
		count[alike(line)]++
	}
	var b strings.Builder
	rest := map[string]int{}
	for line := range strings.Lines(before) {
		if key := alike(line); count[key] > 0 {
			count[key]--
			rest[key]++
			continue
		}
		fmt.Fprintf(&b, "- %s\n", strings.TrimRight(line, "\n"))
	}
	for line := range strings.Lines(after) {
		if key := alike(line); rest[key] > 0 {
			rest[key]--
			continue
		}
		fmt.Fprintf(&b, "+ %s\n", strings.TrimRight(line, "\n"))
	}
	return b.String()
}

// alike is the same text for lines between which there is no difference.
func alike(line string) string {
	return lapse.ReplaceAllString(strings.TrimRight(line, "\n"), "0 s")
}
