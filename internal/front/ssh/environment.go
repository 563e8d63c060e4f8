package ssh

import "diagsh/internal/access"

// An environment is what a client says about its user's terminal and language.
type environment map[string]string

// set sets a variable of an "env" request, and reports whether the client may.
func (e environment) set(name, value string) bool {
	if name == "TERM" || !access.FitsEnvironment(name, value) || len(e) >= access.MaxVariables {
		return false
	}
	e[name] = value
	return true
}

// setTerm sets the type of the terminal. A type that cannot be a name in terminfo(5) becomes one
// without abilities.
func (e environment) setTerm(term string) {
	if term == "" || !access.FitsEnvironment("TERM", term) {
		term = "dumb"
	}
	e["TERM"] = term
}
