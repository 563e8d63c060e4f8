package filter

// flow is what the passes know about a block.
type flow struct{}

func (g *graph) optimise(expression string) *Error { return nil }
