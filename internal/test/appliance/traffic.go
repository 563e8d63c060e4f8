package appliance

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"diagsh/internal/test/netnstest"
)

// Send puts so many Ethernet frames of 100 bytes on an interface of the network, each numbered: UDP
// from 192.0.2.1 to 192.0.2.2, port 9.
func Send(t testing.TB, network *netnstest.Namespace, iface string, count int) {
	t.Helper()
	frames := network.Frames(t, iface)
	for n := range count {
		if err := frames.Send(frame(uint32(n))); err != nil {
			t.Fatalf("frame %d: %v", n, err)
		}
	}
}

// Contents are in each packet of Send, behind its headers, which are HeaderBytes long, and its number.
const (
	Contents    = "behind the headers"
	HeaderBytes = 14 + 20 + 8
)

// frame is Ethernet, IPv4 (RFC 791) and UDP (RFC 768) without checksum, the number, and Contents.
func frame(number uint32) []byte {
	const length = 100
	f := make([]byte, 0, length)
	f = append(f, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00)
	f = append(f, 0x45, 0, 0, length-14, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2)
	f = append(f, 0x10, 0, 0, 9, 0, length-14-20, 0, 0)
	f = binary.BigEndian.AppendUint32(f, number)
	f = append(f, Contents...)
	return f[:length]
}
