package capture

import (
	"time"

	"golang.org/x/net/bpf"
)

// LinkType says which header a packet begins with, by the numbers of capture files
// (https://www.tcpdump.org/linktypes.html).
type LinkType uint16

const (
	Ethernet LinkType = 1   // an Ethernet header
	Raw      LinkType = 101 // an IPv4 or IPv6 header
)

// Interface is a network interface whose packets can be captured.
type Interface struct {
	Name     string
	Index    int // of the kernel (netdevice(7)); a name may change, this does not
	LinkType LinkType
	Loopback bool
}

// Direction is the way a packet went, seen from this machine, and for an incoming one to whom it
// was sent.
type Direction uint8

const (
	DirectionUnknown  Direction = iota
	Incoming                    // to this machine
	IncomingBroadcast           // to everyone
	IncomingMulticast           // to a group
	IncomingOther               // to another machine: seen because the interface is promiscuous
	Outgoing                    // from this machine
)

// Packet is one packet of a batch. Data is memory of the source: it is valid until the next Read of
// that source, and no caller may write to it.
type Packet struct {
	Time      int64 // nanoseconds since 1970, UTC
	Data      []byte
	Length    uint32 // in bytes on the wire; Data may be shorter
	Interface uint32 // position in the interfaces of the capture, from 0
	Direction Direction

	// Tagged says that the kernel had the VLAN tag at byte 12 beside the packet, where filters do not
	// see it.
	Tagged bool
}

// Tap is an interface to take packets from, and which of its packets.
type Tap struct {
	Interface Interface

	// Filter is a program in classic BPF for the link type of the interface, as the kernel runs it;
	// nil takes every packet. The source replaces each return value but 0 by SnapLength.
	Filter []bpf.RawInstruction

	// SnapLength is how many bytes of each packet are kept, 1 to MaxSnapLength.
	SnapLength int

	// Direction is the direction that packets must have.
	Direction Traffic
}

// Counters are the kernel's numbers for one interface of a capture.
//
// Seen does not add up with the others: it is what the interface itself counted meanwhile, whatever
// the filter says. One packet that the kernel put together (GRO), or that the card will take apart
// (TSO), is many on the wire. And the interface counts a moment longer than the capture. With Seen
// a user can tell a silent interface from a filter that nothing matches.
type Counters struct {
	Seen      uint64 // packets of the interface in the direction that the capture wants
	SeenKnown bool   // false: Seen means nothing
	Received  uint64 // packets that passed the filter and were put in the ring
	Dropped   uint64 // packets that passed the filter and found the ring full
}

// Source is where packets come from. One goroutine reads and closes it. Any goroutine may call Wake
// and Counters at any time, also after Close.
type Source interface {
	// Read puts packets into the batch, oldest first, and returns how many. It waits until there is
	// one. It returns 0 without an error at the time of until (zero is never), or when another
	// goroutine called Wake. The error is an *InterfaceGoneError each time that an interface is
	// removed, and io.EOF when no more packet can come.
	Read(batch []Packet, until time.Time) (int, error)

	// Finish takes no more packets. Read still returns those that came before, then io.EOF.
	Finish() error

	// Wake makes a waiting Read return, or the next one if none waits.
	Wake()

	// Counters returns the numbers of each interface, in the order of the taps.
	Counters() []Counters

	Close() error
}

// Follower is a Source that follows the changes of the machine's interfaces. Its Read returns
// ErrInterfacesChanged when there may be new ones, or one has another name. Only the goroutine that
// reads may call its methods.
type Follower interface {
	// Beside runs slow work on a goroutine of its own while Read continues, and then has Read
	// return ErrInterfacesChanged. Close waits for it.
	Beside(work func())

	// Add takes packets of more interfaces, and returns an error or nil for each. Those without an
	// error get the positions after all earlier taps, in their order. A ring is made beside Read,
	// because that takes the kernel some time. Until it is ready the error is ErrNotReady; then
	// Read returns ErrInterfacesChanged, and the caller must call Add again with all interfaces
	// that it still wants. The rings of others are given up.
	Add([]Tap) []error

	// Rename gives an interface that has another name now the position after all earlier taps. Its
	// packets that are not read yet get it too. The old position gets no more packets.
	Rename(position int, in Interface)

	// Drop takes no more packets of an interface. Read still returns those that came before, then
	// an *InterfaceGoneError.
	Drop(position int)
}

// Following is implemented by a source that takes the packets of processes only. Processes returns
// how many they are at the moment; it is false if the source takes all, or is closed. Any goroutine
// may call it.
type Following interface{ Processes() (n Followed, ok bool) }

// Followed is whose packets a capture takes.
type Followed struct {
	Processes uint64 // now
	NoRoom    uint64 // processes, sockets and ports of them that the kernel had no room for, so far
}

// FileHeader is what a capture file says about itself, and how large it may become.
type FileHeader struct {
	Format     Format
	Interfaces []Interface
	SnapLength int
	Filter     string // the effective filter, as an expression
	Precision  Precision
	Comments   []string // each a line of text; pcapng only

	// MaxBytes is the size that the file never exceeds; Unlimited is no limit.
	MaxBytes int64

	// Machine, System and Application are written into a pcapng file; empty ones are not.
	Machine     string // e.g. "x86_64"
	System      string // e.g. "Linux 6.12.0"
	Application string // e.g. "diagsh 1.0"

	Start time.Time
}

// Ender is a File that can write its end before Close, without waiting for the disk. It gives its
// memory back then, however long it waits to be closed. Close gets no counters after End.
type Ender interface {
	End(counters []Counters)
}

// File is where packets go. One goroutine writes and closes it.
type File interface {
	// Write appends packets and returns how many it took. If these are not all, the error is
	// ErrSizeLimit when the next one would exceed MaxBytes, else why the file cannot be written. It
	// keeps none of the packets' memory, and it does not allocate.
	Write(batch []Packet) (int, error)

	// Info returns the file as it will be when all that was written is on the disk. It does not
	// allocate.
	Info() FileInfo

	// Ending returns how many bytes Close adds at most.
	Ending() int64

	// Flush begins to bring all that was written so far to the disk, in the background. Once it is
	// there it survives the death of this process and a power cut. pending reports that it is not
	// there yet. The error is why it cannot be.
	Flush() (pending bool, err error)

	// Free returns the bytes on the disk that are free for others than root, as they will be when
	// all that was written so far is there. It subtracts what other captures may write before they
	// ask again. ahead is how much this one may write before it asks again.
	Free(ahead int64) (int64, error)

	// AddInterface adds an interface, with the position after all that the file knows. The error is
	// ErrSizeLimit or ErrMixedLinkTypes.
	AddInterface(Interface) error

	// Close ends the file and waits until it is safe on the disk. It writes the counters of the
	// interfaces into the file. The FileInfo is what is really in the file, whose last packet is
	// whole also after an error. It has 0 bytes if not even the file's header is there.
	Close(counters []Counters) (FileInfo, error)
}
