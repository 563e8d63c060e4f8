package capture

import "strings"

// PlainNameHint says what PlainName accepts.
const PlainNameHint = "A name has at most 64 letters, digits, dots, hyphens and underscores, and begins with a " +
	"letter or digit"

// PlainName reports whether a capture or a target may have a name. The name must be fit for
// a part of a file's name, and must be none of the words ALL and CLEAR, in any case.
func PlainName(name string) bool {
	const first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return name != "" && len(name) <= 64 && strings.Trim(name, first+"._-") == "" &&
		strings.ContainsRune(first, rune(name[0])) && !strings.EqualFold(name, All) && !strings.EqualFold(name, "CLEAR")
}
