// Package sockets lists this host's TCP, UDP, UDP-Lite, raw and packet sockets and the processes
// that hold them. It uses sock_diag(7), state by state, and yields each socket as soon as it was
// read, so that a list of any length takes no memory. What sock_diag of a kernel lacks is read from
// /proc/net.
package sockets

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"diagsh/diag/netlink"
)

// A State is a socket's state by the kernel's number (include/net/tcp_states.h).
type State uint8

const (
	Established State = 1 + iota
	SynSent
	SynRcvd
	FinWait1
	FinWait2
	TimeWait
	Closed
	CloseWait
	LastAck
	Listen
	Closing
)

// stateNames has the names of netstat(1) on BSD.
var stateNames = [...]string{"", "ESTABLISHED", "SYN_SENT", "SYN_RCVD", "FIN_WAIT_1", "FIN_WAIT_2", "TIME_WAIT",
	"CLOSED", "CLOSE_WAIT",
	"LAST_ACK", "LISTEN", "CLOSING"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return ""
}

// States returns all states of a socket.
func States() []State {
	return []State{Established, SynSent, SynRcvd, FinWait1, FinWait2, TimeWait, Closed, CloseWait, LastAck,
		Listen, Closing}
}

// A Kind is a kind of socket.
type Kind uint8

const (
	KindTCP     Kind = iota
	KindUDP          // udp(7)
	KindUDPLite      // udplite(7); gone from newer kernels
	KindRaw          // raw(7): an IP protocol without ports
	KindPacket       // packet(7): what an interface carries
)

// Kinds returns all of them, in the order in which Each lists them.
func Kinds() []Kind { return []Kind{KindTCP, KindUDP, KindUDPLite, KindRaw, KindPacket} }

// A Query says what to list. Its zero value selects all TCP sockets.
type Query struct {
	Kinds []Kind // empty: TCP
	// empty: all; a packet socket is Closed, as sockets begin (sock_init_data in net/core/sock.c,
	// Linux 6.18)
	States []State
	Detail bool // with TCP's measurements: Socket.TCP
}

// A Socket is one end of a connection, or one that waits for connections.
type Socket struct {
	Kind   Kind
	IPv6   bool
	State  State
	V6Only bool   // an IPv6 listener that accepts no IPv4
	Device uint32 // index of the interface that it is bound to; 0: none
	// DeviceGone reports that the interface of a packet socket was removed: it is bound to nothing,
	// and receives nothing.
	DeviceGone bool
	UID        uint32
	Cookie     uint64         // the kernel's number of the socket (sock_diag(7)); 0 if it is not known
	Inode      uint32         // 0 if no process holds it any more, or not yet (Waits)
	Local      netip.AddrPort // invalid for a packet socket; for a raw one without a port
	Remote     netip.AddrPort // likewise
	// Protocol is the IP protocol of a raw socket, or the EtherType of a packet socket (0 if it
	// receives nothing).
	Protocol uint16
	Type     PacketType // of a packet socket
	// RecvQ and SendQ are bytes that wait. For a listener they are the connections that wait for
	// accept(2), and their limit.
	RecvQ uint32
	SendQ uint32
	// Drops counts packets that found no room in the socket, if DropsKnown. It is never known for
	// TCP, nor for a packet socket with a ring: only the socket's own process sees that count
	// (tpacket_rcv in net/packet/af_packet.c, Linux 6.18).
	Drops      uint32
	DropsKnown bool
	Unknown    Unknown
	TCP        *TCP // nil without Query.Detail, and where the kernel has none: TIME_WAIT, SYN_RCVD
}

// A PacketType is the type of a packet socket, by its number in socket(2).
type PacketType uint8

const (
	PacketDatagram PacketType = unix.SOCK_DGRAM  // packets without link header
	PacketRaw      PacketType = unix.SOCK_RAW    // packets as they are on the link
	PacketOld      PacketType = unix.SOCK_PACKET // as programs for Linux 2.0 do
)

// An Unknown is a set of members that this kernel does not report. They are 0 in the Socket.
type Unknown uint8

