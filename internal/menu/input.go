package menu

// An Input is what is sent to a running command: a line, or the end.
type Input struct {
	Line string `json:"line"` // without its end
	Ends bool   `json:"ends,omitempty"`
}

// MaxInputLine limits a line of Input in bytes.
const MaxInputLine = 16 << 10

// Typing is the other direction of Out: lines for a running command.
type Typing struct {
	Lines  <-chan Input // nil if there is no input
	Person bool         // a user who sees the output types them as they come; otherwise a program sends them
}

// A Typist is a Sink whose reader also sends lines.
type Typist interface {
	Typing() Typing
}

// Typing returns what is sent to the command, if it was declared Interactive.
func (o *Out[R]) Typing() Typing {
	if t, ok := o.sink.(Typist); ok {
		return t.Typing()
	}
	return Typing{}
}

// Converses reports whether the command takes lines while it runs, given these arguments.
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
