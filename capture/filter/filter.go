package filter

import (
	"context"
	"fmt"
	"net/netip"
)

// LinkType is what the packets begin with: a DLT_ number of libpcap.
type LinkType int

// The link types that a filter can be compiled for.
const (
	Null           LinkType = 0   // BSD loopback, address family in the host's byte order
	EN10MB         LinkType = 1   // Ethernet
	PPP            LinkType = 9   // PPP with HDLC-like framing
	PPPSerial      LinkType = 50  // PPP always with HDLC's address and control
	CiscoHDLC      LinkType = 104 // Cisco's HDLC: address, control, Ethernet type
	Raw            LinkType = 12  // IPv4 or IPv6 without any header before it
	IEEE80211      LinkType = 105 // 802.11
	Loop           LinkType = 108 // OpenBSD loopback, address family in network byte order
	LinuxSLL       LinkType = 113 // Linux "cooked" capture
	IEEE80211Radio LinkType = 127 // 802.11 after a radiotap header
	IPv4           LinkType = 228
	IPv6           LinkType = 229
	LinuxSLL2      LinkType = 276 // Linux "cooked" capture, version 2

	rawInFile LinkType = 101 // what files call Raw
)

// String returns the name that tcpdump -y takes.
func (l LinkType) String() string {
	switch l {
	case Null:
		return "NULL"
	case EN10MB:
		return "EN10MB"
	case PPP:
		return "PPP"
	case Raw, rawInFile:
		return "RAW"
	case PPPSerial:
		return "PPP_SERIAL"
	case CiscoHDLC:
		return "C_HDLC"
	case IEEE80211:
		return "IEEE802_11"
	case Loop:
		return "LOOP"
	case LinuxSLL:
		return "LINUX_SLL"
	case IEEE80211Radio:
		return "IEEE802_11_RADIO"
	case IPv4:
		return "IPV4"
	case IPv6:
		return "IPV6"
	case LinuxSLL2:
		return "LINUX_SLL2"
	}
	return fmt.Sprintf("DLT_%d", int(l))
}

// Kind is where the packets come from.
type Kind int

const (
	Dead     Kind = iota // unknown: the program has to make do with the bytes of the packet
	Savefile             // a capture file
	Live                 // a Linux packet socket: VLAN tags are metadata of the packet
)

// String names the kind as the command line does.
func (k Kind) String() string {
	switch k {
	case Dead:
		return "dead"
	case Savefile:
		return "savefile"
	case Live:
		return "live"
	}
	return fmt.Sprintf("kind %d", int(k))
}

// DefaultSnapLength is what a program returns for a packet that matches unless told otherwise.
const DefaultSnapLength = 262144

// Target is what a program is compiled for.
type Target struct {
	LinkType       LinkType
	Kind           Kind
	Netmask        uint32 // of the network captured on, host byte order; for "ip broadcast"
	NetmaskUnknown bool   // "ip broadcast" is then refused
	SnapLength     uint32 // 0 means DefaultSnapLength
	// a savefile whose packets have their direction beside them, as pcapng can: Metadata.PacketType
	Directions       bool
	SwappedByteOrder bool  // a savefile written by a machine of the other byte order
	Names            Names // nil means the tables of this system
	Unoptimised      bool  // leave out the optimiser, as tcpdump -O does
}

// Names resolves the names in an expression.
type Names interface {
	// Hosts returns all addresses of a host.
	Hosts(ctx context.Context, name string) ([]netip.Addr, error)
	// Port returns the port of a service for "tcp" or "udp".
	Port(name, proto string) (uint16, bool)
	// Protocol returns the number of a protocol above IP.
	Protocol(name string) (int, bool)
	// Network returns the number of a network as an address, host byte order.
	Network(name string) (uint32, bool)
	// Ether returns the Ethernet address of a host.
	Ether(name string) ([6]byte, bool)
}

// Compile translates an expression for a target. A failure is always an *Error.
func Compile(expression string, t Target) (*Program, error) {
	return CompileContext(context.Background(), expression, t)
}

// maxExpression bounds the length of an expression in bytes.
const maxExpression = 256 << 10

// CompileContext is Compile with a context that bounds the time for looking up host names.
func CompileContext(ctx context.Context, expression string, t Target) (*Program, error) {
	if len(expression) > maxExpression {
		return nil, &Error{
			Expression: expression,
			Position:   maxExpression,
			Message: fmt.Sprintf("the expression has %d bytes; at most %d are accepted", len(expression),
				maxExpression),
		}
	}
	tree, unparsed := parse(expression)
	graph, err := generate(ctx, expression, tree, t)
	if err == nil && unparsed != nil {
		err = unparsed
	}
	if err != nil {
		return nil, err
	}
	if !t.Unoptimised {
		if err := graph.optimise(expression); err != nil {
			return nil, err
		}
	}
	graph.initialise()
	return &Program{Instructions: graph.emit(), Target: t}, nil
}