const (
	UnknownDevice Unknown = 1 << iota // of what is read from /proc/net
	UnknownRecvQ
	UnknownSendQ
)

// Mapped reports whether an IPv6 socket is an end of an IPv4 connection: its addresses are
// ::ffff:192.0.2.1 (RFC 4291, section 2.5.5.2).
func (s *Socket) Mapped() bool {
	return s.IPv6 && s.Local.Addr().Is4In6() && (s.Remote.Addr().Is4In6() || s.Remote.Addr().IsUnspecified())
}

// Dual reports whether an IPv6 socket accepts IPv4 too.
func (s *Socket) Dual() bool {
	return s.IPv6 && !s.V6Only && s.State == Listen && s.Local.Addr().IsUnspecified()
}

// TCP is what the kernel measured for a connection (struct tcp_info, include/uapi/linux/tcp.h).
type TCP struct {
	RTT              time.Duration
	RTTVariance      time.Duration
	RTO              time.Duration
	Retransmits      uint32 // since the connection began
	Unacknowledged   uint32 // segments
	CongestionWindow uint32 // segments
	SegmentSize      uint32 // bytes
	PathMTU          uint32
}

// Each calls yield for every socket that q selects. The socket is reused: yield must copy what it
// keeps. An error of yield ends the list. netlink.ErrChanged means that sockets came and went
// meanwhile; each row is right all the same.
func Each(ctx context.Context, q Query, yield func(*Socket) error) error {
	conn, err := netlink.Dial(unix.NETLINK_INET_DIAG)
	if err != nil {
		return err
	}
	defer conn.Close()
	var changed error
	for _, kind := range Kinds() {
		var err error
		switch {
		case !q.wants(kind):
		case kind == KindTCP:
			err = eachTCP(ctx, conn, q, yield)
		case kind == KindPacket:
			err = eachPacket(ctx, conn, q, yield)
		default:
			err = eachFamily(ctx, conn, q, kind, yield)
		}
		switch {
		case errors.Is(err, netlink.ErrChanged):
			changed = err
		case err != nil:
			return fmt.Errorf("list the sockets: %w", err)
		}
	}
	return changed
}

func (q Query) wants(kind Kind) bool {
	return slices.Contains(q.Kinds, kind) || len(q.Kinds) == 0 && kind == KindTCP
}

// eachTCP uses the older request, whose one walk through the kernel's table finds IPv4 and IPv6
// (inet_diag_dump_compat in net/ipv4/inet_diag.c, Linux 6.18). It falls back to the newer one if
// the kernel no longer knows that. Listeners come first; the kernel has them in a table of their
// own. The others may be many, so each half of them is requested on its own netlink socket.
func eachTCP(ctx context.Context, conn *netlink.Conn, q Query, yield func(*Socket) error) error {
	read := reader(KindTCP, q, yield)
	listeners, others := q.mask()&(1<<Listen), q.mask()&^(1<<Listen)
	var first, rest error
	if listeners != 0 {
		first = conn.Dump(ctx, tcpDiagGetSock, q.olderRequest(listeners, nil), read)
	}
	if others != 0 && (first == nil || errors.Is(first, netlink.ErrChanged)) {
		second, err := netlink.Dial(unix.NETLINK_INET_DIAG)
		if err != nil {
			return err
		}
		defer second.Close()
		rest = netlink.DumpTogether(ctx, []*netlink.Conn{conn, second}, tcpDiagGetSock,
			[][]byte{q.olderRequest(others, half(true)), q.olderRequest(others, half(false))}, read)
	}
	err := cmp.Or(rest, first)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
		return eachFamily(ctx, conn, q, KindTCP, yield) // refused before the first socket
	}
	return err
}

