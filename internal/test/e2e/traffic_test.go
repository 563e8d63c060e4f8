package e2e_test

import (
	"encoding/binary"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"diagsh/internal/test/netnstest"
)

// A wire sends frames out of an interface.
type wire struct {
	t  *testing.T
	fd int
}

func openWire(t *testing.T, ns *netnstest.Namespace, name string) *wire {
	t.Helper()
	w := &wire{t: t}
	ns.Do(t, func() {
		link, err := net.InterfaceByName(name)
		if err != nil {
			t.Fatal(err)
		}
		// Protocol 0: this socket sends only.
		if w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(w.fd) })
		if err := unix.Bind(w.fd, &unix.SockaddrLinklayer{Ifindex: link.Index}); err != nil {
			t.Fatal(err)
		}
	})
	return w
}

// send reports false when the frame could not be sent.
func (w *wire) send(frame []byte) bool {
	_, err := unix.Write(w.fd, frame)
	return err == nil
}

// datagram is an Ethernet frame with a UDP datagram in IPv4.
func datagram(port uint16, payload []byte) []byte {
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
