package replay

import (
	"context"
	"slices"

	"diagsh/capture"
	"diagsh/capture/filter"
)

// A Filter chooses packets of files, and of captures that run, as a filter expression says: each by the link type that it is of. Where a
// packet's direction is known, as in the pcapng files of this appliance (the flags of their packets), inbound and outbound are
// answered. A packet that the expression cannot be asked about is left out, which is told. A Filter is for one goroutine.
type Filter struct {
	expression string
	compile    func(filter.Target) (*filter.Program, error)
	netmask    func(capture.Interface) uint32
	masks      map[int]uint32 // by the index of the interface
	programs   map[target]*program
	asked      int64 // packets that could be
}

// target is what decides over the program for a packet.
type target struct {
	link     capture.LinkType
	mask     uint32
	directed bool
}

// program is that of a target, or why there is none.
type program struct {
	*filter.Program
	err     error
	leftOut int64 // packets for which there is none
}

// An UndirectedError is for packets whose direction a filter asks for, and that nobody noted.
type UndirectedError struct{}

func (*UndirectedError) Error() string { return "it is not known which way the packets went" }

// NewFilter compiles an expression; nil names are those of this system. netmask is the mask of the network of an interface, for ip broadcast; 0 if there is none, and then
// only 0.0.0.0 and 255.255.255.255 are broadcast addresses, as tcpdump has it for files. ctx bounds the look-up of names. The error is a
// *filter.Error if the expression is wrong for packets of any link type.
func NewFilter(ctx context.Context, expression string, names filter.Names, netmask func(capture.Interface) uint32) (*Filter, error) {
	f := &Filter{expression: expression, netmask: netmask, masks: make(map[int]uint32), programs: make(map[target]*program)}
	f.compile = func(t filter.Target) (*filter.Program, error) {
		t.Names = names
		return filter.CompileContext(ctx, expression, t)
	}
	var first error
	for _, link := range []filter.LinkType{filter.EN10MB, filter.IEEE80211Radio, filter.LinuxSLL2} { // what is wrong for these is for all
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

// Match tells whether a packet is wanted.
func (f *Filter) Match(p *capture.Packet, i capture.Interface) bool {
	known := f.programFor(i, p.Direction != capture.DirectionUnknown)
	if known.err != nil {
		known.leftOut++
		return false
	}
	f.asked++
	meta := filter.Metadata{Length: p.Length, Kernel: p.Direction != capture.DirectionUnknown, PacketType: packetType(p.Direction)}
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
	wanted := filter.Target{LinkType: filter.LinkType(t.link), Kind: filter.Savefile, Netmask: t.mask, Directions: directed}
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

// packetType is a direction as a packet socket tells it (linux/if_packet.h).
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

// Left is packets that an expression could not be asked about.
type Left struct {
	Packets int64
	Err     error // an *UndirectedError, or a *filter.Error
}

// LeftOut are the packets that were left out so far, by the reasons.
func (f *Filter) LeftOut() (list []Left) {
	for _, p := range f.programs {
		if p.leftOut > 0 {
			list = append(list, Left{p.leftOut, p.err})
		}
	}
	slices.SortFunc(list, func(a, b Left) int { return int(b.Packets - a.Packets) })
	return list
}

// Fault is why no packet at all could be asked about; nil if any could. interfaces are those of the packets: where there was no packet,
// theirs is the answer. directed says that what there is may tell the directions of packets, which a classic pcap file has no place for
// but in the headers of some link types.
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