// half returns a filter for about half of all sockets, and for the others if one is false. One half
// has exactly one port in the upper half of the range for clients, the other has none or both. Most
// connections have such a port at one end, and it says nothing about who made them
// (ip_local_port_range in ip(7): 32768 to 60999).
//
// A filter is a program of struct inet_diag_bc_op: code, offset if it holds, and offset if not.
// Reaching its end accepts, beyond it rejects (inet_diag_bc_run in net/ipv4/inet_diag.c, Linux
// 6.18).
func half(one bool) []byte {
	const (
		jump, localAtLeast, localAtMost, remoteAtLeast = 1, 2, 3, 4

		middle = 46884
		length = 28
		yes    = length     // from the beginning
		no     = length + 4 // likewise
	)
	both, remoteOnly, last, port := no, yes, byte(localAtLeast), uint16(middle)
	if !one {
		both, remoteOnly, last, port = yes, no, localAtMost, middle-1
	}
	program := make([]byte, 0, length)
	add := func(code, ifSo byte, ifNot int) {
		program = append(program, code, ifSo)
		program = binary.NativeEndian.AppendUint16(program, uint16(ifNot))
	}
	operand := func(port uint16) { add(0, 0, int(port)) }
	add(remoteAtLeast, 8, 20)
	operand(middle)
	add(localAtLeast, 8, remoteOnly-8)
	operand(middle)
	add(jump, 4, both-16)
	add(last, 8, no-20)
	operand(port)
	return program
}

// eachFamily lists IPv4, then IPv6. ENOENT means a kernel without the protocol, or without its part
// of sock_diag (raw_diag and udp_diag are separate modules). The latter has a table in /proc/net.
func eachFamily(ctx context.Context, conn *netlink.Conn, q Query, kind Kind, yield func(*Socket) error) error {
	var changed error
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		err := conn.Dump(ctx, sockDiagByFamily, q.request(family, kind), reader(kind, q, yield))
		if errors.Is(err, unix.ENOENT) && kind != KindTCP {
			err = eachInTable(ctx, q, kind, family, yield)
		}
		switch {
		case errors.Is(err, netlink.ErrChanged):
			changed = err
		case errors.Is(err, unix.ENOENT) && (family == unix.AF_INET6 || kind == KindUDPLite): // a kernel without it
		case err != nil:
			return err
		}
	}
	return changed
}

// Constants of linux/sock_diag.h and linux/inet_diag.h.
const (
	tcpDiagGetSock   = 18
	sockDiagByFamily = 20
	inetDiagBytecode = 1 // in a request
	inetDiagInfo     = 2
	inetDiagMeminfo  = 7 // INET_DIAG_SKMEMINFO
	inetDiagSKV6Only = 11

	meminfoRecvQ = 0 // SK_MEMINFO_RMEM_ALLOC
	meminfoSendQ = 2 // SK_MEMINFO_WMEM_ALLOC
	meminfoDrops = 8 // SK_MEMINFO_DROPS
)

// meminfo returns one number of the array about a socket's memory. Older kernels have fewer.
func meminfo(value []byte, index int) (n uint32, known bool) {
	if len(value) < 4*(index+1) {
		return 0, false
	}
	return binary.NativeEndian.Uint32(value[4*index:]), true
}

// allStates has every state but bit 12, which the kernel uses for SYN_RECV internally, and for
// bound sockets that do nothing.
const allStates = 1<<12 - 1

// protocolOf returns the IP protocol number by which sock_diag knows a kind.
func protocolOf(kind Kind) uint8 {
	switch kind {
	case KindUDP:
		return unix.IPPROTO_UDP
	case KindUDPLite:
		return unix.IPPROTO_UDPLITE
	case KindRaw:
		return unix.IPPROTO_RAW
	}
	return unix.IPPROTO_TCP
}

// request encodes struct inet_diag_req_v2.
func (q Query) request(family uint8, kind Kind) []byte {
	r := make([]byte, 56)
	r[0], r[1], r[2] = family, protocolOf(kind), q.extensions(kind)
	binary.NativeEndian.PutUint32(r[4:], q.mask())
	return r
}

