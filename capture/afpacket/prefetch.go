//go:build amd64 || arm64

package afpacket

// prefetch asks for three lines of the processor's cache from p on, and waits for none. The
// compiler has no word for it, and a load in its place holds up what comes after it.
//
//go:noescape
func prefetch(p *byte)
