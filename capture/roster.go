package capture

// A roster is the interfaces of a capture, in the order of Packet.Interface: those that
// were there when it began, and behind them those that joined. It is of the goroutine that
// reads the source.
type roster struct {
	format Format
	all    []Interface
	gone   map[int]bool // indices of those that were removed
}

func newRoster(format Format, interfaces []Interface) roster {
	return roster{format: format, all: append([]Interface(nil), interfaces...), gone: make(map[int]bool)}
}

// newcomers are those of the present that are not in it.
func (r *roster) newcomers(present []Interface) (list []Interface) {
	known := make(map[int]bool)
	for _, i := range r.all {
		known[i.Index] = !r.gone[i.Index]
	}
	for _, i := range present {
		if !known[i.Index] {
			list = append(list, i)
		}
	}
	return list
}

// fits tells whether the format has room for packets of an interface: pcap has one link
// type.
func (r *roster) fits(in Interface) bool {
	return r.format != PCAP || in.LinkType == r.all[0].LinkType
}

func (r *roster) join(in Interface) {
	delete(r.gone, in.Index)
	r.all = append(r.all, in)
}

// lose notes that an interface was removed.
func (r *roster) lose(name string) {
	for _, i := range r.all {
		if i.Name == name {
			r.gone[i.Index] = true
		}
	}
}
