package afpacket

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/test/netnstest"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A ringBench has a cable between two interfaces, and captures that leave their rings for the next.
type ringBench struct {
	*testing.T
	ns     *netnstest.Namespace
	spare  *Spare
	number uint64 // of the last packet that was sent
}

func newRingBench(t *testing.T) *ringBench {
	b := &ringBench{T: t, ns: netnstest.New(t), spare: NewSpare(time.Minute)}
	b.ns.Veth(t, "left", "right")
	t.Cleanup(b.spare.Clear)
	return b
}

// wire returns an interface, and a socket that sends on it.
func (b *ringBench) wire(name string) (fd int, in capture.Interface) {
	b.ns.Do(b.T, func() {
		list, err := Resolve([]string{name})
		if err != nil {
			b.Fatal(err)
		}
		in = list[0]
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			b.Fatal(err)
		}
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: in.Index}); err != nil {
			b.Fatal(err)
		}
	})
	b.Cleanup(func() { unix.Close(fd) })
	return fd, in
}

// send sends numbered packets.
func (b *ringBench) send(fd, packets int) {
	b.Helper()
	f := bytes.Repeat([]byte{2}, 1400)
	for range packets {
		b.number++
		binary.BigEndian.PutUint64(f[14:], b.number)
		if _, err := unix.Write(fd, f); err != nil {
			b.Fatal(err)
		}
	}
}

func (b *ringBench) open(in capture.Interface) (s capture.Source) {
	b.Helper()
	b.ns.Do(b.T, func() {
		var err error
		o := Options{RingBytes: 2 << 20, Promiscuous: true, Spare: b.spare}
		if s, err = o.Open([]capture.Tap{{Interface: in, SnapLength: 9000}}); err != nil {
			b.Fatal(err)
		}
	})
	return s
}

// check sends packets, and expects to read these and no others.
func (b *ringBench) check(s capture.Source, fd, packets int) {
	b.Helper()
	next := b.number + 1
	b.send(fd, packets)
	if err := s.Finish(); err != nil {
		b.Fatal(err)
	}
	batch := make([]capture.Packet, 100)
	for {
		n, err := s.Read(batch, time.Time{})
		for _, p := range batch[:n] {
			if got := binary.BigEndian.Uint64(p.Data[14:]); got != next {
				b.Fatalf("packet %d comes where %d should be", got, next)
			}
			next++
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if c := s.Counters()[0]; next != b.number+1 || c.Received != uint64(packets) || c.Dropped != 0 {
		b.Errorf("%d packets were sent; the last that came is %d of %d; %+v", packets, next-1, b.number, c)
	}
	s.Close()
}

// TestRingIsUsedAgain: a kept ring serves the next capture as a new one would, whatever its state
// at the end of the last. Nothing of the old capture is in the new one.
func TestRingIsUsedAgain(t *testing.T) {
	b := newRingBench(t)
	left, _ := b.wire("left")
	_, right := b.wire("right")
	b.check(b.open(right), left, 300) // it ends where it was read to
	for _, test := range []struct {
		name  string
		leave func(s capture.Source)
	}{
		{"read to its end", func(capture.Source) {}},
		{"packets are left, handed over and not", func(capture.Source) { b.send(left, 500) }},
		{"some of a block were read", func(s capture.Source) {
			b.send(left, 400)
			if n, err := s.Read(make([]capture.Packet, 3), time.Time{}); n != 3 || err != nil {
				t.Fatal(n, err)
			}
		}},
		{"it is full", func(s capture.Source) {
			b.send(left, 4000)
			if s.Counters()[0].Dropped == 0 {
				t.Error("it was to be full")
			}
		}},
	} {
		s := b.open(right)
		if !s.(*Source).all[0].parked || b.spare.Bytes() != 0 {
			t.Errorf("%s: the ring is new", test.name)
		}
		test.leave(s)
		s.Close()
		if b.spare.Bytes() != 2<<20 {
			t.Fatalf("%s: %d bytes are kept", test.name, b.spare.Bytes())
		}
		b.send(left, 100) // no capture runs
		t.Run("after: "+test.name, func(sub *testing.T) {
			b.T = sub
			defer func() { b.T = t }()
			b.check(b.open(right), left, 700)
		})
	}
}

// TestRingOfARemovedInterfaceIsUsedAgain: a ring of a removed interface serves another one.
func TestRingOfARemovedInterfaceIsUsedAgain(t *testing.T) {
	b := newRingBench(t)
	left, _ := b.wire("left")
	_, right := b.wire("right")
	b.check(b.open(right), left, 300)
	s := b.open(right)
	if !s.(*Source).all[0].parked {
		t.Error("the ring is new")
	}
	b.ns.Do(t, func() {
		link, err := netlink.LinkByName("right")
		if err == nil {
			err = netlink.LinkDel(link)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	s.Close()
	b.ns.Veth(t, "near", "far")
	near, _ := b.wire("near")
	_, far := b.wire("far")
	s = b.open(far)
	if !s.(*Source).all[0].parked {
		t.Error("the ring of an interface that went is not used again")
	}
	b.check(s, near, 100)
}

// TestRingOfAnotherKindIsNotUsed: a ring of another network namespace or another size is not used.
func TestRingOfAnotherKindIsNotUsed(t *testing.T) {
	spare := NewSpare(time.Minute)
	defer spare.Clear()
	for i, size := range []int{2 << 20, 2 << 20, 4 << 20} {
		ns := netnstest.New(t)
		ns.Do(t, func() {
			lo, err := Resolve([]string{"lo"})
			if err != nil {
				t.Fatal(err)
			}
			s, err := Options{RingBytes: size, Spare: spare}.Open([]capture.Tap{{Interface: lo[0], SnapLength: 100}})
			if err != nil {
				t.Fatal(err)
			}
			if s.(*Source).all[0].parked {
				t.Errorf("ring %d is one of before", i)
			}
			s.Close()
		})
	}
	if spare.Bytes() != 8<<20 {
		t.Errorf("%d bytes are kept", spare.Bytes())
	}
}
