// Package udptest sends datagrams that the kernel is to drop, and counts them.
package udptest

import (
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Send sends datagrams to a port of this machine. That a firewall refuses them is no failure.
func Send(t testing.TB, port, times int) {
	t.Helper()
	c, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
	for range times {
		if _, err := c.WriteToUDP([]byte("x"), to); err != nil && !errors.Is(err, unix.EPERM) {
			t.Error(err)
		}
	}
}

// Overfill sends 50 datagrams to a socket that has room for a few and is not read meanwhile, and
// returns how many it did not take. The socket is open until the end of the test.
func Overfill(t testing.TB) int {
	t.Helper()
	l, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if err := l.SetReadBuffer(1); err != nil { // the kernel takes the least that it allows
		t.Fatal(err)
	}
	Send(t, l.LocalAddr().(*net.UDPAddr).Port, 50)
	if err := l.SetReadDeadline(time.Now().Add(time.Second)); err != nil { // what arrived is there at once
		t.Fatal(err)
	}
	for n := 50; ; n-- {
		if _, err := l.Read(make([]byte, 10)); err != nil {
			return n
		}
	}
}
