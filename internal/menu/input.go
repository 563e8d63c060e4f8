package menu

// An Input is what somebody says to a command that runs: a line, or that no more come.
type Input struct {
	Line string `json:"line"` // without its end
	Ends bool   `json:"ends,omitempty"`
}

// MaxInputLine bounds a line of Input in bytes.
const MaxInputLine = 16 << 10

// Typing is the other direction of Out: lines for a command that runs.
type Typing struct {
	Lines  <-chan Input // nil if nobody says anything
	Person bool         // they are typed as they come, by somebody who sees the output; else they come from a program
}

// A Typist is a Sink whose reader also says something.
type Typist interface {
	Typing() Typing
}

// Typing is what is said to the command, if it was declared Interactive.
func (o *Out[R]) Typing() Typing {
	if t, ok := o.sink.(Typist); ok {
		return t.Typing()
	}
	return Typing{}
}

// Converses says that the command, given these arguments, takes lines while it runs.
func (c *Command) Converses(given Arguments) bool {
	if !c.Interactive {
		return false
	}
	for name := range given {
		if p := c.param(name); p != nil && p.Alone {
			return false
		}
	}
	return true
}
