package netnstest

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Frames sends Ethernet frames out of an interface, which arrive in the order of the calls of Send.
type Frames struct {
	fd        int
	all, here unix.CPUSet // the processors that a thread may use, and the one that sends
}

// Frames opens an interface of the namespace for sending, until the test ends.
func (n *Namespace) Frames(t testing.TB, name string) *Frames {
	t.Helper()
	f := &Frames{fd: -1}
	if err := unix.SchedGetaffinity(0, &f.all); err != nil {
		t.Fatal(err)
	}
	var cpus []int
	for cpu := range len(f.all) * 64 {
		if f.all.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	f.here.Set(cpus[rand.IntN(len(cpus))])
	n.Do(t, func() {
		link, err := net.InterfaceByName(name)
		if err != nil {
			t.Fatal(err)
		}
		// Of protocol 0, it receives nothing (packet(7)).
		if f.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(f.fd) })
		if err := unix.Bind(f.fd, &unix.SockaddrLinklayer{Ifindex: link.Index}); err != nil {
			t.Fatal(err)
		}
	})
	return f
}

// Send sends a frame. It does so on one processor: each has a queue of its own for what a pair of
// interfaces passes on (netif_rx), and a sender that moves overtakes what waits in the queue it left.
func (f *Frames) Send(frame []byte) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.SchedSetaffinity(0, &f.here); err != nil {
		return err
	}
	_, err := unix.Write(f.fd, frame)
	return errors.Join(err, unix.SchedSetaffinity(0, &f.all))
}

// UDP returns an Ethernet frame with a UDP datagram from 192.0.2.1, port 40000, to a port of
// 192.0.2.2. It has no UDP checksum (RFC 768).
func UDP(port uint16, payload []byte) []byte {
	const ethernet, ip, udp = 14, 20, 8
	f := make([]byte, ethernet+ip+udp, ethernet+ip+udp+len(payload))
	copy(f, []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00})

	h := f[ethernet:]
	h[0] = 0x45
	binary.BigEndian.PutUint16(h[2:], uint16(ip+udp+len(payload)))
	h[8], h[9] = 64, unix.IPPROTO_UDP
	copy(h[12:], []byte{192, 0, 2, 1, 192, 0, 2, 2})
	sum := uint32(0)
	for i := 0; i < ip; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(h[i:]))
	}
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(h[10:], ^uint16(sum+sum>>16))

	u := h[ip:]
	binary.BigEndian.PutUint16(u, 40000)
	binary.BigEndian.PutUint16(u[2:], port)
	binary.BigEndian.PutUint16(u[4:], uint16(udp+len(payload)))
	return append(f, payload...)
}
