package words

import "strings"

// One returns a text without the blanks beside signs such as those of a list or a range, and
// reports whether it has no other blanks: 20 21 is not 2021.
func One(text string) (word string, one bool) {
	for i, part := range strings.Fields(text) {
		if i > 0 && !strings.ContainsAny(word[len(word)-1:], "-;,!(") && !strings.ContainsAny(part[:1], "-;,)") {
			return "", false
		}
		word += part
	}
	return word, true
}
