package words

import "strings"

// AsksHelp reports whether a word behind a command asks for help in other systems.
func AsksHelp(word string) bool {
	switch strings.ToLower(word) {
	case "help", "--help", "-h":
		return true
	}
	return false
}
