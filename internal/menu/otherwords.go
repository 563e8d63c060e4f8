package menu

import (
	"fmt"
	"strings"

	"diagsh/internal/menu/words"
)

// OtherWords is what users of other systems type, and its equivalent here. It is used only for a
// line that is not understood, so it takes nothing from the tree.
type OtherWords struct {
	// Lines are the other systems' lines, or their beginnings. A bar follows the part of a word
	// that may not be left out, as in "sh|ow ver|sion". A word such as "-a" means flags that
	// include this letter.
	Lines []string
	// Here are the equivalent lines, the likeliest first. May be empty.
	Here []string
	// Note is one more sentence without its full stop, or the only one.
	Note string
}

// sentence says what to write instead, in a menu or at the top.
func (o OtherWords) sentence(atTop bool) string {
	if len(o.Here) == 0 {
		return o.Note
	}
	text := "Here it is: " + words.Or(o.Here)
	if !atTop {
		text = "At the top prompt it is: " + words.Or(o.Here)
	}
	if o.Note != "" {
		text += ". " + o.Note
	}
	return text
}

// otherWords returns the entry that most words of a line match, and their number.
func (m *Menu) otherWords(words []string) (found *OtherWords, n int) {
	for i := range m.Others {
		for _, line := range m.Others[i].Lines {
			pattern := strings.Fields(line)
			if len(pattern) > n && len(pattern) <= len(words) && matchesAll(pattern, words[:len(pattern)]) {
				found, n = &m.Others[i], len(pattern)
			}
		}
	}
	return found, n
}

func matchesAll(pattern, words []string) bool {
	for i, p := range pattern {
		if !matchesWord(p, words[i]) {
			return false
		}
	}
	return true
}

func matchesWord(pattern, word string) bool {
	word = strings.ToLower(word)
	if len(pattern) == 2 && pattern[0] == '-' {
		return len(word) > 1 && word[0] == '-' && word[1] != '-' && strings.Contains(word[1:], pattern[1:])
	}
	least, rest, _ := strings.Cut(pattern, "|")
	return strings.HasPrefix(word, least) && strings.HasPrefix(least+rest, word)
}

// elsewhere replaces the refusal of a line by its equivalent here, if it is known from another
// system.
func (m *Menu) elsewhere(at []string, words []Word, refusal error) error {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = w.Text
		if !w.Quoted && strings.HasPrefix(w.Text, "|") {
			if i > 0 {
				if o, n := m.otherWords(texts[:i]); o != nil {
					return notHere(texts[:n], o.sentence(len(at) == 0))
				}
			}
			return Errorf(Usage, "A line has no pipe (|) here").
				WithHint("At a terminal / searches in long output; elsewhere: ssh HOST 'LINE' | grep TEXT")
		}
	}
	if o, n := m.otherWords(texts); o != nil {
		return notHere(texts[:n], o.sentence(len(at) == 0))
	}
	if whole := append(append([]string(nil), at...), texts...); len(at) > 0 {
		if o, n := m.otherWords(whole); o != nil && n > len(at) {
			return notHere(whole[len(at):n], o.sentence(false))
		}
	}
	return refusal
}

func notHere(words []string, sentence string) error {
	return Errorf(Usage, "%s is not known here", Quoted(strings.Join(words, " "))).WithHint("%s", sentence)
}

// maxRemarks is how many lines of other systems are listed for completion.
const maxRemarks = 5

// remark returns, for a line being typed that nothing here can complete, the lines of other systems
// that it may begin.
func (m *Menu) remark(at []string, typed []string, partial string) string {
	if o, _ := m.otherWords(typed); o != nil && partial == "" {
		return o.sentence(len(at) == 0) + ".\n"
	}
	var b strings.Builder
	remarks := 0
	for _, o := range m.Others {
		for _, line := range o.Lines {
			pattern := strings.Fields(line)
			if len(pattern) <= len(typed) || !matchesAll(pattern[:len(typed)], typed) {
				continue
			}
			next := strings.ReplaceAll(pattern[len(typed)], "|", "")
			if partial == "" || !strings.HasPrefix(next, strings.ToLower(partial)) {
				continue
			}
			if remarks++; remarks > maxRemarks {
				return ""
			}
			fmt.Fprintf(&b, "%s: %s.\n", strings.ReplaceAll(line, "|", ""), words.LowerFirst(o.sentence(len(at) == 0)))
			break
		}
	}
	return b.String()
}
