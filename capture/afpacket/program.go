package afpacket

import (
	"fmt"

	"diagsh/capture"

	"golang.org/x/sys/unix"
)

// program returns the filter of a tap in the kernel's form.
//
// A classic filter returns how many bytes of the packet are kept, so every constant other than 0
// that it returns is replaced by the snap length.
func program(tap capture.Tap) []unix.SockFilter {
	var p []unix.SockFilter
	switch {
	case tap.Direction == capture.Out:
		p = append(p, refuseIncoming...)
	case tap.Direction == capture.In || tap.Interface.Loopback:
		p = append(p, refuseOutgoing...)
	}
	if len(tap.Filter) == 0 {
		return append(p, unix.SockFilter{Code: returnConstant, K: uint32(tap.SnapLength)})
	}
	for _, in := range tap.Filter {
		if in.Op == returnConstant && in.K != 0 {
			in.K = uint32(tap.SnapLength)
		}
		p = append(p, unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K})
	}
	return p
}

const (
	returnConstant = unix.BPF_RET | unix.BPF_K

	// packetType is the address of the packet's direction: the kernel has such values at addresses
	// counted from SKF_AD_OFF, -0x1000.
	packetType = 1<<32 - 0x1000 + 4
)

// refuseOutgoing rejects what this machine sends. Jumps in classic BPF are relative and it does not
// touch memory, so any program may follow.
var refuseOutgoing = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: packetType},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.PACKET_OUTGOING, Jf: 1},
	{Code: returnConstant, K: 0},
}

// refuseIncoming rejects all but what this machine sends.
var refuseIncoming = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: packetType},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.PACKET_OUTGOING, Jt: 1},
	{Code: returnConstant, K: 0},
}

// refuseAll rejects every packet.
var refuseAll = []unix.SockFilter{{Code: returnConstant, K: 0}}

// attach sets or replaces the filter of a socket; the kernel does so between two packets.
func attach(fd int, p []unix.SockFilter) error {
	if len(p) > unix.BPF_MAXINSNS {
		return fmt.Errorf("the filter is too long: it needs %d instructions, and the kernel takes %d", len(p),
			unix.BPF_MAXINSNS)
	}
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]})
	if err != nil {
		return fmt.Errorf("the kernel refuses the filter: %w", err)
	}
	return nil
}
