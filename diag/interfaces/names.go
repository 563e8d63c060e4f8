package interfaces

import "net"

// Names are names of interfaces by their number.
type Names map[uint32]string

// Of returns the name of an interface, or nothing if it is gone or the number is 0. One that is not in the list, as it may be newer, is
// looked for once.
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
