package shell

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"diagsh/internal/menu"
)

// A part is one command of a line. A line typed at a prompt and one sent as a whole are split and
// understood by the same code: it tells the shell's own words from those for the appliance.
type part struct {
	text string   // as it is in the line
	own  string   // help, ? (what may follow text), terminal or exit; empty: a command of the appliance
	args []string // after an own word
}

// parts splits a line into its commands. A line that cannot be split, such as one with an open
// quote, is one part, for the appliance to refuse.
func parts(line string) (list []part) {
	commands, err := menu.Split(line)
	if err != nil {
		return []part{{text: strings.TrimSpace(line)}}
	}
	for _, words := range commands {
		list = append(list, understood(line[words[0].Start:words[len(words)-1].End]))
	}
	return list
}

func understood(text string) part {
	if before, asked := strings.CutSuffix(text, "?"); asked && (before == "" || endsInSpace(before)) {
		return part{text: before, own: "?"}
	}
	words := strings.Fields(text)
	p := part{text: text}
	switch word := strings.ToLower(words[0]); {
	case word == "help":
		p.own, p.args = "help", strings.Fields(strings.ToLower(text))[1:]
	case word == "exit" || word == "quit":
		p.own, p.args = "exit", words
	case len(word) >= len("term") && strings.HasPrefix("terminal", word):
		p.own, p.args = "terminal", words[1:]
	case word == "set" && len(words) > 2 && strings.EqualFold(words[1], "cli"):
		// which drivers for Junos send unasked
		if name, ok := strings.CutPrefix(strings.ToLower(words[2]), "screen-"); ok {
			p.own, p.args = "terminal", append([]string{name}, words[3:]...)
		}
	}
	return p
}

// theirs returns the appliance's commands of a line, as a line.
func theirs(list []part) string {
	var texts []string
	for _, p := range list {
		if p.own == "" {
			texts = append(texts, p.text)
		}
	}
	return strings.Join(texts, "; ")
}

func endsInSpace(text string) bool {
	r, _ := utf8.DecodeLastRuneInString(text)
	return unicode.IsSpace(r)
}

// standsAlone refuses words after exit and quit.
func (p part) standsAlone() error {
	if len(p.args) == 1 {
		return nil
	}
	return menu.Errorf(menu.Usage, "%s takes no argument: it leaves", strings.ToLower(p.args[0]))
}
