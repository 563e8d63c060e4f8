package appliance

import (
	"encoding/binary"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"diagsh/internal/test/netnstest"
)

// Send puts so many Ethernet frames of 100 bytes on an interface of the network, each numbered: UDP from 192.0.2.1 to 192.0.2.2, port 9.
func Send(t testing.TB, network *netnstest.Namespace, iface string, count int) {
	t.Helper()
	network.Do(t, func() {
		link, err := net.InterfaceByName(iface)
		if err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // protocol 0: it only sends
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		to := &unix.SockaddrLinklayer{Ifindex: link.Index}
		for n := range count {
			if err := unix.Sendto(fd, frame(uint32(n)), 0, to); err != nil {
				t.Fatalf("frame %d: %v", n, err)
			}
		}
	})
}

// frame is Ethernet, IPv4 (RFC 791) and UDP (RFC 768) without checksum, and the number.
func frame(number uint32) []byte {
	const length = 100
	f := make([]byte, 0, length)
	f = append(f, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00)
	f = append(f, 0x45, 0, 0, length-14, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2)
	f = append(f, 0x10, 0, 0, 9, 0, length-14-20, 0, 0)
	f = binary.BigEndian.AppendUint32(f, number)
	return f[:length]
}
