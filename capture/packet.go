package capture

import (
	"time"

	"golang.org/x/net/bpf"
)

// LinkType says how the bytes of a packet begin, by the numbers that capture files
// use (https://www.tcpdump.org/linktypes.html).
type LinkType uint16

const (
	Ethernet LinkType = 1   // an Ethernet header
	Raw      LinkType = 101 // an IPv4 or IPv6 header
)

// Interface is a network interface that packets can be taken from.
type Interface struct {
	Name     string
	Index    int // as the kernel counts them
	LinkType LinkType
	Loopback bool
}

// Direction is the way a packet went, seen from this machine, and for an incoming
// one to whom it was sent.
type Direction uint8

const (
	DirectionUnknown  Direction = iota
	Incoming                    // to this machine
	IncomingBroadcast           // to everyone
	IncomingMulticast           // to a group
	IncomingOther               // to another machine: seen because the interface is promiscuous
	Outgoing                    // from this machine
)

// Packet is one packet of a batch. Data is the source's memory: it is valid until
// the next Read of that source, and nobody may write to it.
type Packet struct {
	Time      int64 // nanoseconds since 1970, UTC
	Data      []byte
	Length    uint32 // on the wire; Data may be less
	Interface uint32 // position in the interfaces of the capture
	Direction Direction
}

// Tap is one interface to take packets from, and which ones.
type Tap struct {
	Interface Interface

	// Filter is a program in classic BPF for the link type of the interface, as the
	// kernel runs it; nil takes every packet. What it returns, other than 0, is
	// replaced by SnapLength.
	Filter []bpf.RawInstruction

	// SnapLength is 1 to MaxSnapLength.
	SnapLength int

	// Direction is which way packets must go.
	Direction Traffic
}

// Counters are the kernel's numbers for one interface of a capture.
//
// Seen is of another kind than the others, and does not add up with them: it is what the
// interface itself counted meanwhile, without a look at the filter. One packet that the
// kernel put together (GRO), or leaves to the card to take apart (TSO), is many on the
// wire; and the interface counts a moment longer than the capture. It tells silence from a
// filter that nothing matches.
type Counters struct {
	Seen      uint64 // by the interface, going the way that the capture wants
	SeenKnown bool   // else Seen means nothing
	Received  uint64 // passed the filter and were kept for us
	Dropped   uint64 // passed the filter and found no room
}

// Source is where packets come from. One goroutine reads and closes it; Wake and
// Counters may be called by any, at any time, also after Close.
type Source interface {
	// Read puts packets into the batch, oldest first, and returns how many. It waits
	// until there is one. It returns 0 without an error when the time is over (the
	// zero time never is) or somebody called Wake. The error is a
	// *InterfaceGoneError each time an interface goes away, then io.EOF when nothing
	// can come any more.
	Read(batch []Packet, until time.Time) (int, error)

	// Finish takes no packet from now on. Read goes on to return those that came
	// before, then io.EOF.
	Finish() error

	// Wake makes a waiting Read return, or else the next one.
	Wake()

	// Counters are the numbers of each interface, in the order of the taps.
	Counters() []Counters

	Close() error
}

// Follower is a Source that follows what becomes of the machine's interfaces. Its Read
// returns ErrInterfacesChanged when there may be new ones, or one has another name. The
// goroutine that reads calls its methods.
type Follower interface {
	// Beside runs what takes its time on a goroutine of its own while Read goes on, and has
	// Read return ErrInterfacesChanged after that. Close waits for it.
	Beside(work func())

	// Add takes packets of more interfaces, and returns an error, or nil, for each. Those
	// without an error get the positions behind all taps before, in their order. What takes
	// the kernel its time for an interface is done beside Read, and then Read returns
	// ErrInterfacesChanged: until then the error is ErrNotReady, and Add is to be called again
	// with those that are still wanted. Of others what was made for them is given up.
	Add([]Tap) []error

	// Rename has the packets of an interface that are not read yet bear the position behind
	// all taps before, because it has another name now. The old position gets no more.
	Rename(position int, in Interface)

	// Drop takes no more packets of an interface. Those before are still read, and then
	// comes an *InterfaceGoneError.
	Drop(position int)
}

// FileHeader is what a capture file says about itself, and how large it may grow.
type FileHeader struct {
	Format     Format
	Interfaces []Interface
	SnapLength int
	Filter     string // the effective filter, as an expression
	Precision  Precision
	Comments   []string // for people, each a line; pcapng only

	// MaxBytes is never exceeded; Unlimited is no limit.
	MaxBytes int64

	// Machine, System and Application are written into a pcapng file; empty ones are not.
	Machine     string // e.g. "x86_64"
	System      string // e.g. "Linux 6.12.0"
	Application string // e.g. "diagsh 1.0"

	Start time.Time
}

// Ender is a File that can be given its end without waiting for the disk, so that it
// holds no memory until somebody has the time to close it. Close takes no counters then.
type Ender interface {
	End(counters []Counters)
}

// File is where packets go. One goroutine writes and closes it.
type File interface {
	// Write appends packets and returns how many were taken. Fewer than given come
	// with an error: ErrSizeLimit when the next one would exceed MaxBytes, else why
	// the file cannot be written. It keeps none of the packets' memory, and it does
	// not allocate.
	Write(batch []Packet) (int, error)

	// Info is the file as it will be when all that was written is on the disk. It does
	// not allocate.
	Info() FileInfo

	// Ending is how many bytes Close adds at most.
	Ending() int64

	// Flush has all that was written so far brought to the disk, in the background: from
	// then on it survives the death of this process, and a power cut. pending says that
	// this has not happened yet; the error, that it could not.
	Flush() (pending bool, err error)

	// Free is the room left on the disk for others than root, in bytes, as it will be when
	// all that was written so far is there, and other captures have written what they may
	// until they ask. ahead is how much that is for this one: what it writes before it asks
	// again.
	Free(ahead int64) (int64, error)

	// AddInterface makes packets of one more interface possible: the one behind all that
	// the file knows. The error is ErrSizeLimit, or ErrMixedLinkTypes.
	AddInterface(Interface) error

	// Close ends the file and waits until it is safe on the disk. counters are those
	// of the interfaces, for the file to say. The FileInfo tells what is truly in
	// the file, whose end is whole also after an error; it is of no bytes when not even
	// the file's header is there.
	Close(counters []Counters) (FileInfo, error)
}
