package ssh

import (
	"strings"
)

// An environment is what a client may say about its user's terminal and language, and nothing else: what else a client sends would
// reach into the session process.
type environment map[string]string

// maxVariables is the number of categories of locale(7) with room to spare.
const maxVariables = 24

func (e environment) set(name, value string) bool {
	if !localeName(name) || !plainValue(value) || len(e) >= maxVariables {
		return false
	}
	e[name] = value
	return true
}

// setTerm keeps the terminal's type; one that cannot be a name in terminfo(5) is a terminal without abilities.
func (e environment) setTerm(term string) {
	if term == "" || !plainValue(term) {
		term = "dumb"
	}
	e["TERM"] = term
}

func (e environment) list() []string {
	var list []string
	for name, value := range e {
		list = append(list, name+"="+value)
	}
	return list
}

func localeName(name string) bool {
	category, isCategory := strings.CutPrefix(name, "LC_")
	if !isCategory {
		return name == "LANG"
	}
	return category != "" && len(category) <= 20 && strings.Trim(category, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == ""
}

func plainValue(value string) bool {
	return len(value) <= 64 && strings.IndexFunc(value, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-+@:", r))
	}) < 0
}
