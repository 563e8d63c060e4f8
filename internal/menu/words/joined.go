package words

import "strings"

// Joined returns words as a line, with quotes where their users typed them or as they are.
func Joined(words []Word, quoted bool) string {
	list := make([]string, len(words))
	for i, w := range words {
		switch list[i] = w.Text; {
		case quoted && w.Quoted && !strings.ContainsAny(w.Text, `"\`):
			list[i] = `"` + w.Text + `"`
		case quoted:
			list[i] = Quote(w.Text)
		}
	}
	return strings.Join(list, " ")
}
