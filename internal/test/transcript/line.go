package transcript

import (
	"fmt"
	"strings"

	"diagsh/internal/test/appliance"
)

// playLines runs the one-line forms of a section.
func (p *player) playLines(s section) []string {
	var got []string
	for _, written := range s.lines {
		line, isInput := strings.CutPrefix(written, "$ ")
		if !isInput {
			continue
		}
		var r appliance.Result
		if s.user == "root" {
			r = p.appliance.Local(line)
		} else {
			r = p.appliance.SSH(s.user, line)
		}
		got = append(got, written)
		got = append(got, p.stream("", r.Out)...)
		got = append(got, p.stream("! ", r.Err)...)
		got = append(got, fmt.Sprintf("= %d", r.Status))
	}
	return got
}

// stream writes the lines of an output stream. One that does not end with a newline says so.
func (p *player) stream(mark, text string) []string {
	if text == "" {
		return nil
	}
	body, whole := strings.CutSuffix(text, "\n")
	var lines []string
	for _, line := range strings.Split(body, "\n") {
		lines = append(lines, strings.TrimRight(mark+p.normal.line(line), " "))
	}
	if !whole {
		lines[len(lines)-1] += "<no newline>"
	}
	return p.menus.fold(once(lines))
}
