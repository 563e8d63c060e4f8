// Package recent keeps what is known of the connections that ended last, by their ends.
//
// In TIME_WAIT and FIN_WAIT_2 a connection is another socket to the kernel than before: without a file,
// and with another cookie. Only its ends tell whose it was.
package recent

import "net/netip"

// most is how many connections are kept.
const most = 1 << 13

// ends are small, and have no pointers for the garbage collector. IPv4 addresses are mapped.
type ends struct {
	local, remote         [16]byte
	localPort, remotePort uint16
	netns                 uint32
}

// Connections are what is known of the connections that ended last.
type Connections[T any] struct {
	known map[ends]T
	order [most]ends // of known
	n     int        // how many were added: the oldest is the next of order when it is full
}

// New returns Connections without any.
func New[T any]() *Connections[T] { return &Connections[T]{known: map[ends]T{}} }

// Add adds a connection, or replaces what is known of the one before with the same ends.
func (c *Connections[T]) Add(netns uint32, local, remote netip.AddrPort, about T) {
	e := endsOf(netns, local, remote)
	if _, known := c.known[e]; !known {
		place := &c.order[c.n%most]
		if c.n++; c.n > most {
			delete(c.known, *place)
		}
		*place = e
	}
	c.known[e] = about
}

// Of returns what is known of a connection.
func (c *Connections[T]) Of(netns uint32, local, remote netip.AddrPort) (about T, ok bool) {
	about, ok = c.known[endsOf(netns, local, remote)]
	return about, ok
}

func endsOf(netns uint32, local, remote netip.AddrPort) ends {
	return ends{local.Addr().As16(), remote.Addr().As16(), local.Port(), remote.Port(), netns}
}
