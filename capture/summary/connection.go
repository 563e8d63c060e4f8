package summary

import (
	"bytes"

	"diagsh/capture/headers"
)

// A connection is a TCP connection, as far as it was seen. The same ports used again are a new one.
type connection struct {
	key  ends
	ways [2]way // from key.a to key.b, and back

	first, last int64
	client      int8 // the way that its opener sends on; -1: not known
	answered    bool // a SYN-ACK came after the SYN
	fin, reset  [2]bool

	handshake handshake
	turns     turns
	faults    faults
	flow      *Flow // of it; nil if flows are not listed

	older, newer *connection // in the order of their last packets
}

// ends is the key of a connection, the smaller end first.
type ends struct {
	a, b         headers.Address
	aPort, bPort uint16
}

// faults counts what happened in one connection.
type faults struct {
	retransmissions, outOfOrder, zeroWindows, lost int64
}

// endsOf returns the ends, and whether the packet goes from b to a.
func endsOf(network headers.Network, source, target uint16) (key ends, back bool) {
	order := bytes.Compare(network.Source[:], network.Target[:])
	if order > 0 || order == 0 && source > target {
		return ends{network.Target, network.Source, target, source}, true
	}
	return ends{network.Source, network.Target, source, target}, false
}

// connections remembers at most most of them. The one that was silent for longest makes room for a
// new one.
type connections struct {
	most           int
	index          map[ends]*connection
	oldest, newest *connection
	count          int
	forgotten      int64
	recent         *connection // the one with the last packet
}

// find returns the connection of these ends that their latest packet belonged to.
func (c *connections) find(key ends) *connection {
	if r := c.recent; r != nil && r.key == key {
		return r
	}
	f := c.index[key]
	if f != nil {
		c.recent = f
	}
	return f
}

// begin adds a connection. An earlier one of the same ends has ended, and stays in the list.
func (c *connections) begin(key ends, at int64) *connection {
	var f *connection
	if c.count < c.most {
		c.count++
		f = new(connection)
	} else {
		f = c.oldest
		c.unlink(f)
		if c.index[f.key] == f {
			delete(c.index, f.key)
		}
		c.forgotten++
	}
	*f = connection{key: key, first: at, last: at, client: -1}
	f.ways[0].begin()
	f.ways[1].begin()
	c.index[key] = f
	c.link(f)
	c.recent = f
	return f
}

// touch records that a packet of the connection came.
func (c *connections) touch(f *connection, at int64) {
	f.first, f.last = min(f.first, at), max(f.last, at)
	if f != c.newest {
		c.unlink(f)
		c.link(f)
	}
}

func (c *connections) link(f *connection) {
	f.older, f.newer = c.newest, nil
	if c.newest != nil {
		c.newest.newer = f
	} else {
		c.oldest = f
	}
	c.newest = f
}

func (c *connections) unlink(f *connection) {
	if f.older != nil {
		f.older.newer = f.newer
	} else {
		c.oldest = f.newer
	}
	if f.newer != nil {
		f.newer.older = f.older
	} else {
		c.newest = f.older
	}
}
