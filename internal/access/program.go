package access

import (
	"errors"
	"strings"
)

// A Program is what a login has run for it. The front that asks for it may be taken over, so Check
// refuses what cannot be a program.
type Program struct {
	Kind string `json:"kind"` // shell or exec
	// of exec; bytes, since JSON would change what is no UTF-8
	Line        []byte            `json:"line,omitempty"`
	Environment map[string]string `json:"environment,omitempty"` // the user's terminal type and language
	Terminal    *Terminal         `json:"terminal,omitempty"`    // nil: pipes
}

// A Terminal is what a client says of the terminal that its user sits at.
type Terminal struct {
	Size  WindowSize `json:"size"`
	Modes []byte     `json:"modes,omitempty"` // as RFC 4254 section 8 encodes them
}

// A WindowSize is in characters and in pixels, in the order of RFC 4254 section 6.2. Zero means
// unknown, and stays zero: what to make of it is the program's affair.
type WindowSize struct{ Columns, Rows, Width, Height uint32 }

// An Ended says how a program ended: with a status, or by a signal.
type Ended struct {
	Status uint32 `json:"status"`
	Signal string `json:"signal,omitempty"` // its name without SIG
}

// Signals that a program may be sent.
const (
	SignalInterrupt = "INT"
	SignalTerminate = "TERM"
	SignalHangUp    = "HUP"
	SignalKill      = "KILL"
)

// Bounds of a program. The line travels in one string of the environment, for which the kernel
// takes 128 KiB. 24 variables are all categories of locale(7) with room to spare. Modes are at most
// 159 opcodes with a value of four bytes.
const (
	MaxProgramLine  = 32 << 10
	MaxVariables    = 24
	MaxTerminalMode = 2 << 10
)

// Check returns why this cannot be a program, or nil.
func (p Program) Check() error {
	switch {
	case p.Kind != "shell" && p.Kind != "exec":
		return errors.New("a program of no known kind")
	case p.Kind == "shell" && len(p.Line) > 0:
		return errors.New("a shell with a line")
	case len(p.Line) > MaxProgramLine:
		return errors.New("a line that is too long")
	case strings.ContainsRune(string(p.Line), 0):
		return errors.New("a line with a zero byte")
	case len(p.Environment) > MaxVariables+1: // and TERM
		return errors.New("too many variables")
	case p.Terminal != nil && len(p.Terminal.Modes) > MaxTerminalMode:
		return errors.New("too many terminal modes")
	}
	for name, value := range p.Environment {
		if !FitsEnvironment(name, value) {
			return errors.New("a variable that is none of terminal or language")
		}
	}
	return nil
}

// FitsEnvironment reports whether a client may set a variable: terminal type and language, with
// plain values. What else it sends would reach into the session process.
func FitsEnvironment(name, value string) bool {
	return (name == "TERM" || name == "LANG" || localeCategory(name)) && plainValue(value)
}

func localeCategory(name string) bool {
	category, isCategory := strings.CutPrefix(name, "LC_")
	return isCategory && category != "" && len(category) <= 20 &&
		strings.Trim(category, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == ""
}

func plainValue(value string) bool {
	return len(value) <= 64 && strings.IndexFunc(value, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
			strings.ContainsRune("._-+@:", r))
	}) < 0
}
