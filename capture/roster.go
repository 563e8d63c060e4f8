package capture

import (
	"slices"
)

// A roster is the interfaces of a capture, in the order of Packet.Interface: those that
// were there when it began, and behind them those that joined. One that gets another name
// is there once more, under that. It is of the goroutine that reads the source.
type roster struct {
	format Format
	all    []Interface
	gone   map[int]bool // positions that get no more packets
}

func newRoster(format Format, interfaces []Interface) roster {
	return roster{format: format, all: slices.Clone(interfaces), gone: make(map[int]bool)}
}

// find is the position of the interface of an index, -1 if it is not in the capture.
func (r *roster) find(index int) int {
	for i := len(r.all) - 1; i >= 0; i-- {
		if r.all[i].Index == index && !r.gone[i] {
			return i
		}
	}
	return -1
}

// A change is what has become of the machine's interfaces since a roster was up to date.
type change struct {
	newcomers []Interface
	renamed   map[int]Interface // by position
	left      []int             // positions whose interface is not wanted by its name of now
}

// compare finds what has changed. joins tells which interfaces belong to the capture that were not
// there when it began; nil: none does. byName is for a capture of what bears certain names, which
// one that has another name now is no part of.
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

// fits tells whether the format has room for packets of an interface: pcap has one link
// type.
func (r *roster) fits(in Interface) bool {
	return r.format != PCAP || in.LinkType == r.all[0].LinkType
}

func (r *roster) join(in Interface) { r.all = append(r.all, in) }

// rename gives the interface of a position another one, behind all others.
func (r *roster) rename(position int, in Interface) {
	r.lose(position)
	r.join(in)
}

// lose notes that a position gets no more packets.
func (r *roster) lose(position int) { r.gone[position] = true }

// names are those of the interfaces that packets come from or came from, but for the names that one
// had before.
func (r *roster) names() (names []string) {
	for position, in := range r.all {
		if r.gone[position] && r.find(in.Index) >= 0 || slices.Contains(names, in.Name) {
			continue
		}
		names = append(names, in.Name)
	}
	return names
}
