package sockets

import (
	"context"
	"encoding/binary"
	"errors"
	"math"

	"golang.org/x/sys/unix"

	"diagsh/diag/netlink"
)

// Constants of linux/packet_diag.h.
const (
	packetShowInfo    = 1
	packetShowRings   = 4
	packetShowMeminfo = 0x10

	packetDiagInfo    = 0
	packetDiagRXRing  = 2
	packetDiagUID     = 5
	packetDiagMeminfo = 6
)

// eachPacket lists packet sockets. ENOENT means a kernel without packet_diag: it has them in
// /proc/net, or has no packet sockets at all.
func eachPacket(ctx context.Context, conn *netlink.Conn, q Query, yield func(*Socket) error) error {
	if q.mask()&(1<<Closed) == 0 {
		return nil
	}
	err := conn.Dump(ctx, sockDiagByFamily, packetRequest(), packetReader(yield))
	if errors.Is(err, unix.ENOENT) {
		err = eachInPacketTable(ctx, yield)
		if errors.Is(err, unix.ENOENT) {
			return nil
		}
	}
	return err
}

// packetRequest encodes struct packet_diag_req. It does not ask for filters: what a capture looks
// for is not public.
func packetRequest() []byte {
	r := make([]byte, 20)
	r[0] = unix.AF_PACKET
	binary.NativeEndian.PutUint32(r[8:], packetShowInfo|packetShowRings|packetShowMeminfo)
	return r
}

// packetMessageSize is the size of struct packet_diag_msg.
const packetMessageSize = 16

// packetReader returns a function that parses struct packet_diag_msg and its attributes.
func packetReader(yield func(*Socket) error) func(kind uint16, body []byte) error {
	var s Socket
	ring := false
	attribute := func(name uint16, value []byte) {
		switch name {
		case packetDiagInfo:
			if len(value) >= 4 {
				s.boundTo(binary.NativeEndian.Uint32(value))
			}
		case packetDiagUID:
			s.UID = netlink.Uint32(value)
		case packetDiagRXRing:
			ring = true
		case packetDiagMeminfo:
			var known bool
			if s.RecvQ, known = meminfo(value, meminfoRecvQ); known {
				s.Unknown &^= UnknownRecvQ
			}
			if s.SendQ, known = meminfo(value, meminfoSendQ); known {
				s.Unknown &^= UnknownSendQ
			}
			s.Drops, s.DropsKnown = meminfo(value, meminfoDrops)
		}
	}
	return func(_ uint16, b []byte) error {
		if len(b) < packetMessageSize {
			return errors.New("the kernel's description of a packet socket is too short")
		}
		s, ring = Socket{
			Kind:     KindPacket,
			State:    Closed,
			Type:     PacketType(b[1]),
			Protocol: binary.NativeEndian.Uint16(b[2:]),
			Inode:    binary.NativeEndian.Uint32(b[4:]),
			Unknown:  UnknownDevice | UnknownRecvQ | UnknownSendQ,
		}, false
		netlink.Attributes(b[packetMessageSize:], attribute)
		if ring {
			s.Drops, s.DropsKnown = 0, false
		}
		return yield(&s)
	}
}

// boundTo sets the index of a packet socket's interface. The kernel has -1 after the interface was
// removed (packet_notifier in net/packet/af_packet.c).
func (s *Socket) boundTo(index uint32) {
	s.Unknown &^= UnknownDevice
	if s.DeviceGone = index == math.MaxUint32; !s.DeviceGone {
		s.Device = index
	}
}
