package words

import "strings"

// Or joins names as a sentence does: a, b or c.
func Or(names []string) string {
	switch len(names) {
	case 0:
		return "nothing"
	case 1:
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// LowerFirst returns a sentence as it goes on after a colon: without its full stop, and with a small first
// letter unless it begins with a name in capitals.
func LowerFirst(s string) string {
	s = strings.TrimSuffix(s, ".")
	if len(s) > 1 && (s[1] >= 'a' && s[1] <= 'z' || s[1] == ' ') {
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}
