package capture

import "strings"

// PlainNameHint says what PlainName accepts.
const PlainNameHint = "A name has at most 64 letters, digits, dots, hyphens and underscores, and begins with a " +
	"letter or digit"

// PlainName reports whether a capture, or what stands beside captures, may have a name: it can be a
// part of a file's name, and is none of the words that mean all captures, or none.
func PlainName(name string) bool {
	const first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return name != "" && len(name) <= 64 && strings.Trim(name, first+"._-") == "" &&
		strings.ContainsRune(first, rune(name[0])) && !strings.EqualFold(name, All) && !strings.EqualFold(name, "CLEAR")
}
