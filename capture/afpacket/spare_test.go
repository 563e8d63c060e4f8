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

// TestRingIsUsedAgain: a kept ring serves the next capture as a new one would, whatever its state
// at the end of the last. Nothing of the old capture is in the new one.
func TestRingIsUsedAgain(t *testing.T) {
	ns := netnstest.New(t)
	ns.Veth(t, "left", "right")
	spare := NewSpare(time.Minute)
	defer spare.Clear()
	wire := func(name string) (fd int, in capture.Interface) {
		ns.Do(t, func() {
			list, err := Resolve([]string{name})
			if err != nil {
				t.Fatal(err)
			}
			in = list[0]
			if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
				t.Fatal(err)
			}
			if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: in.Index}); err != nil {
				t.Fatal(err)
			}
		})
		t.Cleanup(func() { unix.Close(fd) })
		return fd, in
	}
	number := uint64(0)
	send := func(fd, packets int) {
		t.Helper()
		f := bytes.Repeat([]byte{2}, 1400)
		for range packets {
			number++
			binary.BigEndian.PutUint64(f[14:], number)
			if _, err := unix.Write(fd, f); err != nil {
				t.Fatal(err)
			}
		}
	}
	open := func(in capture.Interface) capture.Source {
		t.Helper()
		var s capture.Source
		ns.Do(t, func() {
			var err error
			s, err = Options{RingBytes: 2 << 20, Promiscuous: true,
				Spare: spare}.Open([]capture.Tap{{Interface: in, SnapLength: 9000}})
			if err != nil {
				t.Fatal(err)
			}
		})
		return s
	}
	// check sends packets, and expects to read these and no others.
	check := func(s capture.Source, fd, packets int) {
		t.Helper()
		next := number + 1
		send(fd, packets)
		if err := s.Finish(); err != nil {
			t.Fatal(err)
		}
		batch := make([]capture.Packet, 100)
		for {
			n, err := s.Read(batch, time.Time{})
			for _, p := range batch[:n] {
				if got := binary.BigEndian.Uint64(p.Data[14:]); got != next {
					t.Fatalf("packet %d comes where %d should be", got, next)
				}
				next++
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if c := s.Counters()[0]; next != number+1 || c.Received != uint64(packets) || c.Dropped != 0 {
			t.Errorf("%d packets were sent; the last that came is %d of %d; %+v", packets, next-1, number, c)
		}
		s.Close()
	}
	left, _ := wire("left")
	_, right := wire("right")
	check(open(right), left, 300) // it ends where it was read to
	for _, test := range []struct {
		name  string
		leave func(s capture.Source)
	}{
		{"read to its end", func(capture.Source) {}},
		{"packets are left, handed over and not", func(capture.Source) { send(left, 500) }},
		{"some of a block were read", func(s capture.Source) {
			send(left, 400)
			if n, err := s.Read(make([]capture.Packet, 3), time.Time{}); n != 3 || err != nil {
				t.Fatal(n, err)
			}
		}},
		{"it is full", func(s capture.Source) {
			send(left, 4000)
			if s.Counters()[0].Dropped == 0 {
				t.Error("it was to be full")
			}
		}},
	} {
		s := open(right)
		if !s.(*Source).all[0].parked || spare.Bytes() != 0 {
			t.Errorf("%s: the ring is new", test.name)
		}
		test.leave(s)
		s.Close()
		if spare.Bytes() != 2<<20 {
			t.Fatalf("%s: %d bytes are kept", test.name, spare.Bytes())
		}
		send(left, 100) // for nobody
		t.Run("after: "+test.name, func(t *testing.T) { check(open(right), left, 700) })
	}
	// A ring of a removed interface serves another.
	s := open(right)
	ns.Do(t, func() {
		link, err := netlink.LinkByName("right")
		if err == nil {
			err = netlink.LinkDel(link)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	s.Close()
	ns.Veth(t, "near", "far")
	near, _ := wire("near")
	_, far := wire("far")
	s = open(far)
	if !s.(*Source).all[0].parked {
		t.Error("the ring of an interface that went is not used again")
	}
	check(s, near, 100)
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
