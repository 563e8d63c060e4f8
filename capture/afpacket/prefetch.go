//go:build amd64 || arm64

package afpacket

// prefetch requests three lines from p on for the processor's cache, and waits for none. Go has no
// statement for it, and an ordinary load would stall what follows.
//
//go:noescape
func prefetch(p *byte)
