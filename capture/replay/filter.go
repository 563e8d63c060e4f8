package replay

import (
	"context"
	"slices"

	"diagsh/capture"
	"diagsh/capture/filter"
)

// A Filter selects packets of files, and of running captures, by a filter expression, each by its
// link type. It answers inbound and outbound where a packet's direction is known, as in the pcapng
// files of this appliance (the flags of their packets). A packet that the expression does not apply
// to is left out and counted. A Filter is for one goroutine.
type Filter struct {
	expression string
	compile    func(filter.Target) (*filter.Program, error)
	netmask    func(capture.Interface) uint32
	masks      map[int]uint32 // by the index of the interface
	programs   map[target]*program
	asked      int64 // packets that the expression applied to
}

// target is what selects the program for a packet.
type target struct {
	link     capture.LinkType
	mask     uint32
	directed bool
}

// program is the compiled program of a target, or why there is none.
type program struct {
	*filter.Program
	err     error
	leftOut int64 // packets for which there is none
}

// An UndirectedError reports that a filter asks for directions that were not recorded.
type UndirectedError struct{}

func (*UndirectedError) Error() string { return "it is not known which way the packets went" }

// NewFilter compiles an expression. If names is nil, those of this system are used. netmask returns
// the mask of an interface's network, for ip broadcast. If 0, only 0.0.0.0 and 255.255.255.255 are
// broadcast addresses, as tcpdump has it for files. ctx limits the look-up of names. The error is a
// *filter.Error if the expression is wrong for packets of any link type.
func NewFilter(ctx context.Context, expression string, names filter.Names,
	netmask func(capture.Interface) uint32) (*Filter, error) {
	f := &Filter{expression: expression, netmask: netmask, masks: make(map[int]uint32),
		programs: make(map[target]*program)}
	f.compile = func(t filter.Target) (*filter.Program, error) {
		t.Names = names
		return filter.CompileContext(ctx, expression, t)
	}
	var first error
	// what is wrong for these is wrong for all
	for _, link := range []filter.LinkType{filter.EN10MB, filter.IEEE80211Radio, filter.LinuxSLL2} {
		_, err := f.compile(filter.Target{LinkType: link, Kind: filter.Savefile, Directions: true})
		if err == nil {
			return f, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// Match reports whether a packet is selected.
func (f *Filter) Match(p *capture.Packet, i capture.Interface) bool {
	known := f.programFor(i, p.Direction != capture.DirectionUnknown)
	if known.err != nil {
		known.leftOut++
		return false
	}
	f.asked++
	meta := filter.Metadata{Length: p.Length, Kernel: p.Direction != capture.DirectionUnknown,
		PacketType: packetType(p.Direction)}
	return known.Match(p.Data, meta) != 0
}

func (f *Filter) programFor(i capture.Interface, directed bool) *program {
	mask, is := f.masks[i.Index]
	if !is {
		mask = f.netmask(i)
		f.masks[i.Index] = mask
	}
	t := target{i.LinkType, mask, directed}
	if known, is := f.programs[t]; is {
		return known
	}
	wanted := filter.Target{LinkType: filter.LinkType(t.link), Kind: filter.Savefile, Netmask: t.mask,
		Directions: directed}
	made := &program{}
	made.Program, made.err = f.compile(wanted)
	if made.err != nil && !directed {
		wanted.Directions = true
		if _, err := f.compile(wanted); err == nil {
			made.err = &UndirectedError{}
		}
	}
	f.programs[t] = made
	return made
}

// packetType converts a direction to a packet type of packet sockets (linux/if_packet.h).
func packetType(d capture.Direction) uint8 {
	switch d {
	case capture.IncomingBroadcast:
		return 1
	case capture.IncomingMulticast:
		return 2
	case capture.IncomingOther:
		return 3
	case capture.Outgoing:
		return 4
	}
	return 0
}

// Left counts packets that an expression does not apply to.
type Left struct {
	Packets int64
	Err     error // an *UndirectedError, or a *filter.Error
}

// LeftOut returns the packets that were left out so far, by reason.
func (f *Filter) LeftOut() (list []Left) {
	for _, p := range f.programs {
		if p.leftOut > 0 {
			list = append(list, Left{p.leftOut, p.err})
		}
	}
	slices.SortFunc(list, func(a, b Left) int { return int(b.Packets - a.Packets) })
	return list
}

// Fault returns why the expression applied to no packet at all, or nil if it applied to any.
// interfaces are those of the packets; if there was no packet, they decide. directed reports that
// the source may know directions, which a classic pcap file can only have in the headers of some
// link types.
func (f *Filter) Fault(interfaces []capture.Interface, directed bool) error {
	if f.asked > 0 {
		return nil
	}
	if left := f.LeftOut(); len(left) > 0 {
		return left[0].Err
	}
	var fault error
	for _, i := range interfaces {
		if fault = f.programFor(i, directed).err; fault == nil {
			return nil
		}
	}
	return fault
}
