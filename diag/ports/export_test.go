package ports

// NewSmall returns an engine whose ring buffer holds so many bytes, a power of two.
func NewSmall(o Options, ring uint32) *Engine {
	e := New(o)
	e.sizes.ring = ring
	return e
}
