// Package sockets lists this host's TCP, UDP, UDP-Lite, raw and packet sockets and the processes that hold them. The kernel is asked by
// sock_diag(7), state by state, and a socket is handed on as soon as it was read, so a list of any length takes no memory. What sock_diag
// does not have on a kernel is read from /proc/net.
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

// A State of a socket, by the kernel's number (include/net/tcp_states.h).
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

// stateNames are those of netstat(1) on BSD.
var stateNames = [...]string{"", "ESTABLISHED", "SYN_SENT", "SYN_RCVD", "FIN_WAIT_1", "FIN_WAIT_2", "TIME_WAIT", "CLOSED", "CLOSE_WAIT",
	"LAST_ACK", "LISTEN", "CLOSING"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return ""
}

// States are all that a socket can be in.
func States() []State {
	return []State{Established, SynSent, SynRcvd, FinWait1, FinWait2, TimeWait, Closed, CloseWait, LastAck, Listen, Closing}
}

// A Kind of socket.
type Kind uint8

const (
	KindTCP     Kind = iota
	KindUDP          // udp(7)
	KindUDPLite      // udplite(7); gone from newer kernels
	KindRaw          // raw(7): an IP protocol without ports
	KindPacket       // packet(7): what an interface carries
)

// Kinds are all of them, in the order in which Each lists them.
func Kinds() []Kind { return []Kind{KindTCP, KindUDP, KindUDPLite, KindRaw, KindPacket} }

// A Query is what to list. Its zero value is every TCP socket.
type Query struct {
	Kinds  []Kind  // of these; without any, of TCP
	States []State // those only; a packet socket is Closed, as sockets begin (sock_init_data in net/core/sock.c, Linux 6.18)
	Detail bool    // with what TCP measured: Socket.TCP
}

// A Socket is one end of a connection, or one that waits for them.
type Socket struct {
	Kind   Kind
	IPv6   bool
	State  State
	V6Only bool   // an IPv6 listener that takes no IPv4
	Device uint32 // index of the interface that it is bound to, 0 for none
	// DeviceGone says that the interface of a packet socket was removed: it is bound to nothing, and gets nothing.
	DeviceGone bool
	UID        uint32
	Inode      uint32         // 0 when no process holds it: not any more, or not yet (Waits)
	Local      netip.AddrPort // not valid of a packet socket; of a raw one without a port
	Remote     netip.AddrPort // likewise
	// Protocol is that of IP for a raw socket, and the EtherType for a packet socket, 0 if it takes no packets.
	Protocol uint16
	Type     PacketType // of a packet socket
	// RecvQ and SendQ are bytes that wait; of a listener, connections that wait for accept(2) and how many may.
	RecvQ uint32
	SendQ uint32
	// Drops are packets that the socket could not take, if DropsKnown: never of TCP, nor of a packet socket whose packets go into a ring,
	// as the kernel counts those where only the socket's own process sees them (tpacket_rcv in net/packet/af_packet.c, Linux 6.18).
	Drops      uint32
	DropsKnown bool
	Unknown    Unknown
	TCP        *TCP // nil without Query.Detail, and where the kernel has none: TIME_WAIT, SYN_RCVD
}

// A PacketType is how a packet socket was opened, by its number in socket(2).
type PacketType uint8

const (
	PacketDatagram PacketType = unix.SOCK_DGRAM  // packets without the header of their link
	PacketRaw      PacketType = unix.SOCK_RAW    // packets as they are on the link
	PacketOld      PacketType = unix.SOCK_PACKET // as programs for Linux 2.0 do
)

// Unknown is what this kernel does not say of a socket. The members are 0 for that reason.
type Unknown uint8

const (
	UnknownDevice Unknown = 1 << iota // of what is read from /proc/net
	UnknownRecvQ
	UnknownSendQ
)

// Mapped says that an IPv6 socket is an end of IPv4: its addresses are ::ffff:192.0.2.1 (RFC 4291, section 2.5.5.2).
func (s *Socket) Mapped() bool {
	return s.IPv6 && s.Local.Addr().Is4In6() && (s.Remote.Addr().Is4In6() || s.Remote.Addr().IsUnspecified())
}

// Dual says that an IPv6 socket takes IPv4 as well.
func (s *Socket) Dual() bool {
	return s.IPv6 && !s.V6Only && s.State == Listen && s.Local.Addr().IsUnspecified()
}

// TCP is what the kernel measured on a connection (struct tcp_info, include/uapi/linux/tcp.h).
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

// Each calls yield for every socket that q asks for. The socket is reused: yield copies what it keeps. An error of yield ends it.
// netlink.ErrChanged says that sockets came and went meanwhile; every row is right all the same.
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

// eachTCP asks in the older way, whose one walk through the kernel's table finds IPv4 and IPv6 (inet_diag_dump_compat in
// net/ipv4/inet_diag.c, Linux 6.18). A kernel that does not know it any more is asked in the newer one. Listeners come first, as the
// kernel has them in a table of their own; of the others, which may be many, each half is asked for on a socket of its own.
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
		return eachFamily(ctx, conn, q, KindTCP, yield) // it was refused before the first socket
	}
	return err
}

// half is a filter for about half of all sockets, and with the other argument for the others: those of which one port is in the upper
// half of the range that clients get theirs from, and not the other, or else those with none or both. Such a port is at one end of
// most connections, and says nothing about who made it (ip_local_port_range in ip(7): 32768 to 60999).
//
// A filter is a program of struct inet_diag_bc_op: code, how far to go on if it holds, and how far if not. To its end is yes, beyond it
// is no (inet_diag_bc_run in net/ipv4/inet_diag.c, Linux 6.18).
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

// eachFamily asks for IPv4, then for IPv6. ENOENT is a kernel that lacks the protocol, or only sock_diag's part for it (raw_diag and
// udp_diag are modules of their own), which then has a table in /proc/net.
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

// Of linux/sock_diag.h and linux/inet_diag.h.
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

// meminfo is one number of the array that the kernel has of a socket's memory; older kernels have fewer.
func meminfo(value []byte, index int) (n uint32, known bool) {
	if len(value) < 4*(index+1) {
		return 0, false
	}
	return binary.NativeEndian.Uint32(value[4*index:]), true
}

// allStates leaves out bit 12, the kernel's inner name for SYN_RECV, and bound sockets that do nothing.
const allStates = 1<<12 - 1

// protocolOf is the number of IP by which sock_diag knows a kind.
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

// request is struct inet_diag_req_v2.
func (q Query) request(family uint8, kind Kind) []byte {
	r := make([]byte, 56)
	r[0], r[1], r[2] = family, protocolOf(kind), q.extensions(kind)
	binary.NativeEndian.PutUint32(r[4:], q.mask())
	return r
}

// olderRequest is struct inet_diag_req, and behind it the filter, if there is one.
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

// messageSize is that of struct inet_diag_msg.
const messageSize = 72

// reader reads struct inet_diag_msg and, where they matter, the attributes behind it.
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
		}
		if kind == KindRaw {
			if mask&(1<<s.State) == 0 {
				return nil // raw_diag_dump in net/ipv4/raw_diag.c looks at no state
			}
			s.takeProtocol()
		}
		if s.IPv6 || q.Detail || kind != KindTCP {
			netlink.Attributes(b[messageSize:], attribute)
		}
		return yield(&s)
	}
}

// takeProtocol undoes what the kernel does with a raw socket: it stands in its tables as if the IP protocol were a port (inet_create in
// net/ipv4/af_inet.c).
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

// read takes what an older kernel's shorter struct has.
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
