// Package words cuts lines into words, and quotes words so that lines keep them whole.
package words

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"diagsh/internal/menu/problem"
)

// A Word is one word of a line, without its quotes.
type Word struct {
	Text   string
	Start  int  // byte offset of its first character (a quote counts) in the line
	End    int  // byte offset after its last
	Quoted bool // part of it was in quotes or after a backslash: never an abbreviated keyword
}

// MaxLine limits a line of input in bytes: far above any filter that a kernel accepts, far below
// what could hurt.
const MaxLine = 64 << 10

// Split cuts a line at `;` into commands and each command into words. Any white space separates
// words (unicode.IsSpace, as strings.Fields has it): text pasted from a page or a chat has no-break
// spaces. Quotes are the shell's: everything is literal in single quotes; in double quotes a
// backslash escapes `"` and `\`; outside both it escapes any character.
func Split(line string) ([][]Word, error) {
	if len(line) > MaxLine {
		return nil, problem.Errorf(problem.Usage, "The line is longer than %d bytes", MaxLine)
	}
	commands := [][]Word{nil}
	for i := 0; i < len(line); {
		switch space := leadingSpace(line[i:]); {
		case space > 0:
			i += space
		case line[i] == ';':
			commands = append(commands, nil)
			i++
		default:
			word, next, err := scanWord(line, i)
			if err != nil {
				return nil, err
			}
			commands[len(commands)-1] = append(commands[len(commands)-1], word)
			i = next
		}
	}
	// A trailing `;` ends the last command and does not begin another.
	kept := commands[:0]
	for _, c := range commands {
		if len(c) > 0 {
			kept = append(kept, c)
		}
	}
	return kept, nil
}

// leadingSpace returns the length in bytes of the white space character at the beginning of a text,
// or 0.
func leadingSpace(text string) int {
	if r, size := utf8.DecodeRuneInString(text); unicode.IsSpace(r) {
		return size
	}
	return 0
}

func scanWord(line string, start int) (Word, int, error) {
	var b strings.Builder
	w := Word{Start: start}
	i := start
	for i < len(line) {
		switch c := line[i]; {
		case c == ';' || leadingSpace(line[i:]) > 0:
			w.Text, w.End = b.String(), i
			return w, i, nil
		case c == '\'':
			n := strings.IndexByte(line[i+1:], '\'')
			if n < 0 {
				return w, i, problem.Errorf(problem.Usage, "The quote ' at character %d is not closed", i+1)
			}
			b.WriteString(line[i+1 : i+1+n])
			w.Quoted = true
			i += n + 2
		case c == '"':
			n, err := scanDouble(line, i, &b)
			if err != nil {
				return w, i, err
			}
			w.Quoted = true
			i = n
		case c == '\\':
			if i+1 == len(line) {
				return w, i, problem.Errorf(problem.Usage, "The line ends in a backslash")
			}
			_, size := utf8.DecodeRuneInString(line[i+1:])
			b.WriteString(line[i+1 : i+1+size])
			w.Quoted = true
			i += 1 + size
		default:
			b.WriteByte(c)
			i++
		}
	}
	w.Text, w.End = b.String(), i
	return w, i, nil
}

func scanDouble(line string, start int, b *strings.Builder) (int, error) {
	for i := start + 1; i < len(line); i++ {
		switch line[i] {
		case '"':
			return i + 1, nil
		case '\\':
			if i+1 < len(line) && (line[i+1] == '"' || line[i+1] == '\\') {
				i++
			}
			b.WriteByte(line[i])
		default:
			b.WriteByte(line[i])
		}
	}
	return start, problem.Errorf(problem.Usage, "The quote \" at character %d is not closed", start+1)
}

// Quote quotes a word so that Split reads it back as one.
func Quote(word string) string {
	if word != "" && !strings.ContainsAny(word, ";'\"\\") && strings.IndexFunc(word, unicode.IsSpace) < 0 {
		return word
	}
	if !strings.Contains(word, "'") {
		return "'" + word + "'"
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}
