package term

import (
	"unicode"

	prompt "github.com/c-bata/go-prompt"
)

// bindings are the keys that go-prompt lacks or gets wrong.
func (e *editor) bindings() map[string]prompt.KeyBindFunc {
	return map[string]prompt.KeyBindFunc{
		keyTab:      e.complete,
		keyHelp:     e.help,
		keySearch:   e.search,
		"\x1bb":     backWord,
		"\x1bB":     backWord,
		"\x1b[1;5D": backWord, // Ctrl-Left
		"\x1b[1;3D": backWord, // Alt-Left
		"\x1bf":     forwardWord,
		"\x1bF":     forwardWord,
		"\x1b[1;5C": forwardWord,
		"\x1b[1;3C": forwardWord,
		"\x1bd":     deleteWord,
		"\x1bD":     deleteWord,
		"\x1b\x7f":  deleteBackWord, // Alt-Backspace
		"\x1b\x08":  deleteBackWord,
	}
}

func backWord(b *prompt.Buffer)       { b.CursorLeft(wordBefore(b)) }
func forwardWord(b *prompt.Buffer)    { b.CursorRight(wordAfter(b)) }
func deleteBackWord(b *prompt.Buffer) { b.DeleteBeforeCursor(wordBefore(b)) }
func deleteWord(b *prompt.Buffer)     { b.Delete(wordAfter(b)) }

// wordBefore counts the characters back to the start of a word. go-prompt's own count mixes bytes
// and characters.
func wordBefore(b *prompt.Buffer) int {
	text := []rune(b.Document().TextBeforeCursor())
	i := len(text)
	for i > 0 && !inWord(text[i-1]) {
		i--
	}
	for i > 0 && inWord(text[i-1]) {
		i--
	}
	return len(text) - i
}

// wordAfter counts the characters up to the end of a word.
func wordAfter(b *prompt.Buffer) int {
	text := []rune(b.Document().TextAfterCursor())
	i := 0
	for i < len(text) && !inWord(text[i]) {
		i++
	}
	for i < len(text) && inWord(text[i]) {
		i++
	}
	return i
}

func inWord(r rune) bool { return unicode.In(r, unicode.L, unicode.M, unicode.N) }
