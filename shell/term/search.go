package term

import (
	"strings"
	"time"
	"unicode/utf8"

	prompt "github.com/c-bata/go-prompt"
)

const (
	keySearch    = "\x12" // Ctrl-R
	keyLeave     = "\x07" // Ctrl-G
	keyBackspace = "\x7f"
	keyCtrlH     = "\x08"
)

// search handles Ctrl-R: it searches the history, backwards, for the text typed next. Ctrl-R again
// finds the previous one, Ctrl-G returns to the original line, and any other key takes the line
// found and does what it always does.
//
// It runs inside go-prompt's handling of the key, and takes the keys itself meanwhile: go-prompt
// asks for the next one only after this one.
func (e *editor) search(b *prompt.Buffer) {
	history := e.history
	query, at := "", len(history)
	find := func(from int) {
		for i := min(from, len(history)-1); i >= 0; i-- {
			if strings.Contains(history[i], query) {
				at = i
				return
			}
		}
		e.screen.bell()
	}
	found := func() string {
		if at == len(history) {
			return b.Text()
		}
		return history[at]
	}
	for {
		text := found()
		e.screen.show(line{prompt: "(search) '" + query + "': ", text: text,
			cursor: max(0, strings.Index(text, query))})
		if e.wait(time.Time{}) != nil {
			return // and the parser, which waits next, finds the same reason
		}
		k, ok := e.keys.takeRune()
		if !ok {
			continue
		}
		e.touched()
		switch {
		case k == keyLeave:
			return
		case k == keySearch:
			find(at - 1)
		case k == keyBackspace || k == keyCtrlH:
			_, size := utf8.DecodeLastRuneInString(query)
			query = query[:len(query)-size]
		case (key{seq: k}).isText():
			query += k
			find(at)
		default:
			replace(b, text)
			e.keys.unread(key{seq: k})
			return
		}
	}
}

// replace makes text the whole line, with the cursor at its end.
func replace(b *prompt.Buffer, text string) {
	b.CursorRight(utf8.RuneCountInString(b.Document().TextAfterCursor()))
	b.DeleteBeforeCursor(utf8.RuneCountInString(b.Text()))
	b.InsertText(text, false, true)
}
