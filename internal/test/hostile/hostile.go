// Package hostile has what a stranger would like to have on a screen.
package hostile

// Text has cursor movement, an 8-bit control, text that runs backwards, line ends of every kind, and
// a line that looks like ours. Harmless is how one line shows it.
const (
	Text     = "a\x1b[2J\x07\x9b\u009b31m\x7f\u202e\u2028\u2029b\r\nFORGED\n"
	Harmless = `a\x1b[2J\x07\x9b\x9b31m\x7f\u202e\u2028\u2029b\x0d\x0aFORGED\x0a`
)
