package capture

import "strings"

// PlainName reports whether a capture or a target may have a name. The name must be fit for
// a part of a file's name, and must be none of the words ALL and CLEAR, in any case.
func PlainName(name string) bool {
	const first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return name != "" && len(name) <= 80 && strings.Trim(name, first+"._-") == "" &&
		strings.ContainsRune(first, rune(name[0])) && !reserved(name)
}

// PlainNameHint says what PlainName accepts where it refuses a name.
func PlainNameHint(name string) string {
	if reserved(name) {
		return "In commands it stands for something else; choose another name"
	}
	return "A name has at most 80 letters, digits, dots, hyphens and underscores, and begins with a letter or digit"
}

func reserved(name string) bool {
	return strings.EqualFold(name, All) || strings.EqualFold(name, "CLEAR")
}
