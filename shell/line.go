package shell

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"diagsh/internal/menu"
)

// A part is one command of a line. Typed at a prompt or sent as one line it is divided and understood here, in the one way: the words that
// are the shell's own are told from those that are for the appliance.
type part struct {
	text string   // as it stands in the line
	own  string   // help, ? (what may follow text), terminal or exit; empty: it is the appliance's
	args []string // behind an own word
}

// parts are the commands of a line. A line that cannot be split, as one with an open quote, is one, and for the appliance to refuse.
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
		if name, ok := strings.CutPrefix(strings.ToLower(words[2]), "screen-"); ok { // what drivers for Junos send unasked
			p.own, p.args = "terminal", append([]string{name}, words[3:]...)
		}
	}
	return p
}

// theirs is what of a line is the appliance's, as a line.
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

// standsAlone refuses words behind exit and quit.
func (p part) standsAlone() error {
	if len(p.args) == 1 {
		return nil
	}
	return menu.Errorf(menu.Usage, "%s stands alone: it leaves", strings.ToLower(p.args[0]))
}