// olderRequest encodes struct inet_diag_req, followed by the filter if there is one.
func (q Query) olderRequest(mask uint32, filter []byte) []byte {
	r := make([]byte, 60)
	r[0], r[3] = unix.AF_INET, q.extensions(KindTCP)
	binary.NativeEndian.PutUint32(r[52:], mask)
	if filter == nil {
		return r
	}
	return netlink.AppendAttribute(r, inetDiagBytecode, filter)
}

func (q Query) extensions(kind Kind) uint8 {
	switch {
	case kind != KindTCP:
		return 1 << (inetDiagMeminfo - 1)
	case q.Detail:
		return 1 << (inetDiagInfo - 1)
	}
	return 0
}

func (q Query) mask() uint32 {
	mask := uint32(0)
	for _, s := range q.States {
		mask |= 1 << s
	}
	if mask == 0 {
		return allStates
	}
	return mask
}

// messageSize is the size of struct inet_diag_msg.
const messageSize = 72

// reader returns a function that parses struct inet_diag_msg and, where needed, the attributes
// after it.
func reader(kind Kind, q Query, yield func(*Socket) error) func(_ uint16, body []byte) error {
	var s Socket
	var tcp TCP
	attribute := func(name uint16, value []byte) {
		switch {
		case name == inetDiagSKV6Only:
			s.V6Only = len(value) > 0 && value[0] != 0
		case name == inetDiagInfo && kind == KindTCP:
			tcp.read(value)
			s.TCP = &tcp
		case name == inetDiagMeminfo && kind != KindTCP:
			s.Drops, s.DropsKnown = meminfo(value, meminfoDrops)
		}
	}
	mask := q.mask()
	return func(_ uint16, b []byte) error {
		if len(b) < messageSize {
			return errors.New("the kernel's description of a socket is too short")
		}
		s = Socket{
			Kind:   kind,
			IPv6:   b[0] == unix.AF_INET6,
			State:  State(b[1]),
			Local:  endpoint(b[0], b[8:24], b[4:6]),
			Remote: endpoint(b[0], b[24:40], b[6:8]),
			Device: binary.NativeEndian.Uint32(b[40:]),
			RecvQ:  binary.NativeEndian.Uint32(b[56:]),
			SendQ:  binary.NativeEndian.Uint32(b[60:]),
			UID:    binary.NativeEndian.Uint32(b[64:]),
			Inode:  binary.NativeEndian.Uint32(b[68:]),
			Cookie: binary.NativeEndian.Uint64(b[44:]),
		}
		if kind == KindRaw {
			if mask&(1<<s.State) == 0 {
				return nil // raw_diag_dump in net/ipv4/raw_diag.c ignores states
			}
			s.takeProtocol()
		}
		if s.IPv6 || q.Detail || kind != KindTCP {
			netlink.Attributes(b[messageSize:], attribute)
		}
		return yield(&s)
	}
}

// takeProtocol corrects a raw socket: the kernel's table has its IP protocol in place of a port
// (inet_create in net/ipv4/af_inet.c).
func (s *Socket) takeProtocol() {
	s.Protocol = s.Local.Port()
	s.Local, s.Remote = netip.AddrPortFrom(s.Local.Addr(), 0), netip.AddrPortFrom(s.Remote.Addr(), 0)
}

func endpoint(family uint8, address, port []byte) netip.AddrPort {
	n := binary.BigEndian.Uint16(port)
	if family == unix.AF_INET6 {
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(address)), n)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(address[:4])), n)
}

// read parses what there is: an older kernel's struct is shorter.
func (t *TCP) read(b []byte) {
	var info unix.TCPInfo
	copy((*[unsafe.Sizeof(info)]byte)(unsafe.Pointer(&info))[:], b)
	*t = TCP{
		RTT:              time.Duration(info.Rtt) * time.Microsecond,
		RTTVariance:      time.Duration(info.Rttvar) * time.Microsecond,
		RTO:              time.Duration(info.Rto) * time.Microsecond,
		Retransmits:      info.Total_retrans,
		Unacknowledged:   info.Unacked,
		CongestionWindow: info.Snd_cwnd,
		SegmentSize:      info.Snd_mss,
		PathMTU:          info.Pmtu,
	}
}
