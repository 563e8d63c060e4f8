package ports

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"diagsh/diag/ports/procs"
)

// Kinds of events, as programs/ports.c numbers them.
const (
	kindOpen = 1 + iota
	kindBind
	kindListen
	kindConnected
	kindPassive
	kindAccept
	kindPeername
	kindUse
	kindFlow
	kindClosed
	kindFailed
	kindRejected
	kindShut
	kindHeld
	kindFork
	kindExec
	kindExit
)

// Flags of a socket, as programs/ports.c has them.
const (
	flagAnnounced = 1
	flagIncoming  = 8
	flagUsed      = 16
	flagReleased  = 32
	flagBound     = 128
	flagOld       = 512
	flagTied      = 2048
)

// Sizes of what programs/ports.c writes.
const (
	sizeTask    = 64
	sizeEvent   = 96 + sizeTask
	sizeClosing = sizeEvent + 24 + 3*sizeTask
	sizeProcess = 16 + 2*sizeTask + 256
)

// Protocols, as IANA numbers them, and Linux those that are not on the wire.
const (
	protocolICMP   = 1
	protocolTCP    = 6
	protocolUDP    = 17
	protocolICMPv6 = 58
	protocolSCTP   = 132
	protocolLite   = 136
	protocolMPTCP  = 262
)

const (
	familyIPv4 = 2
	familyIPv6 = 10
	typeRaw    = 3
)

// A processKey tells a process from all others, and one that executed another file from before.
type processKey struct {
	start    uint64 // since boot, in nanoseconds
	id, exec uint32 // of the initial pid namespace
}

// A task is a process as a program saw it. An id of 0 is nobody.
type task struct {
	processKey
	cgroup   uint64 // number of its cgroup
	ino      uint64 // of the file that it executes, which 0 is not known
	dev      uint32 // as the kernel has it: 20 bits of minor number
	pid, uid uint32 // the pid is 0 in a namespace that the appliance does not see
	name     []byte // valid as long as the sample
}

// inProc returns the process to read more of it from /proc.
func (w *task) inProc() procs.Process {
	return procs.Process{PID: w.pid, Start: w.start, Inode: w.ino, Device: w.dev}
}

// A socketKey tells a socket from all others that exist.
type socketKey struct {
	sk, cookie uint64
	netns      uint32
}

// An event is what a program saw happen to a socket.
type event struct {
	socketKey
	kind, state byte
	flags       uint16
	protocol    uint16
	kindOfSock  uint16
	errno       int32
	time, began uint64 // of CLOCK_MONOTONIC
	first       uint32 // of kindUse: the sequence number of TCP from which on its process sends; 0: it is not known
	unused      uint64 // of kindUse: when the socket was used before; 0: it was not
	inode       uint64
	local       netip.AddrPort
	remote      netip.AddrPort
	who         task

	// Of kindClosed and kindHeld.
	born, sent, received   uint64
	opener, user, accepter task
}

// A change is what happened to a process.
type change struct {
	kind        byte
	time        uint64
	who, parent task
	file        []byte // as the caller of execve(2) named it; valid as long as the sample
}

var order = binary.LittleEndian // as the programs are compiled

func decodeTask(b []byte) task {
	_ = b[sizeTask-1]
	w := task{
		processKey: processKey{start: order.Uint64(b), id: order.Uint32(b[28:]), exec: order.Uint32(b[36:])},
		cgroup:     order.Uint64(b[8:]), ino: order.Uint64(b[16:]), dev: order.Uint32(b[24:]),
		pid: order.Uint32(b[32:]), uid: order.Uint32(b[40:]),
	}
	w.name = text(b[48:64])
	return w
}

// text is what stands before the first NUL.
func text(b []byte) []byte {
	for i, c := range b {
		if c == 0 {
			return b[:i]
		}
	}
	return b
}

// decodeEvent reads an event into e. Its length must be that of its kind.
func decodeEvent(b []byte, e *event) error {
	if len(b) < sizeEvent {
		return fmt.Errorf("an event of %d bytes", len(b))
	}
	*e = event{
		socketKey: socketKey{sk: order.Uint64(b[32:]), cookie: order.Uint64(b[40:]), netns: order.Uint32(b[56:])},
		kind:      b[0], state: b[1], protocol: order.Uint16(b[4:]), flags: order.Uint16(b[10:]),
		errno: int32(order.Uint32(b[12:])), time: order.Uint64(b[16:]), began: order.Uint64(b[24:]),
		inode: order.Uint64(b[48:]), kindOfSock: order.Uint16(b[60:]), who: decodeTask(b[96:]),
		local:  address(order.Uint16(b[2:]), b[64:80], order.Uint16(b[6:])),
		remote: address(order.Uint16(b[62:]), b[80:96], order.Uint16(b[8:])),
	}
	switch e.kind {
	case kindClosed, kindHeld:
		if len(b) != sizeClosing {
			return fmt.Errorf("an event of kind %d has %d bytes", e.kind, len(b))
		}
		rest := b[sizeEvent:]
		e.born, e.sent, e.received = order.Uint64(rest), order.Uint64(rest[8:]), order.Uint64(rest[16:])
		rest = rest[24:]
		e.opener, e.user, e.accepter = decodeTask(rest), decodeTask(rest[sizeTask:]), decodeTask(rest[2*sizeTask:])
	case kindUse:
		e.unused, e.began = e.began, e.time
		e.first, e.errno = uint32(e.errno), 0
		fallthrough
	default:
		if e.kind < kindOpen || e.kind > kindShut || len(b) != sizeEvent {
			return fmt.Errorf("an event of kind %d has %d bytes", e.kind, len(b))
		}
	}
	return nil
}

// address is an end of a socket; IPv4 in IPv6 is unmapped.
func address(family uint16, b []byte, port uint16) netip.AddrPort {
	switch family {
	case familyIPv4:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b)), port)
	case familyIPv6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b)).Unmap(), port)
	}
	return netip.AddrPort{}
}

// decodeChange reads what happened to a process.
func decodeChange(b []byte, c *change) error {
	if len(b) != sizeProcess {
		return fmt.Errorf("a change of a process of %d bytes", len(b))
	}
	*c = change{kind: b[0], time: order.Uint64(b[8:]), who: decodeTask(b[16:]), parent: decodeTask(b[16+sizeTask:]),
		file: text(b[16+2*sizeTask:])}
	return nil
}

// transport is the name of a socket's protocol in the log.
func (e *event) transport() Protocol {
	switch e.protocol {
	case protocolTCP, protocolMPTCP:
		return TCP
	case protocolUDP, protocolLite:
		return UDP
	case protocolICMP, protocolICMPv6:
		return ICMP
	case protocolSCTP:
		return SCTP
	}
	return Raw
}
