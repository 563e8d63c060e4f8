package capture

import (
	"slices"
)

// A roster is the list of a capture's interfaces, in the order of Packet.Interface: those of its
// start, then those that joined. An interface that is renamed joins once more, under its new name.
// Only the goroutine that reads the source may use it.
type roster struct {
	format Format
	all    []Interface
	gone   map[int]bool // positions that get no more packets
}

func newRoster(format Format, interfaces []Interface) roster {
	return roster{format: format, all: slices.Clone(interfaces), gone: make(map[int]bool)}
}

// find returns the position of the interface with an index, -1 if it is not in the capture.
func (r *roster) find(index int) int {
	for i := len(r.all) - 1; i >= 0; i-- {
		if r.all[i].Index == index && !r.gone[i] {
			return i
		}
	}
	return -1
}

// A change is how the machine's interfaces differ from a roster.
type change struct {
	newcomers []Interface
	renamed   map[int]Interface // by position
	left      []int             // positions whose interface is not wanted under its new name
}

// compare returns how present differs from the roster. joins reports whether a new interface
// belongs to the capture; nil means that none does. byName is set for a capture of certain names:
// an interface that has another name now leaves it.
func (r *roster) compare(present []Interface, joins func(Interface) bool, byName bool) (c change) {
	c.renamed = make(map[int]Interface)
	for _, in := range present {
		position := r.find(in.Index)
		switch {
		case position < 0:
			if joins != nil && joins(in) {
				c.newcomers = append(c.newcomers, in)
			}
		case r.all[position].Name == in.Name:
		case byName && !joins(in):
			c.left = append(c.left, position)
		default:
			c.renamed[position] = in
		}
	}
	return c
}

// fits reports whether the format can hold packets of an interface: pcap has one link type.
func (r *roster) fits(in Interface) bool {
	return r.format != PCAP || in.LinkType == r.all[0].LinkType
}

func (r *roster) join(in Interface) { r.all = append(r.all, in) }

// rename moves the interface of a position to a new one after all others, as in.
func (r *roster) rename(position int, in Interface) {
	r.lose(position)
	r.join(in)
}

// lose notes that a position gets no more packets.
func (r *roster) lose(position int) { r.gone[position] = true }

// names returns the names of all interfaces that were in the capture, each by its last name.
func (r *roster) names() (names []string) {
	for position, in := range r.all {
		if r.gone[position] && r.find(in.Index) >= 0 || slices.Contains(names, in.Name) {
			continue
		}
		names = append(names, in.Name)
	}
	return names
}
