package term

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	prompt "github.com/c-bata/go-prompt"
)

// complete handles Tab: it writes what all suggestions have in common, and lists them if that is
// nothing new.
func (e *editor) complete(b *prompt.Buffer) {
	if e.line.Complete == nil {
		return
	}
	d := b.Document()
	before := d.TextBeforeCursor()
	found := e.line.Complete(d.Text, len(before))
	if len(found) == 0 {
		e.screen.bell()
		return
	}
	if len(found) == 1 && found[0].Text == "" {
		e.screen.above(found[0].Help)
		return
	}
	typed := before[WordStart(before):]
	word := agreed(found)
	if len(found) == 1 && !strings.HasPrefix(d.TextAfterCursor(), " ") {
		word += " "
	}
	switch {
	case len(found) == 1 || len(word) > len(typed):
		b.DeleteBeforeCursor(utf8.RuneCountInString(typed))
		b.InsertText(scrubbed(word), false, true)
	default:
		e.screen.above(e.candidates(found))
	}
}

// WordStart returns the byte offset of the word that a text ends in: after its last white space.
func WordStart(text string) int {
	return len(strings.TrimRightFunc(text, func(r rune) bool { return !unicode.IsSpace(r) }))
}

// help handles ?: it shows what may follow.
func (e *editor) help(b *prompt.Buffer) {
	text := ""
	if e.line.Help != nil {
		d := b.Document()
		text = e.line.Help(d.Text, len(d.TextBeforeCursor()))
	}
	if text == "" {
		b.InsertText("?", false, true)
		return
	}
	e.screen.above(text)
}

// agreed returns the common beginning of all suggestions.
func agreed(found []Suggestion) string {
	word := found[0].Text
	for _, s := range found[1:] {
		n := 0
		for n < len(word) && n < len(s.Text) {
			r, size := utf8.DecodeRuneInString(word[n:])
			if other, _ := utf8.DecodeRuneInString(s.Text[n:]); other != r {
				break
			}
			n += size
		}
		word = word[:n]
	}
	return word
}

// candidates formats suggestions: each with its help if the window has the rows, cut to the
// window's width, else in columns, else as many as fit.
func (e *editor) candidates(found []Suggestion) string {
	width, height := e.screen.size()
	rows := max(height-2, 1)
	longest := 0
	for _, s := range found {
		longest = max(longest, columns(scrubbed(s.Text)))
	}
	var out strings.Builder
	if len(found) <= rows {
		var whole, cut strings.Builder
		for _, s := range found {
			entry := strings.TrimRight(fmt.Sprintf("  %s  %s", pad(scrubbed(s.Text), longest), scrubbed(s.Help)), " ")
			whole.WriteString(Wrapped(entry, width-1) + "\n")
			cut.WriteString(strings.TrimRight(fit(entry, width-1), " ") + "\n")
		}
		if strings.Count(whole.String(), "\n") <= rows {
			return whole.String()
		}
		return cut.String()
	}
	across := max((width-1)/(longest+2), 1)
	shown := found
	if len(found) > rows*across {
		shown = found[:max((rows-1)*across, 1)]
	}
	for i, s := range shown {
		if i > 0 && i%across == 0 {
			out.WriteString("\n")
		}
		out.WriteString("  " + fit(pad(scrubbed(s.Text), longest), width-3))
	}
	if more := len(found) - len(shown); more > 0 {
		fmt.Fprintf(&out, "\n  ... %d more", more)
	}
	return out.String()
}

// pad fills a text with blanks to a width in columns.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-columns(text)))
}
