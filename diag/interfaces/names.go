package interfaces

import "net"

// Names maps interface indexes to names.
type Names map[uint32]string

// Of returns the name of an interface, or "" if it is gone or the index is 0. It looks up an index
// that is not in the map once, because the interface may be newer.
func (n Names) Of(index uint32) string {
	name, known := n[index]
	if known || index == 0 {
		return name
	}
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		name = i.Name
	}
	n[index] = name
	return name
}
