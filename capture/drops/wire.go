package drops

import (
	"bytes"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"diagsh/internal/bpf"
)

// What the program in internal/bpf/programs/drops.c writes, in its layout.
type (
	kernelPlace struct {
		Site      uint64
		Reason    uint32
		NetNS     uint32
		Listener  uint32
		EtherType uint16
		_         uint16
	}
	kernelCount struct{ Packets, Handed, Window, Taken uint64 }
	kernelFlow  struct {
		Place               kernelPlace
		Index               uint32
		Family, Protocol    uint8
		SourcePort          uint16
		DestinationPort     uint16
		_                   uint16
		Source, Destination [16]byte
		Name                [16]byte
		_                   uint32
	}
	kernelFlowCount struct {
		Packets, Last, Window, Taken, Cookie uint64
		Inode                                uint32
		_                                    uint32
	}
	kernelEvent struct {
		Time     uint64
		Cookie   uint64
		Flow     kernelFlow
		Inode    uint32
		Length   uint32
		Kept     uint16
		Incoming uint8
		_        uint8
		Data     [128]byte
		_        [4]byte
	}
)

// eventOf returns the event in a record of the ring; nil if that is not one. It is valid as long as
// the record is.
func eventOf(record []byte) *kernelEvent {
	if len(record) < int(unsafe.Sizeof(kernelEvent{})) {
		return nil
	}
	return (*kernelEvent)(unsafe.Pointer(unsafe.SliceData(record)))
}

// flow returns the two ends, with the name that the interface had then.
func (k *kernelFlow) flow() Flow {
	name, _, _ := bytes.Cut(k.Name[:], []byte{0})
	f := Flow{Interface: string(name), Index: int(k.Index), Protocol: k.Protocol}
	switch k.Family {
	case unix.AF_INET:
		f.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(k.Source[:4])), k.SourcePort)
		f.Destination = netip.AddrPortFrom(netip.AddrFrom4([4]byte(k.Destination[:4])), k.DestinationPort)
	case unix.AF_INET6:
		f.Source = netip.AddrPortFrom(netip.AddrFrom16(k.Source), k.SourcePort)
		f.Destination = netip.AddrPortFrom(netip.AddrFrom16(k.Destination), k.DestinationPort)
	}
	return f
}

// A clock is bpf.Clock, which is set once a second while there are events.
type clock struct {
	bpf.Clock
	compared uint64 // when it was set, in CLOCK_MONOTONIC; 0: never
}

func (c *clock) time(at uint64) time.Time {
	if c.compared == 0 || at > c.compared+uint64(time.Second) {
		c.compared = bpf.Monotonic()
		c.Set()
	}
	return c.Time(at)
}
